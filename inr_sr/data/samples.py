"""From HR crops to training samples, on the device: LR patch, queries, target colours.

Scale is data, not shape: each sample has its own, and one program serves all scales.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.coordinates import located
from inr_sr.data.edges import most_edges
from inr_sr.errors import InputError
from inr_sr.models.field import SKIP_REACH, with_margin
from inr_sr.resampling import CUBIC_REACH, bicubic, resample

MIN_PATCH = 4  # LR pixels a side
LAYOUTS = ("points", "square")
JITTERS = ("normal", "uniform")


@flax.struct.dataclass
class Batch:
    """Training samples.

    Attributes:
      lr: [B, patch, patch, 3] in [0, 1], rounded to 8 bits like an image file.
      cell: int32 [B, Q, 2] LR pixel of each query.
      delta: [B, Q, 2] its offset from that pixel's centre, LR pixels.
      size: [B, 2] sides of an output pixel, LR pixels.
      target: [B, Q, 3] target colours in [0, 1].
    """

    lr: jax.Array
    cell: jax.Array
    delta: jax.Array
    size: jax.Array
    target: jax.Array


def default_config() -> ConfigDict:
    """The fields of `config.data` that describe samples; see `Sampling`."""
    config = ConfigDict()
    config.patch = 32
    config.other_patches = ()  # smaller sides; each step draws one of all sides
    config.candidates = 1
    config.min_scale = 1.0
    config.max_scale = 4.0
    config.queries = 2304
    config.layout = "points"  # points | square
    config.targets = "hr"  # hr | lr
    config.jitter = 0.0
    config.jitter_shape = "uniform"  # uniform | normal
    return config


@dataclasses.dataclass(frozen=True)
class Sampling:
    """The kind of training samples; fields as in `config.data`.

    Attributes:
      patch: side of the LR patch, LR pixels.
      min_scale, max_scale: scales are uniform between them.
      queries: queried pixels per patch.
      layout: "points": random pixels of the patch; "square": a square of neighbouring pixels.
      candidates: crops per sample, of which the one with most edges is used.
      targets: a name in TARGETS.
      jitter: size of random offsets from pixel centres, output pixels.
      jitter_shape: "uniform": `jitter` is their width; "normal": their standard deviation.

    Raises:
      InputError: an unknown name, a number out of range, or numbers that do not fit together.
    """

    patch: int
    min_scale: float
    max_scale: float
    queries: int
    layout: str
    candidates: int
    targets: str
    jitter: float
    jitter_shape: str

    def __post_init__(self) -> None:
        for name, allowed in (
            ("layout", LAYOUTS), ("targets", tuple(TARGETS)), ("jitter_shape", JITTERS),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"data.{name} {getattr(self, name)!r} must be one of {', '.join(allowed)}"
                )
        if not 1 <= self.min_scale <= self.max_scale < math.inf:
            raise InputError(
                f"data.min_scale {self.min_scale} and data.max_scale {self.max_scale} must be "
                "finite and 1 <= min_scale <= max_scale"
            )
        if self.patch < MIN_PATCH or self.queries < 1:
            raise InputError(
                f"data.patch {self.patch} must be at least {MIN_PATCH} and data.queries "
                f"{self.queries} at least 1"
            )
        if self.candidates < 1:
            raise InputError(f"data.candidates {self.candidates} must be at least 1")
        if not 0 <= self.jitter < math.inf:
            raise InputError(f"data.jitter {self.jitter} must be at least 0, and finite")
        if self.jitter and self.layout == "square":
            raise InputError(
                f"data.jitter {self.jitter} needs data.layout 'points', not {self.layout!r}: "
                "squares consist of whole pixels"
            )
        if TARGETS[self.targets].needs_jitter and not self.jitter:
            raise InputError(f"data.targets {self.targets!r} needs data.jitter above 0, not 0.0")
        side = self.side
        smallest = self.patch if TARGETS[self.targets].of_lr else int(self.patch * self.min_scale)
        if self.layout == "square" and (side**2 != self.queries or side > smallest):
            raise InputError(
                f"data.layout 'square' needs data.queries to be a square of a side up to "
                f"{smallest} (the patch, times min_scale unless targets are lr), not {self.queries}"
            )

    @property
    def side(self) -> int:
        """Side of the square of all queries, output pixels."""
        return math.isqrt(self.queries)

    @property
    def border(self) -> int:
        """HR pixels around the patch that its outermost LR pixels depend on."""
        return math.ceil(CUBIC_REACH * self.max_scale)

    @property
    def crop(self) -> int:
        """Side of the HR crop of a sample, HR pixels, border included."""
        return math.ceil(self.patch * self.max_scale) + 2 * self.border


def make_batch(keys: jax.Array, crops: jax.Array, spec: Sampling) -> Batch:
    """Samples from HR crops.

    Args:
      keys: [B] random keys, one per sample, so that a sample does not depend on its batch.
      crops: uint8 [B, candidates, crop, crop, 3]; each sample uses one candidate.
      spec: the kind of samples.

    Returns:
      A Batch of B samples.
    """
    return jax.vmap(lambda key, candidates: _sample(key, candidates, spec))(keys, crops)


def squares(values: jax.Array) -> jax.Array:
    """Values [B, Q, n] of the queries of layout "square" as [B, side, side, n]."""
    side = math.isqrt(values.shape[1])
    return values.reshape(len(values), side, side, -1)


class QueriedSample(NamedTuple):
    """A sample before its target colours are known.

    Attributes:
      hr: [crop, crop, 3] the HR crop in [0, 1], its border included.
      lr: [patch, patch, 3] the LR patch in [0, 1].
      scale: of this sample, HR pixels per LR pixel; a scalar, traced.
      pixel: int32 [Q, 2] the pixel of each query, counted from the patch's corner.
      position: [Q, 2] of each query, LR pixels from the patch's corner; with jitter, off the
        pixel's centre.
      spec: the kind of samples.
    """

    hr: jax.Array
    lr: jax.Array
    scale: jax.Array
    pixel: jax.Array
    position: jax.Array
    spec: Sampling


class Target(NamedTuple):
    """A kind of target.

    Attributes:
      colours: from a sample to the colours [Q, 3] of its queries.
      of_lr: whether queries are pixels of the LR image instead of the HR image.
      needs_jitter: whether jitter must be above 0: without it the target would be "hr".
    """

    colours: Callable[[QueriedSample], jax.Array]
    of_lr: bool = False
    needs_jitter: bool = False


def pixel_colours(sample: QueriedSample) -> jax.Array:
    """The colours of the queried HR pixels, jitter ignored."""
    row, col = jnp.moveaxis(sample.pixel + sample.spec.border, -1, 0)
    return sample.hr[row, col]


def hr_colours(sample: QueriedSample) -> jax.Array:
    """The HR image at the queries' positions, bicubic between pixels."""
    if not sample.spec.jitter:
        return pixel_colours(sample)
    position = sample.position * sample.scale + (sample.spec.border - SKIP_REACH)
    return _interpolated(sample.hr[None], position)


