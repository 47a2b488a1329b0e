"""Decoders that exist to be compared with."""

import itertools
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from inr_sr.models.field import with_margin
from inr_sr.models.parts import KERNELS, LAYER_GROUPS, UNDECAYED


@flax.struct.dataclass
class Passed:
    """Three features as the residual, constant over each LR pixel.

    Attributes:
      features: [B, h, w, 3].
    """

    features: jax.Array

    @property
    def lattice(self) -> tuple[int, int]:
        """LR (rows, cols)."""
        return self.features.shape[1], self.features.shape[2]

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """See `field.FieldFunction.points`."""
        batch, _, w, _ = self.features.shape
        index = (cell[..., 0] * w + cell[..., 1])[..., None]
        return jnp.take_along_axis(self.features.reshape(batch, -1, 3), index, axis=1)


class Pass(nn.Module):
    """The cheapest decoder that still needs its encoder's gradients."""

    receptive_field = 0
    takes_tokens = False
    groups = LAYER_GROUPS

    def __call__(self, features: jax.Array, halo: int) -> Passed:
        """The first three features as a field."""
        return Passed(with_margin(features, halo, 0)[..., :3])


@flax.struct.dataclass
class PublishedFunction:
    """LIIF's features, unfolded, and its MLP.

    Attributes:
      unfolded: [B, h, w, 9 C] the 3 x 3 features around each LR pixel.
      layers: (kernel, bias) of all layers; the first takes offset and cell too.
    """

    unfolded: jax.Array
    layers: tuple[tuple[jax.Array, jax.Array], ...]

    @property
    def lattice(self) -> tuple[int, int]:
        """LR (rows, cols)."""
        return self.unfolded.shape[1], self.unfolded.shape[2]

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """See `field.FieldFunction.points`; all of it at each query, four times."""
        batch, h, w, width = self.unfolded.shape
        flat = self.unfolded.reshape(batch, h * w, width)
        limit = jnp.array([h - 1, w - 1], jnp.int32)[None, None]
        side = jnp.where(delta < 0, -1, 1).astype(jnp.int32)
        size = jnp.sqrt(jnp.diagonal(footprint, axis1=-2, axis2=-1))
        total = jnp.zeros((batch, cell.shape[1], 3), jnp.float32)
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            move = side * jnp.array(corner, jnp.int32)[None, None]
            neighbour = jnp.clip(cell + move, 0, limit)
            offset = (cell - neighbour).astype(jnp.float32) + delta
            index = (neighbour[..., 0] * w + neighbour[..., 1])[..., None]
            near = jnp.take_along_axis(flat, index, axis=1)
            x = jnp.concatenate([near, 2 * offset, 2 * jnp.broadcast_to(size, offset.shape)], -1)
            for i, (kernel, bias) in enumerate(self.layers):
                x = jnp.dot(jax.nn.relu(x) if i else x, kernel) + bias[None, None]
            reach = jnp.abs(delta - move.astype(jnp.float32))
            total = total + jnp.prod(1 - reach, axis=-1, keepdims=True) * x
        return total


class PublishedLiif(nn.Module):
    """LIIF as its authors wrote it (arXiv 2012.09161): nothing is done once per LR pixel."""

    width: int
    layers: int

    receptive_field = 2
    takes_tokens = False
    groups = ((UNDECAYED, r"bias_\d+$"), (KERNELS, r"kernel_\d+$"))

    @nn.compact
    def __call__(self, features: jax.Array, halo: int) -> PublishedFunction:
        """The field of features without a halo, as in training."""
        assert halo == 0
        h, w = features.shape[1:3]
        padded = jnp.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
        shifts = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
        unfolded = jnp.concatenate(shifts, axis=-1)
        sizes = [unfolded.shape[-1] + 4, *[self.width] * self.layers, 3]
        layers: list[Any] = []
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            kernel = self.param(f"kernel_{i}", nn.initializers.lecun_normal(), (fan_in, fan_out))
            bias = self.param(f"bias_{i}", nn.initializers.zeros, (fan_out,))
            layers.append((kernel, bias))
        return PublishedFunction(unfolded, tuple(layers))
