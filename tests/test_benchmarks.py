"""The benchmarks, on sizes of no interest: what they write, and that methods agree."""

import importlib
import json
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import benchmarks
from benchmarks import counting, end_to_end, methods, render, tokens
from benchmarks.decoders import PublishedLiif
from inr_sr.coordinates import upright_footprint
from inr_sr.models.decoders.liif import LiifDecoder
from inr_sr.models.field import Field
from inr_sr.render import strips
from tests.networks import random_model

SCALES = ("2", "2.5x3.1")
COUNTS = ("median_s", "macs_per_pixel", "xla_flops_per_pixel")


def small_cases():
    return [
        *(methods.spectral_case(scale, 8, 4) for scale in SCALES),
        *(methods.spectral_case(scale, 8, 4, skip=True) for scale in SCALES),
        methods.per_query_case("2", 6, 4),
        methods.liif_case("2", 4),
        *methods.head_cases("2", 6, 4, 8),
    ]


@pytest.fixture
def result(monkeypatch):
    monkeypatch.setattr(render, "cases", small_cases)
    monkeypatch.setattr(render, "growth", lambda: {"scale": {2: methods.spectral_case("2", 8, 4)}})
    monkeypatch.setattr(render, "SCALES", SCALES)
    monkeypatch.setattr(render, "ROUNDS", 1)
    monkeypatch.setattr(render, "spectral", lambda lr, k: methods.spectral(8, 32))
    return render.measure()


