import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr.errors import InputError
from inr_sr.models.discriminators import DISCRIMINATORS, STATISTICS
from tests.networks import random_images

BOTH = pytest.mark.parametrize("name", DISCRIMINATORS)


@functools.cache
def made(name, width=3):
    discriminator, nothing = DISCRIMINATORS[name](width), jnp.zeros((1, 16, 16, 3))
    return discriminator, jax.jit(discriminator.init)(jax.random.key(0), nothing, nothing)


def updated(discriminator, variables, times, image=None):
    """Variables after so many updates of the statistics."""
    x = jnp.zeros((1, 16, 16, 3)) if image is None else image

    @jax.jit
    def once(variables):
        _, moved = discriminator.apply(variables, x, x, update=True, mutable=[STATISTICS])
        return {**variables, **moved}

    for _ in range(times):
        variables = once(variables)
    return variables


@pytest.mark.parametrize(
    ("name", "parameters"),
    # Real-ESRGAN's takes 3 channels instead of 6; pix2pix's has batch normalisation.
    [("unet", 4_376_897 + 3 * 64 * 9), ("patch", 2_768_705 - 2 * (128 + 256 + 512))],
)
def test_sizes_are_the_published_ones(name, parameters):
    shapes = jax.eval_shape(lambda: made.__wrapped__(name, width=64)[1])
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == parameters


@BOTH
@pytest.mark.parametrize("size", [(16, 16), (24, 16), (128, 128)])
def test_there_is_a_logit_for_each_place(name, size):
    discriminator = DISCRIMINATORS[name](3)
    variables = jax.eval_shape(lambda: made.__wrapped__(name)[1])
    image = jax.ShapeDtypeStruct((2, *size, 3), jnp.float32)
    found = jax.eval_shape(discriminator.apply, variables, image, image)
    step = {"unet": 1, "patch": 8}[name]
    assert found.logits.shape == (2, size[0] // step, size[1] // step)
    assert {"unet": 9, "patch": 4}[name] == len(found.features)


@pytest.mark.slow
@BOTH
def test_sizes_that_cannot_be_halved_are_refused(name):
    discriminator, variables = made(name)
    for size in ((8, 8), (16, 20), (17, 16)):
        x = jnp.zeros((1, *size, 3))
        with pytest.raises(InputError, match=f"images of {size[0]}x{size[1]} pixels; sides must"):
            discriminator.apply(variables, x, x)


@pytest.mark.slow
@BOTH
def test_kernels_are_divided_by_their_largest_singular_value(name):
    discriminator, variables = made(name)
    variables = updated(discriminator, variables, 100)
    for layer, found in variables[STATISTICS].items():
        kernel = np.asarray(variables["params"][layer.removesuffix("_norm")]["kernel"])
        largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
        sigma = next(value for key, value in found.items() if key.endswith("/sigma"))
        np.testing.assert_allclose(sigma, largest, rtol=1e-3)
    normalised = set(variables["params"]) - {"first", "logits"}
    assert {f"{layer}_norm" for layer in normalised} == set(variables[STATISTICS])
    # So their size does not matter any more.
    scaled = {
        layer: jax.tree.map(lambda p, f=3.0 if layer in normalised else 1.0: f * p, value)
        for layer, value in variables["params"].items()
    }
    image = random_images(16, 16)
    np.testing.assert_allclose(
        discriminator.apply({**variables, "params": scaled}, image, image).logits,
        discriminator.apply(variables, image, image).logits,
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip


@BOTH
def test_statistics_are_of_the_kernels_alone(name):
    discriminator, variables = made(name)
    images = random_images(24, 16, batch=2)
    one, other = (updated(discriminator, variables, 2, x) for x in (None, images))
    jax.tree.map(np.testing.assert_array_equal, one, other)
    before = jax.tree.leaves(variables[STATISTICS])
    assert all(np.any(a != b) for a, b in zip(before, jax.tree.leaves(one[STATISTICS])))


@BOTH
def test_the_condition_and_the_image_matter_and_other_images_do_not(name):
    discriminator, variables = made(name)
    a, b = random_images(16, 16, seed=1, batch=2), random_images(16, 16, seed=2, batch=2)

    @jax.jit
    def logits(image, condition):
        return discriminator.apply(variables, image, condition).logits

    assert np.abs(logits(a, a) - logits(a, b)).max() > 1e-3
    assert np.abs(logits(a, a) - logits(b, a)).max() > 1e-3
    mixed = jnp.stack([a[0], b[1]])
    np.testing.assert_allclose(logits(mixed, a)[0], logits(a, a)[0], atol=1e-6)


def test_a_pixel_is_seen_by_its_patches_alone():
    """70 x 70 pixels are a PatchGAN's patch (arXiv 1611.07004)."""
    discriminator, variables = made("patch")
    image = random_images(128, 128)
    logits = jax.jit(lambda x: discriminator.apply(variables, x, image).logits[0, 8, 8])
    seen = np.abs(np.asarray(jax.grad(logits)(image))).max((0, 3)) > 0
    rows, cols = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    assert [rows[-1] - rows[0] + 1, cols[-1] - cols[0] + 1] == [70, 70]
