"""Small models with every parameter random: fresh ones are bicubic and would hide mistakes."""

import jax
import jax.numpy as jnp

from inr_sr import models
from inr_sr.configuration import default


def small_config(decoder="spectral", **changes):
    config = default()
    config.model.decoder = decoder
    config.model.edsr.features = 6
    config.model.edsr.blocks = 1
    config.model.spectral.frequencies = (2, 3, 4)
    config.model.spectral.width = 8
    config.model.liif.width = 10
    config.model.liif.layers = 3
    config.model.pixel_shuffle.scale = 3
    config.model.update(changes)
    return config.model


def random_model(decoder="spectral", seed=0, **changes):
    """A model and its parameters, large enough that fields differ visibly from bicubic."""
    model = models.build(small_config(decoder, **changes))
    params = models.init(model, jax.random.key(seed))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    noisy = [p + 0.2 * jax.random.normal(k, p.shape, p.dtype) for p, k in zip(leaves, keys)]
    params = jax.tree.unflatten(tree, noisy)
    for head in (params["decoder"][name] for name in ("cos", "sin") if decoder == "spectral"):
        head["kernel"] *= head["bias"].size // 3  # undoes the division by the number of waves
    return model, params


def random_picture(rows, cols, seed=0, batch=1):
    return jax.random.uniform(jax.random.key(seed), (batch, rows, cols, 3), jnp.float32)
