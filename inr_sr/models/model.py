"""The chain: image -> encode -> Latent -> field -> Field, which `render` queries at any scale."""

import functools
import re

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.tree_util import DictKey

from inr_sr.coordinates import grid_axis
from inr_sr.models.field import SKIP_REACH, Field, FieldFunction, take, with_margin
from inr_sr.models.parts import Labels, Params, group_of


@flax.struct.dataclass
class Latent:
    """An encoded image.

    Attributes:
      features: [B, H, W, C] on the lattice of LR pixels or tokens, halo included; or [B, n], a
        vector without a lattice, whose field has the decoder's own.
      image: [B, h + 2 halo, w + 2 halo, 3] the LR image that the field enlarges; None for a vector.
      halo: LR pixels around the [h, w] that the field covers.
    """

    features: jax.Array
    image: jax.Array | None
    halo: int = flax.struct.field(pytree_node=False, default=0)


class Model(nn.Module):
    """An encoder and a decoder; calling it composes `encode` and `field`.

    Attributes:
      encoder: see `models.encoders`.
      decoder: see `models.decoders`.
      skip: whether the field's function is added to the bicubic enlargement of the LR image.
      trained_size: side of the training patches, LR pixels; the largest tile of a model whose
        receptive field is the whole image.
    """

    encoder: nn.Module
    decoder: nn.Module
    skip: bool
    trained_size: int

    def __call__(self, image: jax.Array, halo: int = 0) -> Field:
        """The Field of images; arguments as of `encode`."""
        return self.field(self.encode(image, halo))

    def encode(self, image: jax.Array, halo: int = 0) -> Latent:
        """Encodes images.

        Args:
          image: [B, h + 2 halo, w + 2 halo, 3] in [0, 1].
          halo: LR pixels around the [h, w] that the field covers; 0: the field covers all of it.
        """
        features = self.encoder(image)
        return Latent(features, None if self.encoder.spacing is None else image, halo)

    def field(self, latent: Latent) -> Field:
        """The Field of a Latent."""
        function = self.decoder(latent.features, latent.halo)
        if latent.image is None:
            return Field(None, function)
        return _super_resolution_field(function, latent.image, latent.halo, self.skip)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input that is large enough to initialise parameters."""
        return (1, *self.encoder.init_shape)

    @property
    def receptive_field(self) -> int | None:
        """LR pixels beyond its own that an output pixel depends on; None: the whole image."""
        parts = self.encoder.receptive_field, self.decoder.receptive_field
        return None if None in parts else max(sum(parts), SKIP_REACH)

    def halo(self, size: tuple[int, int]) -> int:
        """LR pixels that tiles of an image of this (rows, cols) need around them.

        A model that depends on the whole image was trained on `trained_size` pixels a side; larger
        images are cut into tiles of about that size, whose halo is a compromise.
        """
        if self.receptive_field is not None:
            return self.receptive_field
        return 0 if max(size) <= self.trained_size else self.trained_size // 8

    @property
    def fixed_scale(self) -> int | None:
        """The only scale that the model can render; None: any scale."""
        return getattr(self.decoder, "scale", None)

    def labels(self, params: Params) -> Labels:
        """The optimizer group of each parameter, a tree like `params`; see `parts.Groups`.

        Raises:
          ValueError: no rule of the encoder or decoder covers a parameter.
        """
        groups = {"encoder": self.encoder.groups, "decoder": self.decoder.groups}

        def label(path: tuple[DictKey, ...], _: jax.Array) -> str:
            name = "/".join(str(key.key) for key in path)
            return group_of(name, groups[path[0].key])

        labels: Labels = jax.tree_util.tree_map_with_path(label, params)
        return labels

    def last_layer(self, params: Params) -> list[jax.Array]:
        """The kernels of the decoder's output in `params`; see `models.decoders`."""
        leaves = jax.tree_util.tree_leaves_with_path(params["decoder"])
        named = {"/".join(key.key for key in path): leaf for path, leaf in leaves}
        found = [x for name, x in named.items() if re.fullmatch(self.decoder.last_layer, name)]
        if not found:
            raise ValueError(
                f"no parameter of the decoder is its last layer {self.decoder.last_layer!r}"
            )
        return found

    def check_slots(self, rows: int, cols: int) -> None:
        """Raises InputError where rows x cols output pixels per LR pixel are too many to render."""
        if hasattr(self.decoder, "check_slots"):
            self.decoder.check_slots(rows, cols)


def _super_resolution_field(
    function: FieldFunction, image: jax.Array, halo: int, skip: bool
) -> Field:
    """The function on the lattice of the LR image, and the image if there is a skip."""
    size = (image.shape[1] - 2 * halo, image.shape[2] - 2 * halo)
    if function.lattice != size:  # tokens cover more than an image of another size than theirs
        rows, cols = (grid_axis(n, n) for n in size)
        function = function.cut(rows, cols, functools.partial(take, rows, cols))
    return Field(with_margin(image, halo, SKIP_REACH) if skip else None, function)


def init(model: Model, key: jax.Array) -> Params:
    """Initial parameters, nested dicts of float32 arrays."""
    params: Params = model.init(key, jnp.zeros(model.input_shape, jnp.float32))["params"]
    return params
