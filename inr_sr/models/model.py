"""The chain: an input is encoded once to a Latent, which makes a Field, which answers any query."""

import functools
import re
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from inr_sr.coordinates import grid_axis
from inr_sr.models.field import SKIP_REACH, Field, FieldFunction, take, with_margin
from inr_sr.models.parts import group_of


@flax.struct.dataclass
class Latent:
    """What an encoder makes of its input.

    Attributes:
      features: [B, H, W, C] on a lattice, of LR pixels or of tokens, those of the halo included; or
        [B, n], a vector without a lattice: the field's lattice is then the decoder's own.
      image: [B, h + 2 halo, w + 2 halo, 3] the LR image that the field enlarges; None for a vector,
        which is of no size.
      halo: LR pixels around the [h, w] that the field covers.
    """

    features: jax.Array
    image: jax.Array | None
    halo: int = flax.struct.field(pytree_node=False, default=0)


class Model(nn.Module):
    """encode -> Latent -> field -> Field; calling it composes the two.

    Attributes:
      encoder: see `models.encoders`.
      decoder: see `models.decoders`.
      skip: whether the field's function is added to the bicubic enlargement of the LR image.
      trained_size: side of the images it was trained on, LR pixels; used by a model whose receptive
        field is the whole image.
    """

    encoder: nn.Module
    decoder: nn.Module
    skip: bool
    trained_size: int

    def __call__(self, image: jax.Array, halo: int = 0) -> Field:
        """The Field of images; the arguments are those of `encode`."""
        return self.field(self.encode(image, halo))

    def encode(self, image: jax.Array, halo: int = 0) -> Latent:
        """Encodes images.

        Args:
          image: [B, h + 2 halo, w + 2 halo, 3] in [0, 1].
          halo: LR pixels around the [h, w] that the field covers; 0: images end at their borders.
        """
        features = self.encoder(image)
        return Latent(features, None if self.encoder.spacing is None else image, halo)

    def field(self, latent: Latent) -> Field:
        """The Field of a Latent."""
        function = self.decoder(latent.features, latent.halo)
        if latent.image is None:
            return Field(None, function)
        return _enlarging(function, latent.image, latent.halo, self.skip)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input from which parameters can be made."""
        return (1, *self.encoder.init_shape)

    @property
    def receptive_field(self) -> int | None:
        """LR pixels beyond its own that any output pixel depends on; None: the whole image.

        A model of whole images is at its best on images like those it was trained on: larger ones
        are cut into squares of `trained_size` LR pixels, see `halo`.
        """
        parts = self.encoder.receptive_field, self.decoder.receptive_field
        return None if None in parts else max(sum(parts), SKIP_REACH)

    def halo(self, size: tuple[int, int]) -> int:
        """LR pixels that tiles of an image of this (rows, cols) need around them."""
        if self.receptive_field is not None:
            return self.receptive_field
        return 0 if max(size) <= self.trained_size else self.trained_size // 8

    @property
    def fixed_scale(self) -> int | None:
        """The only scale the model can render, or None when it renders any."""
        return getattr(self.decoder, "scale", None)

    def labels(self, params: Any) -> Any:
        """The optimizer group of each parameter, in the form of `params`; see `parts`.

        Raises:
          ValueError: a parameter that no rule of its encoder or decoder covers.
        """
        groups = {"encoder": self.encoder.groups, "decoder": self.decoder.groups}

        def label(path: tuple[Any, ...], _: Any) -> str:
            name = "/".join(str(key.key) for key in path)
            return group_of(name, groups[path[0].key])

        return jax.tree_util.tree_map_with_path(label, params)

    def last_layer(self, params: Any) -> list[jax.Array]:
        """The kernels in `params` that the field's function is linear in, see `models.decoders`."""
        leaves = jax.tree_util.tree_leaves_with_path(params["decoder"])
        named = {"/".join(key.key for key in path): leaf for path, leaf in leaves}
        found = [x for name, x in named.items() if re.fullmatch(self.decoder.last_layer, name)]
        if not found:
            raise ValueError(
                f"no parameter of the decoder is its last layer {self.decoder.last_layer!r}"
            )
        return found

    def check_slots(self, rows: int, cols: int) -> None:
        """Raises InputError where a decoder cannot render so many output pixels in an LR pixel."""
        if hasattr(self.decoder, "check_slots"):
            self.decoder.check_slots(rows, cols)


def _enlarging(function: FieldFunction, image: jax.Array, halo: int, skip: bool) -> Field:
    """Super-resolution: the function on the LR image's own lattice, and the image for the skip."""
    size = (image.shape[1] - 2 * halo, image.shape[2] - 2 * halo)
    if function.lattice != size:  # tokens reach beyond an image that they do not divide
        rows, cols = (grid_axis(n, n) for n in size)
        function = function.cut(rows, cols, functools.partial(take, rows, cols))
    return Field(with_margin(image, halo, SKIP_REACH) if skip else None, function)


def init(model: Model, key: jax.Array) -> Any:
    """New parameters, nested dicts of float32 arrays."""
    return model.init(key, jnp.zeros(model.input_shape, jnp.float32))["params"]