@pytest.mark.slow
def test_one_row_for_each_method_scale_and_k(result, tmp_path):
    result = json.loads(json.dumps(result))
    rows = result["results"]
    assert len({(row["method"], row["scale"], row.get("k")) for row in rows}) == len(rows)
    for row in rows:
        numbers = ("median_s", "floor_s", "peak_bytes", "output_pixels", "macs_per_pixel")
        assert all(row[name] > 0 for name in numbers)
        assert ("k" in row) == (row["method"] != "liif")
    assert rows[1]["output_pixels"] == 20 * 25
    assert rows[0]["faster_than_liif"] > 1
    table = render.table(result)
    assert table.count("| spectral |") == 2
    assert table.count("nan") == 8  # of x4, which is not among these
    assert "K = 4, x2: " in table
    render.plot(result, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    "name", [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
)
def test_benchmarks_say_how_they_are_run(name):
    """And what they use of the package is there."""
    module = importlib.import_module(f"benchmarks.{name}")
    if hasattr(module, "measure"):
        assert f"python -m benchmarks.{name} " in module.__doc__


@pytest.mark.slow
def test_ways_to_render_tokens_agree(monkeypatch):
    config = tokens.configuration("small")
    config.modulated.hidden = 16
    field = tokens.tokens(config, 16)
    for scale in ("2", "2.7"):
        found = {n: f(*a) for n, (f, a) in tokens.methods(field, scale, 16).items()}
        assert float(jnp.abs(found["plain"]).max()) > 0.01
        for name in ("library", "gathered"):
            np.testing.assert_allclose(found[name], found["plain"], atol=1e-5)
    large = tokens.configuration("large")
    assert (large.modulated.hidden, large.modulated.layers) == (512, 3)
    large.modulated.hidden = 16
    small = {
        "configuration": {"small": config, "large": large}.get,
        "LR": {"small": 8, "large": 8},
        "ROUNDS": 1,
    }
    for name, value in small.items():
        monkeypatch.setattr(tokens, name, value)
    result = json.loads(json.dumps(tokens.measure()))
    assert [row["method"] for row in result["results"]] == ["library", "gathered", "plain"] * 3
    assert tokens.table(result).count("| plain | ") == 3


@pytest.mark.slow
def test_work_is_counted_as_by_hand():
    model, params = random_model()
    cells, image = 40 * 30, jnp.zeros((1, 40, 30, 3))
    encode = jax.jit(model.encoder.apply).lower({"params": params["encoder"]}, image)
    expected = 2 * counting.lattice_macs(params["encoder"]) * cells
    assert 0.9 * expected < counting.operations(encode) < 1.3 * expected
    assert counting.liif_macs(counting.PUBLISHED_LIIF_INPUTS) == 1_383_424
    grown = counting.growth({"large": lambda: np.ones(2**23), "none": lambda: 0})
    if None not in grown.values():
        assert grown["large"] > 2**25 > grown["none"]


@pytest.mark.slow
def test_whole_pictures_are_compared(monkeypatch):
    monkeypatch.setattr(end_to_end, "ROUNDS", 1)
    monkeypatch.setattr(end_to_end, "LR", 8)
    monkeypatch.setattr(end_to_end, "SCALES", ("2",))
    spectral, liif = random_model(), random_model("liif")
    monkeypatch.setattr(
        end_to_end,
        "entries",
        lambda: [
            *end_to_end.network_entries("small", *spectral),
            end_to_end.query_entry("small, per query", *spectral, "2"),
            end_to_end.liif_entry("small, LIIF", *liif, "2"),
        ],
    )
    encoder, whole, query, liif = end_to_end.measure()["results"]
    assert encoder["of_encoder"] == 1
    assert {"faster_than_liif", "faster_than_per_query"} < set(whole)
    assert whole["output_pixels"] == 256
    assert min(row[name] for row in (whole, query, liif) for name in COUNTS) > 0
    assert end_to_end.table({"results": [encoder, whole, query, liif]}).count("\n") == 5


def test_methods_make_the_same_image():
    found = methods.spectral(8, 4)
    grid = methods.axes(8, "2.5x3.1")
    bare = Field(None, found.function)
    whole = np.concatenate([strip.colours for strip in strips(bare, *grid)], axis=1)[0]
    slow = np.asarray(methods.per_query(found.function, *grid)).reshape(-1, whole.shape[1], 3)
    np.testing.assert_allclose(slow[: len(whole)], whole, atol=2e-5)


def test_a_head_asked_once_or_at_every_output_is_the_same():
    like, (rows, cols) = methods.spectral(8, 4).function, methods.axes(6, "2.5x3.1")
    features = jax.random.normal(jax.random.key(0), (1, 6, 6, 8))
    kernel = jax.random.normal(jax.random.key(1), (8, 2, 12))
    field = Field(None, methods.head_once(features, kernel, like))
    once = np.concatenate([s.colours for s in strips(field, rows, cols)], axis=1)[0]
    every = methods.head_per_output(features, kernel, like, rows, cols)
    every = np.asarray(every).reshape(-1, *once.shape[1:])
    np.testing.assert_allclose(every[: len(once)], once, atol=5e-5)


@pytest.mark.slow
def test_published_liif_is_ours():
    """Nothing once per LR pixel, and the same function."""
    features = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    ours, theirs = LiifDecoder(10, 3), PublishedLiif(10, 3)
    params = jax.jit(ours.init, static_argnums=2)(jax.random.key(1), features, 0)["params"]
    params = jax.tree.map(lambda p: p + 0.1, params)
    unfolded = params["unfold"]["kernel"].reshape(27, 10)
    translated = {
        "kernel_0": jnp.concatenate([unfolded, params["coordinate"]]),
        "bias_0": params["unfold"]["bias"],
    }
    for i in range(3):
        translated |= {f"{name}_{i + 1}": params[f"{name}_{i}"] for name in ("kernel", "bias")}
    cell = jax.random.randint(jax.random.key(2), (2, 40, 2), 0, 5)
    delta = jax.random.uniform(jax.random.key(3), (2, 40, 2)) - 0.5
    footprint = upright_footprint(jnp.full((2, 1, 2), 0.4))
    fields = [
        decoder.apply({"params": p}, features, 0)
        for decoder, p in ((ours, params), (theirs, translated))
    ]
    found, expected = (field.points(cell, delta, footprint) for field in fields)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.std(found) > 0.05
