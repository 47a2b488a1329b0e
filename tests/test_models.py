import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr import models, render
from inr_sr.config import default
from inr_sr.coordinates import grid_axis, upright_footprint
from inr_sr.errors import InputError
from inr_sr.models import Model
from inr_sr.models.decoders.spectral import SpectralFunction
from inr_sr.models.field import Field
from tests.networks import random_images, random_model, small_config


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_edsr_baseline_is_the_published_one():
    """34 3x3 convolutions of 64 features: 1,220,416 parameters without the upsampler."""
    model = models.build(default().model)
    shapes = jax.eval_shape(lambda: models.init(model, jax.random.key(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["encoder"])) == 1_220_416


def test_liif_has_the_published_size():
    """Unfolded 64 features, offset and cell into 4 layers of 256: the 0.35 M of its paper."""
    config = default().model
    config.decoder = "liif"
    model = models.build(config)
    shapes = jax.eval_shape(lambda: models.init(model, jax.random.key(0)))
    expected = 580 * 256 + 256 + 3 * (256 * 256 + 256) + 256 * 3 + 3
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["decoder"])) == expected


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["spectral", "modulated", "liif", "pixel_shuffle"])
def test_receptive_field_is_true(decoder):
    """A pixel just outside changes nothing; one just inside does."""
    model, params = random_model(decoder)
    reach = model.receptive_field
    n = 2 * reach + 5
    image = random_images(n, n)
    scale = model.fixed_scale or 2
    axis = grid_axis(n, n * scale, cell=reach + 2, count=1)

    @jax.jit
    def centre(image):
        return render.grid(Field(None, model.apply({"params": params}, image).function), axis, axis)

    def change(distance):
        other = image.at[:, reach + 2 - distance, reach + 2 - distance].add(0.5)
        return float(jnp.abs(centre(other) - centre(image)).max())

    assert change(model.receptive_field + 1) == 0
    assert change(model.receptive_field) > 0


def test_liif_is_the_papers_function():
    """Unfolded features, offset and cell concatenated, MLP per corner, areas of the opposite."""
    model, params = random_model("liif")
    image = random_images(5, 6)
    features = model.apply({"params": params}, image, method=lambda m, x: m.encoder(x))
    field = model.apply({"params": params}, image).function
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params["decoder"])
    padded = np.pad(np.asarray(features, np.float64)[0], ((1, 1), (1, 1), (0, 0)))
    kernel = np.concatenate([p["unfold"]["kernel"].reshape(-1, 10), p["coordinate"]])

    def mlp(x):
        x = x @ kernel + p["unfold"]["bias"]
        for i in range(3):
            x = np.maximum(x, 0) @ p[f"kernel_{i}"] + p[f"bias_{i}"]
        return x

    def query(x, cell):
        corners = []
        for vr in (-0.5, 0.5):
            for vc in (-0.5, 0.5):
                r, c = np.floor([x[0] + vr, x[1] + vc]).astype(int)
                offset = np.array([x[0] - r - 0.5, x[1] - c - 0.5])
                unfolded = padded[r : r + 3, c : c + 3].reshape(-1)
                value = mlp(np.concatenate([unfolded, 2 * offset, 2 * np.asarray(cell)]))
                corners.append((abs(np.prod(offset)), value))
        areas = [area for area, _ in corners]
        return sum(a * v for a, (_, v) in zip(areas[::-1], corners)) / sum(areas)

    xs = np.random.default_rng(0).uniform(1.5, 3.5, (20, 2))
    cell = np.floor(xs).astype(np.int32)
    delta = (xs - cell - 0.5).astype(np.float32)
    size = np.array([0.4, 0.3], np.float32)
    footprint = upright_footprint(jnp.asarray(size)[None, None])
    found = field.points(jnp.asarray(cell)[None], jnp.asarray(delta)[None], footprint)[0]
    np.testing.assert_allclose(found, [query(x, size) for x in xs], atol=3e-5)


class ToVector(nn.Module):
    """An encoder whose latent is a vector: images of one size, [B, 6, 10, 3], to [B, 5]."""

    spacing = receptive_field = None
    init_shape = (6, 10, 3)

    @nn.compact
    def __call__(self, image):
        return nn.Dense(5)(image.reshape(len(image), -1))


class FromVector(nn.Module):
    """A decoder of vectors: waves on a lattice of its own, 3 x 2 cells, whatever the image was."""

    receptive_field = None

    @nn.compact
    def __call__(self, features, halo):
        cos, sin = (nn.Dense(3 * 2 * 3 * 4, name=n)(features) for n in ("cos", "sin"))
        return SpectralFunction(
            cos=cos.reshape(-1, 3, 2, 3, 4),
            sin=sin.reshape(-1, 3, 2, 3, 4),
            frequencies=jnp.linspace(-1, 1, 8).reshape(4, 2),
            kappa=jnp.float32(0.05),
            gains=jnp.zeros((4, 0)),
            smallest=0.25,
        )


