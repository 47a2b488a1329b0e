import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr.errors import InputError
from inr_sr.models.encoders.lp_tokens import Block, Lattice, LpTokens, reading_order
from inr_sr.models.mixers import Attention, SelectiveScan
from tests.networks import random_images

SMALL = {
    "width": 8, "patch": 4, "spacing": 4, "learned": 2, "blocks": 1, "heads": 2,
    "layout": "interleaved", "mixer": "attention", "states": 3, "detail": True,
}  # fmt: skip


def encoded(image, **changes):
    """Tokens of an encoder of random parameters; equal ones for equal sizes of it."""
    encoder = LpTokens(**{**SMALL, **changes})
    params = jax.jit(encoder.init)(jax.random.key(0), image)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [p + 0.3 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys)]
    return jax.jit(encoder.apply)(jax.tree.unflatten(tree, noisy), image)


def test_attention_is_the_formula():
    keys = jax.random.split(jax.random.key(0), 3)
    x, others = jax.random.normal(keys[0], (2, 5, 6)), jax.random.normal(keys[1], (2, 7, 6))
    at, others_at = (np.random.default_rng(0).uniform(0, 9, (n, 2)).astype("f") for n in (5, 7))
    layer = Attention(heads=2, spacing=4.0)
    params = layer.init(keys[2], x, others, at, others_at)["params"]
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)

    def heads(name, tokens):
        out = np.asarray(tokens, np.float64) @ p[name]["kernel"] + p[name]["bias"]
        return out.reshape(*out.shape[:2], 2, 3)

    squared = np.sum((at[:, None] - others_at[None]) ** 2, -1)
    logits = np.einsum("bthe,bshe->bhts", heads("query", x), heads("key", others)) / np.sqrt(3)
    logits = logits - squared / (2 * np.exp(2 * p["log_tau"])[:, None, None])
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("bhts,bshe->bthe", weights, heads("value", others)).reshape(2, 5, 6)
    expected = mixed @ p["output"]["kernel"] + p["output"]["bias"]
    found = layer.apply({"params": params}, x, others, at, others_at)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("patch", [2, 4, 8, 16])
def test_images_of_any_size_are_mirrored_to_whole_patches(patch):
    image = random_images(19, 9)
    tokens = encoded(image, patch=patch)
    side = max(patch, 4)
    pad = [(0, -n % side) for n in (19, 9)]
    whole = jnp.pad(image, ((0, 0), *pad, (0, 0)), mode="symmetric")
    assert tokens.shape == (1, whole.shape[1] // 4, whole.shape[2] // 4, 8)
    np.testing.assert_array_equal(tokens, encoded(whole, patch=patch))


@pytest.mark.parametrize(("patch", "spacing"), [(8, 4), (4, 8), (2, 2)])
def test_tokens_leave_in_the_order_of_their_places(patch, spacing):
    """Without blocks nothing is mixed, and both layouts give each token as it came."""
    same = {"blocks": 0, "patch": patch, "spacing": spacing}
    image = random_images(24, 16)
    interleaved, cross = (encoded(image, layout=x, **same) for x in ("interleaved", "cross"))
    np.testing.assert_allclose(interleaved, cross, atol=1e-6)
    assert float(jnp.abs(cross[0, 0, 0] - cross[0, 0, 1]).max()) > 0.1


def test_tokens_and_patches_know_their_positions():
    """In a grey image, of learned vectors that are one, nothing but places can differ."""
    grey = jnp.full((1, 16, 12, 3), 0.5)

    def spread(blocks, *positioned):
        """How much tokens differ where only some have positions."""
        encoder = LpTokens(**{**SMALL, "learned": 1, "layout": "cross", "blocks": blocks})
        params = jax.jit(encoder.init)(jax.random.key(0), grey)["params"]
        for name in {"position", "patch_position"} - set(positioned):
            params[name] = jax.tree.map(jnp.zeros_like, params[name])
        tokens = np.asarray(jax.jit(encoder.apply)({"params": params}, grey)).reshape(12, -1)
        apart = np.abs(tokens[:, None] - tokens[None]).max(axis=-1)
        return apart[~np.eye(12, dtype=bool)]

    assert spread(0, "position").min() > 0.1
    assert spread(1, "patch_position").min() > 10 * spread(1).max()


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["interleaved", "cross"])
@pytest.mark.parametrize("mixer", ["attention", "state_space"])
def test_each_token_depends_on_the_whole_image(layout, mixer):
    """The first and the last pixel change all tokens: scans go both ways."""
    image = random_images(12, 12)
    tokens = encoded(image, layout=layout, mixer=mixer, blocks=2)
    for corner in (0, 11):
        other = encoded(image.at[0, corner, corner].add(3.0), layout=layout, mixer=mixer, blocks=2)
        assert float(jnp.abs(other - tokens).max(axis=-1).min()) > 1e-6


def test_sizes_are_the_configured_ones():
    def parameters(**changes):
        encoder = LpTokens(**{**SMALL, **changes})
        return jax.eval_shape(encoder.init, jax.random.key(0), random_images(16, 16))["params"]

    params = parameters(patch=2, blocks=3, heads=4, width=12)
    assert params["embedding"]["kernel"].shape == (2, 2, 6, 12)
    assert params["block_2"]["attention"]["log_tau"].shape == (4,)
    params = parameters(patch=8, blocks=3, detail=False, mixer="state_space", states=5)
    assert params["embedding"]["kernel"].shape == (8, 8, 3, 8)
    assert params["block_2"]["scan"]["log_decay_forth"].shape == (8, 5)


