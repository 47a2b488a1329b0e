"""Controls that are wrong on purpose, for experiments that show what each mistake costs.

Importing this module adds them to the tables of the library, which knows nothing of them. The
programs and the diagnosis do so; to load the weights of a control, `import inr_sr.studies.controls`
first.

    data.targets = pseudo_hr            the LR image enlarged by bicubic: teaches only bicubic
    data.targets = raw_hr               jittered queries keep their pixel's colour: teaches a blur
    model.decoder = end_points          the first and the last output pixel and token lie on the
                                        image's border
    model.decoder = raster_distance     tokens are as far apart as along the rows of the image

The decoders are modulated ones with model.modulated.frame = picture and nearest = 0.
"""

from typing import ClassVar, Self

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.data.samples import TARGETS, Target, lr_colours, pixel_colours
from inr_sr.errors import InputError
from inr_sr.models.decoders import DECODERS
from inr_sr.models.decoders.modulated import ModulatedDecoder, ModulatedFunction
from inr_sr.models.decoders.modulated.layers import Location


@flax.struct.dataclass
class EndPointsFunction(ModulatedFunction):
    """A ModulatedFunction whose output pixels and tokens reach from border to border."""

    def token_centres(self) -> tuple[jax.Array, jax.Array]:
        """See `ModulatedFunction.token_centres`."""
        rows, cols = (jnp.linspace(0, n * self.spacing, n) for n in self.tokens)
        return rows, cols

    def image_positions(self, location: Location, footprint: jax.Array) -> jax.Array:
        """See `ModulatedFunction.image_positions`."""
        size = jnp.sqrt(jnp.diagonal(footprint, axis1=-2, axis2=-1))
        extent = self.spacing * jnp.array(self.tokens, size.dtype)[None, None]
        number = location.position / size - 0.5
        return number * extent / jnp.maximum(extent / size - 1, 1)


@flax.struct.dataclass
class RasterDistanceFunction(ModulatedFunction):
    """A ModulatedFunction that measures distances along the rows, one row after the other."""

    def squared_to_all(self, position: jax.Array) -> jax.Array:
        """See `ModulatedFunction.squared_to_all`."""
        rows, cols = self.tokens
        number = jnp.arange(rows * cols, dtype=position.dtype)
        own = jnp.floor(position[..., 0] / self.spacing) * cols
        own = own + position[..., 1] / self.spacing - 0.5
        return jnp.square(self.spacing * (own[..., None] - number[None, None]))


class _Control(ModulatedDecoder):
    """A modulated decoder of frame "picture" that attends to all tokens."""

    @classmethod
    def from_config(cls, model: ConfigDict, dtype: jnp.dtype, spacing: int) -> Self:
        """See `models.decoders`."""
        own = model.modulated
        if (own.frame, own.nearest) != ("picture", 0):
            raise InputError(
                f"model.decoder {model.decoder!r} needs model.modulated.frame 'picture' and "
                f"nearest 0, not {own.frame!r} and {own.nearest}"
            )
        return super().from_config(model, dtype, spacing)


class EndPointsDecoder(_Control):
    """Makes an EndPointsFunction."""

    function: ClassVar[type[ModulatedFunction]] = EndPointsFunction


class RasterDistanceDecoder(_Control):
    """Makes a RasterDistanceFunction."""

    function: ClassVar[type[ModulatedFunction]] = RasterDistanceFunction


DECODERS.update(end_points=EndPointsDecoder, raster_distance=RasterDistanceDecoder)
TARGETS.update(
    pseudo_hr=Target(lr_colours),
    raw_hr=Target(pixel_colours, needs_jitter=True),
)