def lr_colours(sample: QueriedSample) -> jax.Array:
    """The LR image's bicubic enlargement at the queries' positions."""
    return _interpolated(with_margin(sample.lr[None], 0, SKIP_REACH), sample.position)


TARGETS: dict[str, Target] = {
    "hr": Target(hr_colours),
    "lr": Target(lr_colours, of_lr=True),
}


def _sample(key: jax.Array, crops: jax.Array, spec: Sampling) -> Batch:
    k_scale, k_augment, k_pixels = jax.random.split(key, 3)
    scale = jax.random.uniform(k_scale, (), minval=spec.min_scale, maxval=spec.max_scale)
    # Before the choice: which part of a crop is used depends on its orientation.
    crops = jax.vmap(_augment, in_axes=(None, 0))(k_augment, crops)
    crop = most_edges(crops, spec.border, spec.patch * scale) if spec.candidates > 1 else crops[0]
    origin = jnp.full((2,), spec.border, jnp.float32)
    hr = crop.astype(jnp.float32) / 255
    lr = resample(hr, (spec.patch, spec.patch), origin, scale, max_step=spec.max_scale)
    lr = jnp.floor(255 * jnp.clip(lr, 0, 1) + 0.5) / 255
    target = TARGETS[spec.targets]
    # Target pixel j has its centre at (j + 0.5) / density.
    density = jnp.ones_like(scale) if target.of_lr else scale
    pixel = _pixels(k_pixels, spec, jnp.floor(spec.patch * density + 0.5))
    x = (pixel.astype(jnp.float32) + 0.5) / density
    if spec.jitter:
        x = _jittered(jax.random.fold_in(k_pixels, 1), x, density, spec)
    cell, delta = located(x, last=spec.patch - 1, xp=jnp)
    return Batch(
        lr=lr,
        cell=cell,
        delta=delta,
        size=jnp.full((2,), 1 / density),
        target=target.colours(QueriedSample(hr, lr, scale, pixel, x, spec)),
    )


def _augment(key: jax.Array, crop: jax.Array) -> jax.Array:
    """One of the 8 flips and rotations of a square crop [c, c, 3]."""
    flip_rows, flip_cols, transpose = jax.random.bernoulli(key, 0.5, (3,))
    crop = jnp.where(flip_rows, crop[::-1], crop)
    crop = jnp.where(flip_cols, crop[:, ::-1], crop)
    return jnp.where(transpose, crop.transpose(1, 0, 2), crop)


def _pixels(key: jax.Array, spec: Sampling, extent: jax.Array) -> jax.Array:
    """Random queried pixels, int32 [Q, 2], of a patch of `extent` (traced) pixels a side."""
    side = spec.side
    if spec.layout == "points":
        u = jax.random.uniform(key, (spec.queries, 2))
        return jnp.minimum(jnp.floor(u * extent), extent - 1).astype(jnp.int32)
    corner = jnp.floor(jax.random.uniform(key, (2,)) * (extent - side + 1)).astype(jnp.int32)
    square = jnp.stack(jnp.meshgrid(*[jnp.arange(side, dtype=jnp.int32)] * 2, indexing="ij"), -1)
    return square.reshape(-1, 2) + corner[None]


def _jittered(key: jax.Array, centre: jax.Array, density: jax.Array, spec: Sampling) -> jax.Array:
    """Random positions [Q, 2] around pixel centres, LR pixels, clipped to the patch."""
    if spec.jitter_shape == "uniform":
        moved = jax.random.uniform(key, centre.shape, minval=-0.5, maxval=0.5)
    else:
        moved = jax.random.normal(key, centre.shape)
    return jnp.clip(centre + spec.jitter * moved / density, 0, spec.patch)


def _interpolated(image: jax.Array, x: jax.Array) -> jax.Array:
    """Bicubic values [Q, 3] of [1, h + 4, w + 4, 3] at positions [Q, 2] of the [h, w] inside."""
    cell, delta = located(x, xp=jnp)
    return bicubic.sample(image, cell[None], delta[None])[0]