@pytest.mark.slow
def test_a_latent_may_be_a_vector_without_a_lattice():
    """The field has a lattice of its own, no image is added to it, and it renders at any size."""
    model = Model(ToVector(), FromVector(), skip=True, trained_size=8)
    params = models.init(model, jax.random.key(0))
    images = random_images(6, 10, batch=2)
    latent = model.apply({"params": params}, images, method="encode")
    assert latent.features.shape == (2, 5)
    assert latent.image is None
    field = model.apply({"params": params}, latent, method="field")
    assert (field.image, field.function.lattice, field.batch) == (None, (3, 2), 2)
    rows, cols = grid_axis(3, 23), grid_axis(2, 17)
    whole = render.grid(field, rows, cols)
    assert whole.shape == (2, 23, 17, 3)
    strips = np.concatenate([strip.colours for strip in render.strips(field, rows, cols)], axis=1)
    np.testing.assert_allclose(strips, whole, atol=1e-5)
    pairs = [jnp.stack(jnp.meshgrid(r, c, indexing="ij"), -1)[None].repeat(2, 0)
             for r, c in ((rows.cell, cols.cell), (rows.delta, cols.delta))]  # fmt: skip
    size = jnp.array([[3 / 23, 2 / 17]] * 2, jnp.float32)
    np.testing.assert_allclose(render.patches(field, *pairs, size, slots=9), whole, atol=1e-5)


@pytest.mark.slow
def test_gradient_checkpointing_gives_the_same_gradients():
    config, image = small_config(), random_images(9, 9)
    params = models.init(models.build(config), jax.random.key(0))

    def gradient(remat):
        model = models.build(config, remat=remat)

        def loss(params):
            features = model.apply({"params": params}, image, method=lambda m, x: m.encoder(x))
            return jnp.mean(features**2)

        return jax.grad(loss)

    found = [jax.jit(gradient(remat))(params) for remat in (False, True)]
    for a, b in zip(*(jax.tree.leaves(tree) for tree in found), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    # A CPU's XLA merges the copies again, so memory shows nothing here: count the convolutions.
    kept, recomputed = (str(jax.make_jaxpr(gradient(remat))(params)) for remat in (False, True))
    convolution = "conv_general_dilated["
    assert recomputed.count(convolution) > kept.count(convolution)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoder", "changes", "worst"),
    [
        ("spectral", {}, 0.05),
        ("modulated", {}, 0.05),
        ("liif", {}, 0.05),
        ("modulated", {"encoder": "lp_tokens"}, 0.05),
        # Four numbers that depend on a token are multiplied, each with the token's own rounding:
        # the layer computed in float32 throughout would err as much.
        ("modulated", {"encoder": "lp_tokens", "lp_tokens": {"mixer": "state_space"}}, 0.15),
    ],
)
def test_bfloat16_computes_near_float32(decoder, changes, worst):
    model, params = random_model(decoder, **changes)
    half, _ = random_model(decoder, dtype="bfloat16", **changes)
    image, axis = random_images(8, 8), grid_axis(8, 20)
    fields = (m.apply({"params": params}, image).function for m in (model, half))
    fine, coarse = (render.grid(Field(None, field), axis, axis) for field in fields)
    assert coarse.dtype == jnp.float32
    assert {p.dtype.name for p in jax.tree.leaves(models.init(half, jax.random.key(0)))} == {
        "float32"
    }
    error = float(jnp.abs(fine - coarse).max())
    assert 0 < error < worst * float(jnp.abs(fine).max())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "vgg"}, r"model\.encoder 'vgg' must be one of edsr, lp_tokens"),
        (
            {"decoder": "mlp"},
            r"model\.decoder 'mlp' must be one of .*liif, modulated, pixel_shuffle, .*spectral",
        ),
        ({"dtype": "float16"}, r"model\.dtype 'float16' must be one of bfloat16, float32"),
        ({"spectral": {"bands": (1.0, 2.0)}}, "must rise and be as many as"),
        ({"spectral": {"bands": (1.0, 0.5, 2.0)}}, "must rise and be as many as"),
        ({"spectral": {"frequencies": (4.5, 8, 20)}}, "must be whole numbers"),
        ({"spectral": {"frequencies": (8, 8, 20_000)}}, "20016 waves.* at most 4096"),
        ({"spectral": {"max_scale": 0.5}}, "max_scale 0.5 must be finite and at least 1"),
    ],
)
def test_models_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        models.build(small_config(**changes))
