import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr.models.mixers import Attention, SelectiveScan, scan


@pytest.mark.parametrize("reverse", [False, True])
def test_scans_are_the_recurrence(reverse):
    rng = np.random.default_rng(0)
    decay, drive = rng.uniform(0, 1, (2, 37, 3)), rng.normal(size=(2, 37, 3))
    expected, h = np.zeros_like(drive), np.zeros((2, 3))
    for t in range(36, -1, -1) if reverse else range(37):
        h = decay[:, t] * h + drive[:, t]
        expected[:, t] = h
    arrays = (jnp.asarray(x, jnp.float32) for x in (decay, drive))
    np.testing.assert_allclose(scan(*arrays, reverse=reverse), expected, atol=1e-5)


def silu(x):
    return x / (1 + np.exp(-x))


@pytest.mark.slow
def test_selective_scan_is_the_papers_recurrence():
    """Both ways, one token after the other, in float64."""
    layer, x = SelectiveScan(states=3), jax.random.normal(jax.random.key(0), (1, 9, 4))
    params = layer.init(jax.random.key(1), x)["params"]
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    tokens = np.asarray(x, np.float64)[0]

    def dense(name, x):
        return x @ p[name]["kernel"] + p[name].get("bias", 0)

    inputs, gate, total = dense("input", tokens), silu(dense("gate", tokens)), 0
    for side, order in (("forth", range(9)), ("back", range(8, -1, -1))):
        near = np.tile(p[f"near_{side}_bias"], (9, 1))
        for i, t in enumerate(order):
            for k, before in enumerate(order[max(i - 3, 0) : i + 1][::-1]):
                near[t] += p[f"near_{side}_kernel"][k] * inputs[before]
        u = silu(near)
        step = np.log1p(np.exp(dense(f"step_{side}", u)))
        write, read = dense(f"write_{side}", u), dense(f"read_{side}", u)
        h, y = np.zeros((4, 3)), np.zeros((9, 4))
        for t in order:
            decay = np.exp(-step[t][:, None] * np.exp(p[f"log_decay_{side}"]))
            h = decay * h + step[t][:, None] * write[t] * u[t][:, None]
            y[t] = h @ read[t] + p[f"through_{side}"] * u[t]
        total = total + y
    expected = dense("output", total * gate)
    found = layer.apply({"params": params}, x)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - dense("output", 0 * gate)).max() > 0.01


def test_its_cost_is_linear_in_the_sequence():
    """Eight times the tokens, eight times the work; attention among as many takes far more."""

    def flops(layer, *arguments):
        params = jax.eval_shape(layer.init, jax.random.key(0), *arguments)
        return jax.jit(layer.apply).lower(params, *arguments).cost_analysis()["flops"]

    def ratio(layer, places):
        few, many = (
            (jax.ShapeDtypeStruct((1, n, 8), jnp.float32), *[np.zeros((n, 2), "f")] * places)
            for n in (256, 2048)
        )
        repeated = [(x, x, *at) if at else (x,) for x, *at in (few, many)]
        return flops(layer, *repeated[1]) / flops(layer, *repeated[0])

    assert ratio(SelectiveScan(states=3), 0) == pytest.approx(8, rel=0.05)
    assert ratio(Attention(heads=2, spacing=4.0), 2) > 30
