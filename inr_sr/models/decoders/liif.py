"""LIIF (arXiv 2012.09161): 3x3 unfold, cell decoding, local ensemble of 4 corners, an MLP.

The first layer is split. Its part on the unfolded features is a 3x3 convolution, once per LR pixel;
its part on the offset and the cell is added per query. The function equals the published one, with
this project's bicubic skip and zero last layer.
"""

import dataclasses
from typing import ClassVar, Self

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.coordinates import Axis
from inr_sr.models.field import GridTables, Take, grid_by_points, with_margin
from inr_sr.models.parts import KERNELS, LAYER_GROUPS, UNDECAYED, Shared, check_minimums


@flax.struct.dataclass
class LiifFunction:
    """First-layer features on the LR lattice and the rest of the MLP.

    Attributes:
      hidden: [B, h + 2, w + 2, W] first layer's share of the features, before its activation, on
        the lattice and one pixel around.
      lowest, highest: int32 [2] the first and last (row, col) of `hidden` inside the image; queries
        beyond an image's outermost centres use the nearest.
      coordinate: [4, W] first layer's weights of (offset row, col, cell row, col).
      layers: (kernel, bias) of the following layers.

    All are in the type of computation; outputs are float32.
    """

    hidden: jax.Array
    lowest: jax.Array
    highest: jax.Array
    coordinate: jax.Array
    layers: tuple[tuple[jax.Array, jax.Array], ...]

    prefers_grid: ClassVar[bool] = False
    spatial_arrays: ClassVar[tuple[str, ...]] = ("hidden",)
    margin: ClassVar[int] = 1

    @property
    def lattice(self) -> tuple[int, int]:
        """LR (rows, cols)."""
        return self.hidden.shape[1] - 2, self.hidden.shape[2] - 2

    def cut(self, rows: Axis, cols: Axis, take: Take) -> "LiifFunction":
        """See `field.FieldFunction.cut`."""
        first = jnp.stack([jnp.asarray(rows.first), jnp.asarray(cols.first)])
        last = jnp.array([rows.count + 1, cols.count + 1], jnp.int32)
        return dataclasses.replace(
            self,
            hidden=take(self.hidden, 1),
            lowest=jnp.maximum(self.lowest - first, 0),
            highest=jnp.minimum(self.highest - first, last),
        )

    def _mlp(self, x: jax.Array) -> jax.Array:
        for kernel, bias in self.layers:
            x = jnp.einsum("...i,io->...o", jax.nn.relu(x), kernel)
            x = x + bias.reshape((1,) * (x.ndim - 1) + (-1,))
        return x.astype(jnp.float32)

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """See `field.FieldFunction.points`; uses the footprint's extents along the axes alone."""
        batch, h, w, width = self.hidden.shape
        flat = self.hidden.reshape(batch, h * w, width)
        lowest, highest = self.lowest[None, None], self.highest[None, None]
        # The 4 LR centres around x: along each axis the cell's, and its neighbour's towards delta.
        side = jnp.where(delta < 0, -1, 1).astype(jnp.int32)
        total = jnp.zeros((batch, cell.shape[1], 3), jnp.float32)
        shape = jnp.sqrt(jnp.diagonal(footprint, axis1=-2, axis2=-1)).astype(jnp.float32)
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            move = side * jnp.array(corner, jnp.int32)[None, None]
            neighbour = jnp.clip(cell + move + 1, lowest, highest)
            offset = (cell + 1 - neighbour).astype(jnp.float32) + delta
            index = (neighbour[..., 0] * w + neighbour[..., 1])[..., None]
            # Units of the paper: coordinates in [-1, 1], scaled by the LR size, so 2 per pixel.
            inputs = 2 * jnp.concatenate([offset, jnp.broadcast_to(shape, offset.shape)], axis=-1)
            x = jnp.take_along_axis(flat, index, axis=1) + jnp.einsum(
                "bqi,io->bqo", inputs.astype(self.coordinate.dtype), self.coordinate
            )
            # Weight: area of the rectangle to the corner diagonally opposite; the four sum to 1.
            reach = jnp.abs(delta - move.astype(jnp.float32))
            total = total + jnp.prod(1 - reach, axis=-1, keepdims=True) * self._mlp(x)
        return total

    def tables(self, rows: Axis, cols: Axis) -> GridTables:
        """See `field.FieldFunction.tables`; there are none."""
        return (), ()

    def grid(self, rows: Axis, cols: Axis, tables: GridTables) -> jax.Array:
        """See `field.FieldFunction.grid`; in chunks of bounded memory."""
        return grid_by_points(self.points, self.hidden.shape[0], rows, cols)


class LiifDecoder(nn.Module):
    """Features [B, h + 2 halo, w + 2 halo, C] to a LiifFunction on [h, w].

    Attributes:
      width, layers: width and number of hidden layers of the MLP.
    """

    width: int
    layers: int
    dtype: jnp.dtype = jnp.float32

    receptive_field = 2  # 3x3 unfold around the corner one pixel away
    section = "liif"
    takes_tokens = False
    groups = ((UNDECAYED, r"bias_\d+$"), (KERNELS, r"(kernel_\d+|coordinate)$"), *LAYER_GROUPS)

    @staticmethod
    def default_config(shared: Shared) -> ConfigDict:
        """The attributes of the class, those of the published MLP."""
        return ConfigDict({"width": 256, "layers": 4})

    @classmethod
    def from_config(cls, model: ConfigDict, dtype: jnp.dtype, spacing: int) -> Self:
        """See `models.decoders`."""
        config = model.liif
        check_minimums("liif", config, {"width": 1, "layers": 1})
        return cls(config.width, config.layers, dtype)

    @property
    def last_layer(self) -> str:
        """See `models.decoders`."""
        return rf"kernel_{self.layers - 1}"

    @nn.compact
    def __call__(self, features: jax.Array, halo: int) -> LiifFunction:
        hidden = nn.Conv(self.width, (3, 3), dtype=self.dtype, name="unfold")(features)
        hidden = with_margin(hidden, halo, 1)
        around = min(halo, 1)  # without a halo the image ends here
        size = jnp.array(hidden.shape[1:3], jnp.int32)
        coordinate = self.param("coordinate", nn.initializers.lecun_normal(), (4, self.width))
        layers = []
        for i in range(self.layers):
            last = i == self.layers - 1
            init = nn.initializers.zeros if last else nn.initializers.lecun_normal()
            outputs = 3 if last else self.width
            layers.append(
                (
                    self.param(f"kernel_{i}", init, (self.width, outputs)),
                    self.param(f"bias_{i}", nn.initializers.zeros, (outputs,)),
                )
            )
        coordinate, layers = jax.tree.map(lambda p: p.astype(self.dtype), (coordinate, layers))
        return LiifFunction(
            hidden=hidden,
            lowest=jnp.full((2,), 1 - around, jnp.int32),
            highest=size - 2 + around,
            coordinate=coordinate,
            layers=tuple(layers),
        )
