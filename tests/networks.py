"""Small models and fields of random numbers, images for them, and memory that is short.

Fresh models are bicubic and would hide mistakes.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr import models
from inr_sr.config import default
from inr_sr.models.decoders.spectral import SpectralFunction
from inr_sr.upscaling import encoded


def small_config(decoder="spectral", **changes):
    config = default()
    config.model.decoder = decoder
    config.model.edsr.features = 6
    config.model.edsr.blocks = 1
    config.model.spectral.frequencies = (2, 3, 4)
    config.model.spectral.width = 8
    config.model.modulated.hidden = 12
    config.model.modulated.features = 8
    config.model.modulated.heads = 2
    config.model.lp_tokens.width = 8
    config.model.lp_tokens.heads = 2
    config.model.lp_tokens.blocks = 1
    config.model.lp_tokens.learned = 2
    config.model.liif.width = 10
    config.model.liif.layers = 3
    config.model.pixel_shuffle.scale = 3
    config.model.update(changes)
    return config.model


def random_model(decoder="spectral", seed=0, **changes):
    """A model and its parameters, large enough that fields differ visibly from bicubic."""
    model = models.build(small_config(decoder, **changes))
    params = jax.jit(functools.partial(models.init, model))(jax.random.key(seed))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    noisy = [p + 0.2 * jax.random.normal(k, p.shape, p.dtype) for p, k in zip(leaves, keys)]
    params = jax.tree.unflatten(tree, noisy)
    for head in (params["decoder"][name] for name in ("cos", "sin") if decoder == "spectral"):
        head["kernel"] *= head["bias"].size // 3  # undoes the division by the number of waves
    return model, params


def random_images(rows, cols, seed=0, batch=1):
    return jax.random.uniform(jax.random.key(seed), (batch, rows, cols, 3), jnp.float32)


def noise_image(rows, cols, channels=3, seed=0):
    """Mid grey with some noise, so that little of the output is clipped; NumPy, [h, w, c]."""
    noise = np.random.default_rng(seed).random((rows, cols, channels), np.float32)
    return np.float32(0.35) + np.float32(0.3) * noise


def waves(seed, size, count=5, batch=1):
    """A spectral field of random numbers."""
    keys = jax.random.split(jax.random.key(seed), 4)
    return SpectralFunction(
        cos=jax.random.normal(keys[0], (batch, *size, 3, count)),
        sin=jax.random.normal(keys[1], (batch, *size, 3, count)),
        frequencies=2 * jax.random.normal(keys[2], (count, 2)),
        kappa=jnp.float32(0.05),
        gains=jax.random.normal(keys[3], (count, 3)),
        smallest=0.25,
    )


def no_memory_beyond(monkeypatch, side):
    """Encoding a tile that is longer, its halo not counted, runs out of memory."""
    encode_tile = encoded.encode_tile

    def limited(model, params, tile, halo):
        if max(tile.shape) > side + 2 * halo:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return encode_tile(model, params, tile, halo)

    monkeypatch.setattr(encoded, "encode_tile", limited)