@pytest.mark.slow
def test_layouts_and_mixers_differ():
    image = random_images(12, 12)
    found = [
        encoded(image, layout=layout, mixer=mixer)
        for layout in ("interleaved", "cross")
        for mixer in ("attention", "state_space")
    ]
    for i, j in itertools.combinations(range(4), 2):
        assert float(jnp.abs(found[i] - found[j]).max()) > 1e-2


def normed(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["attention", "state_space"])
@pytest.mark.parametrize("cross", [False, True])
def test_a_block_is_pre_norm_with_residuals(mixer, cross):
    keys = jax.random.split(jax.random.key(0), 3)
    x, others = jax.random.normal(keys[0], (2, 5, 6)), jax.random.normal(keys[1], (2, 7, 6))
    at, others_at = (np.random.default_rng(0).uniform(0, 9, (n, 2)).astype("f") for n in (5, 7))
    block = Block(2, 4.0, mixer, 3, cross, jnp.float32)
    params = block.init(keys[2], x, at, others, others_at)["params"]
    found = block.apply({"params": params}, x, at, others, others_at)
    attention = Attention(2, 4.0)
    if cross:
        look = {"params": params["look"]}
        x = x + attention.apply(look, normed(x), normed(others), at, others_at)
    if mixer == "attention":
        own = {"params": params["attention"]}
        x = x + attention.apply(own, normed(x), normed(x), at, at)
    else:
        x = x + SelectiveScan(3).apply({"params": params["scan"]}, jnp.asarray(normed(x)))
    widen, narrow = (jax.tree.map(np.asarray, params[name]) for name in ("widen", "narrow"))
    hidden = np.asarray(nn.gelu(normed(x) @ widen["kernel"] + widen["bias"]))
    expected = np.asarray(x) + hidden @ narrow["kernel"] + narrow["bias"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_tokens_are_read_after_the_patches_of_their_cell():
    """Patches of 4 and tokens of 8 LR pixels over 8 x 16: two cells of four patches and a token."""
    patches, tokens = (Lattice.over((8, 16), n) for n in (4, 8))
    # Patches 0 1 2 3 above 4 5 6 7, then tokens 8 9.
    assert reading_order(patches, tokens).tolist() == [0, 1, 4, 5, 8, 2, 3, 6, 7, 9]


@pytest.mark.slow
def test_attention_reads_positions_of_patches_and_tokens():
    seen = []

    def watch(next_function, args, kwargs, context):
        if context.module.name == "look":
            seen.append(args[2:])
        return next_function(*args, **kwargs)

    encoder = LpTokens(**{**SMALL, "patch": 4, "spacing": 8, "layout": "cross"})
    with nn.intercept_methods(watch):
        encoder.init(jax.random.key(0), random_images(8, 16))
    ((tokens_at, patches_at),) = seen
    assert tokens_at.tolist() == [[4, 4], [4, 12]]
    assert patches_at.tolist() == [[r, c] for r in (2, 6) for c in (2, 6, 10, 14)]


def test_learned_vectors_repeat_over_larger_images():
    """In a flat image tokens differ by learned vectors and positions alone."""
    encoder = LpTokens(**{**SMALL, "blocks": 0})
    flat = jnp.full((1, 24, 16, 3), 0.5)
    params = encoder.init(jax.random.key(0), flat)
    params["params"]["position"]["kernel"] *= 0
    tokens = encoder.apply(params, flat)
    np.testing.assert_allclose(tokens[:, 2:4, 2:4], tokens[:, :2, :2], atol=1e-6)
    np.testing.assert_allclose(tokens[:, 4:6, :2], tokens[:, :2, :2], atol=1e-6)
    assert float(jnp.abs(tokens[:, 0] - tokens[:, 1]).max()) > 0.1


def test_detail_is_what_the_local_mean_leaves():
    """Brightness reaches patches through three channels, their detail through three more."""
    seen = []

    def watch(next_function, args, kwargs, context):
        if context.module.name == "embedding":
            seen.append(args[0])
        return next_function(*args, **kwargs)

    encoder, image = LpTokens(**SMALL), random_images(8, 8)
    with nn.intercept_methods(watch):
        encoder.init(jax.random.key(0), image)
        LpTokens(**{**SMALL, "detail": False}).init(jax.random.key(0), image)
    np.testing.assert_allclose(seen[1], 2 * image - 1, atol=1e-6)
    x = np.pad(np.asarray(image), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    mean = sum(x[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(seen[0][..., 3:], 32 * (np.asarray(image) - mean), atol=1e-4)


@pytest.mark.slow
def test_gradient_checkpointing_gives_the_same_gradients():
    image = random_images(8, 8)

    def gradient(remat):
        encoder = LpTokens(**SMALL, remat=remat)
        params = encoder.init(jax.random.key(0), image)
        return jax.jit(jax.grad(lambda p: jnp.sum(encoder.apply(p, image)[..., 0])))(params)

    for a, b in zip(*(jax.tree.leaves(gradient(remat)) for remat in (False, True)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_too_many_tokens_are_refused_before_memory_is():
    encoder = LpTokens(**{**SMALL, "heads": 4})
    encoder.check_size(256, 256)
    with pytest.raises(InputError, match="an image of 1000x900 makes 112500 tokens"):
        encoder.check_size(900, 1000)
    LpTokens(**{**SMALL, "mixer": "state_space"}).check_size(900, 1000)
