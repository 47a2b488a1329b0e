"""A network: encoder and decoder of one chain, image -> Field."""

import functools
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from inr_sr.coordinates import grid_axis
from inr_sr.models.field import SKIP_REACH, Field, framed, take


class Model(nn.Module):
    """encoder -> features -> decoder: LR pictures [B, h, w, 3] in [0, 1] to a Field."""

    encoder: nn.Module
    decoder: nn.Module
    skip: bool
    trained_size: int

    def __call__(self, image: jax.Array, halo: int = 0) -> Field:
        """The Field of LR pictures.

        Args:
          image: [B, h + 2 halo, w + 2 halo, 3] in [0, 1].
          halo: LR pixels around the [h, w] that the field covers; 0: pictures end at their borders.
        """
        residual = self.decoder(self.encoder(image), halo)
        size = (image.shape[1] - 2 * halo, image.shape[2] - 2 * halo)
        if residual.lattice != size:  # tokens reach beyond a picture that they do not divide
            rows, cols = (grid_axis(n, n) for n in size)
            residual = residual.cut(rows, cols, functools.partial(take, rows, cols))
        return Field(framed(image, halo, SKIP_REACH) if self.skip else None, residual)

    @property
    def receptive_field(self) -> int | None:
        """LR pixels beyond its own that any output pixel depends on; None: the whole picture.

        A model of whole pictures is at its best on pictures like those it was trained on: larger
        ones are for squares of `trained_size` LR pixels, see `halo`.
        """
        parts = self.encoder.receptive_field, self.decoder.receptive_field
        return None if None in parts else max(sum(parts), SKIP_REACH)

    def halo(self, size: tuple[int, int]) -> int:
        """LR pixels that tiles of a picture of this (rows, cols) are to see around them."""
        if self.receptive_field is not None:
            return self.receptive_field
        return 0 if max(size) <= self.trained_size else self.trained_size // 8

    @property
    def fixed_scale(self) -> int | None:
        """The only scale the model knows, or None when it answers at any."""
        return getattr(self.decoder, "scale", None)

    def last_layer(self, params: Any) -> list[jax.Array]:
        """Of `params` those that the residual is linear in: the decoder's `last_layer`."""
        leaves = jax.tree_util.tree_leaves_with_path(params["decoder"])
        named = {"/".join(key.key for key in path): leaf for path, leaf in leaves}
        found = [x for name, x in named.items() if re.fullmatch(self.decoder.last_layer, name)]
        if not found:
            raise ValueError(
                f"no parameter of the decoder is its last layer {self.decoder.last_layer!r}"
            )
        return found

    def check_slots(self, rows: int, cols: int) -> None:
        """Raises InputError where so many output pixels in an LR pixel are too many."""
        if hasattr(self.decoder, "check_slots"):
            self.decoder.check_slots(rows, cols)


def init(model: Model, key: jax.Array) -> Any:
    """Fresh parameters, float32."""
    return model.init(key, jnp.zeros((1, 8, 8, 3), jnp.float32))["params"]
