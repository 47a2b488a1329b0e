"""The modulated Fourier decoder: its module and parameters; equations in `function`."""

import functools
import math
from typing import ClassVar, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import Initializer
from ml_collections import ConfigDict

from inr_sr.errors import InputError
from inr_sr.models.decoders.modulated.function import ModulatedFunction
from inr_sr.models.decoders.modulated.grid import CellwiseModulatedFunction
from inr_sr.models.decoders.modulated.layers import Affine, Band, FourierLayer, nearest_offsets
from inr_sr.models.field import with_margin
from inr_sr.models.fourier import (
    HALF_AT_NYQUIST,
    INITIALISATIONS,
    MAX_ALPHA,
    band_initialisers,
)
from inr_sr.models.mixers import initial_widths
from inr_sr.models.parts import (
    FREQUENCIES,
    KERNELS,
    LAYER_GROUPS,
    UNDECAYED,
    Shared,
    all_positive,
    bands_of,
    check_choice,
    check_max_scale,
    check_minimums,
)

FRAMES = ("cell", "picture")


class ModulatedDecoder(nn.Module):
    """Tokens [B, H, W, C], or features of every LR pixel, to a CellwiseModulatedFunction.

    Attributes:
      initialisation, bands, alpha, lr_size: see `fourier.band_initialisers`; the frequencies of
        the query's layer start as the first band's.
      features: Fourier features per band, even: a cosine and a sine for each wave.
      hidden: width d of all layers.
      layers: residual layers per band, from the second band on.
      heads: attention heads; they divide `hidden`.
      nearest: how many tokens a query attends to, the nearest to its cell; 0: all tokens.
      frame: where positions that waves see are counted from. "cell": the centre of the query's
        token cell; "picture": the image's corner.
      fades: whether larger output pixels attenuate waves (heat kernel, as in `spectral`).
      max_scale: largest trained scale; smaller output pixels are treated as that scale's.
      spacing: LR pixels between tokens.
      skip: whether the field is added to bicubic; its output layers then start at zero.
    """

    initialisation: str
    bands: tuple[float, ...]
    alpha: float
    lr_size: int
    features: int
    hidden: int
    layers: int
    heads: int
    nearest: int
    frame: str
    fades: bool
    max_scale: float
    spacing: int
    skip: bool
    dtype: jnp.dtype = jnp.float32

    last_layer = r"output_\d+/kernel"
    section = "modulated"
    takes_tokens = True
    # What the decoder returns.
    function: ClassVar[type[ModulatedFunction]] = CellwiseModulatedFunction
    groups = (
        (FREQUENCIES, r"frequencies_(\d+|query)$"),
        (UNDECAYED, r"(log_tau|log_kappa)$"),
        (KERNELS, r"modulation_kernel_\d+$"),
        *LAYER_GROUPS,
    )

    @staticmethod
    def default_config(shared: Shared) -> ConfigDict:
        """The attributes of the class; bands follow max_scale until they are set."""
        config = ConfigDict()
        config.initialisation = "annulus"
        config.bands = bands_of(shared.max_scale)
        config.alpha = 1.0
        config.lr_size = shared.patch
        config.features = 128
        config.hidden = 256
        config.layers = 1
        config.heads = 4
        config.nearest = 9
        config.frame = "cell"
        config.fades = True
        config.max_scale = shared.max_scale
        return config

    @classmethod
    def from_config(cls, model: ConfigDict, dtype: jnp.dtype, spacing: int) -> Self:
        """See `models.decoders`."""
        config = model.modulated
        minimums = {
            "features": 2, "hidden": 1, "layers": 0, "heads": 1, "nearest": 0, "lr_size": 1,
        }  # fmt: skip
        check_minimums("modulated", config, minimums)
        check_max_scale("modulated", config.max_scale)
        check_choice("model.modulated.initialisation", config.initialisation, INITIALISATIONS)
        check_choice("model.modulated.frame", config.frame, FRAMES)
        _check_bands(config)
        if config.features % 2 or config.hidden % config.heads:
            raise InputError(
                f"model.modulated.features {config.features} must be even, and heads "
                f"{config.heads} divide hidden {config.hidden}"
            )
        if config.nearest:
            nearest_offsets(config.nearest)
        return cls(**config.to_dict(), spacing=spacing, skip=model.skip, dtype=dtype)

    @property
    def receptive_field(self) -> int | None:
        """LR pixels beyond its own that a query depends on; None: the whole image."""
        if self.frame == "picture" or not self.nearest:
            return None
        return self.spacing * (max(row for row, _ in nearest_offsets(self.nearest)) + 1) - 1

    @nn.compact
    def __call__(self, features: jax.Array, halo: int) -> ModulatedFunction:
        near = nearest_offsets(self.nearest) if self.nearest else ()
        margin = max((row for row, _ in near), default=0)
        inits = band_initialisers(
            self.initialisation, self.bands, alpha=self.alpha, lr_size=self.lr_size
        )

        # A field that depends on the whole image keeps the halo. Others keep the tokens of the halo
        # that queries reach, and its remainder of less than a token.
        kept = halo if self.receptive_field is None else halo % self.spacing

        def tokens(name: str) -> jax.Array:
            x = nn.Dense(self.hidden, dtype=self.dtype, name=name)(features)
            x = with_margin(x, (halo - kept) // self.spacing, margin)
            return x.reshape(*x.shape[:3], self.heads, -1)

        affine = functools.partial(_AffineParameters, dtype=self.dtype)

        def waves(name: str, init: Initializer) -> FourierLayer:
            frequencies = self.param(f"frequencies_{name}", init, (self.features // 2, 2))
            return FourierLayer(
                frequencies, affine(self.features, self.hidden, name=f"waves_{name}")()
            )

        def band(number: int, init: Initializer) -> Band:
            last = nn.initializers.zeros if self.skip else nn.initializers.lecun_normal()
            shape = (self.hidden, self.hidden)
            p = self.param(f"modulation_kernel_{number}", nn.initializers.lecun_normal(), shape)
            layers = range(self.layers if number else 0)
            return Band(
                waves(str(number), init),
                p.astype(self.dtype).reshape(self.heads, -1, self.hidden),
                tuple(affine(*shape, name=f"residual_{number}_{i}")() for i in layers),
                affine(self.hidden, 3, start=last, name=f"output_{number}")(),
            )

        start = nn.initializers.constant(math.log(HALF_AT_NYQUIST))
        kappa = jnp.exp(self.param("log_kappa", start, ())) if self.fades else jnp.zeros(())
        keys = tokens("keys")
        size = tuple(self.spacing * (n - 2 * margin) for n in keys.shape[1:3])
        return self.function(
            keys=keys,
            values=tokens("values"),
            query=waves("query", inits[0]),
            bands=tuple(band(i, init) for i, init in enumerate(inits)),
            log_tau=self.param("log_tau", initial_widths(self.spacing), (self.heads,)),
            kappa=kappa,
            origin=jnp.full((2,), kept, jnp.int32),
            lattice=(size[0] - 2 * kept, size[1] - 2 * kept),
            spacing=self.spacing,
            nearest=near,
            frame=self.frame,
            smallest=1 / self.max_scale,
        )


class _AffineParameters(nn.Module):
    """Makes the parameters of an Affine."""

    inputs: int
    outputs: int
    dtype: jnp.dtype
    start: Initializer = nn.initializers.he_normal()

    @nn.compact
    def __call__(self) -> Affine:
        kernel = self.param("kernel", self.start, (self.inputs, self.outputs))
        bias = self.param("bias", nn.initializers.zeros, (self.outputs,))
        return Affine(kernel.astype(self.dtype), bias.astype(self.dtype))


def _check_bands(config: ConfigDict) -> None:
    """Raises InputError for bands or an exponent that the initialisation cannot take."""
    bands = tuple(config.bands)
    falls = config.initialisation == "inverse_sigma"
    if not bands or not all_positive(bands) or list(bands) != sorted(set(bands), reverse=falls):
        raise InputError(
            f"model.modulated.bands {bands} must be numbers above 0 that "
            f"{'fall: for inverse_sigma they are sigmas' if falls else 'rise'}"
        )
    if not 0 <= config.alpha <= MAX_ALPHA:
        raise InputError(f"model.modulated.alpha {config.alpha} must be from 0 to {MAX_ALPHA}")
