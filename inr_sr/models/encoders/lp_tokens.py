"""Learnable-position tokens: a lattice of tokens that have gathered an image's content.

The image is cut into patches, which are embedded. A second set of tokens starts as learned vectors
at the positions of a regular lattice of its own spacing. Transformer blocks mix both sets; the
output is the second.
"""

from typing import NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inr_sr.coordinates import cell_centre
from inr_sr.errors import InputError
from inr_sr.models.fourier import position_features
from inr_sr.models.mixers import Attention, SelectiveScan
from inr_sr.models.parts import LAYER_GROUPS, UNDECAYED, check_choice, check_minimums

PATCHES = (2, 4, 8, 16)
LAYOUTS = ("cross", "interleaved")
MIXERS = ("attention", "state_space")
DETAIL_GAIN = 32.0  # brings the detail of photos to about the size of their brightness
SMALL = nn.initializers.normal(0.02)  # so that content outweighs positions at the start
EXPANSION = 2  # width of the MLPs' hidden layer, in widths of the tokens
MAX_LOGITS = 2**28
"""Maximum number of attention logits of an image, all heads together: 1 GiB of them."""


class Lattice(NamedTuple):
    """Positions of tokens: rows x cols, `spacing` LR pixels apart."""

    rows: int
    cols: int
    spacing: int

    @classmethod
    def over(cls, size: tuple[int, int], spacing: int) -> "Lattice":
        """The lattice that covers an image of (rows, cols) pixels, multiples of `spacing`."""
        return cls(size[0] // spacing, size[1] // spacing, spacing)

    @property
    def centres(self) -> np.ndarray:
        """float32 [rows * cols, 2] in LR pixels, row by row."""
        row, col = np.mgrid[: self.rows, : self.cols].reshape(2, -1)
        return cell_centre(np.stack([row, col], axis=-1), self.spacing).astype(np.float32)


def padded_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(rows, cols) of an image, rounded up to multiples of `side`."""
    return -(-height // side) * side, -(-width // side) * side


class Block(nn.Module):
    """A pre-norm transformer block: tokens [B, T, width] to the same shape; see `LpTokens`.

    Attributes:
      cross: whether tokens attend to other tokens first.
    """

    heads: int
    spacing: float
    mixer: str
    states: int
    cross: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, x: jax.Array, at: np.ndarray, others: jax.Array | None, others_at: np.ndarray
    ) -> jax.Array:
        def norm(tokens: jax.Array, name: str) -> jax.Array:
            return _layer_norm(tokens, self.dtype, f"norm_{name}")

        def attend(name: str) -> Attention:
            return Attention(self.heads, self.spacing, self.dtype, name=name)

        if self.cross:
            assert others is not None
            x = x + attend("look")(norm(x, "look"), norm(others, "others"), at, others_at)
        y = norm(x, "mixer")
        if self.mixer == "state_space":
            x = x + SelectiveScan(self.states, self.dtype, name="scan")(y)
        else:
            x = x + attend("attention")(y, y, at, at)
        width = x.shape[-1]
        y = nn.Dense(EXPANSION * width, dtype=self.dtype, name="widen")(norm(x, "mlp"))
        return x + nn.Dense(width, dtype=self.dtype, name="narrow")(nn.gelu(y))


class LpTokens(nn.Module):
    """LR images [B, h, w, 3] in [0, 1] to tokens [B, H / spacing, W / spacing, width].

    H and W are h and w rounded up to multiples of the larger of patch and spacing; the image is
    mirrored at its lower and right borders to that size.

    Attributes:
      width: channels of a token.
      patch: side of a patch, LR pixels.
      spacing: LR pixels between output tokens.
      learned: side of the square of learned vectors, which is repeated over the lattice.
      blocks, heads: of the transformer; heads divide the width.
      layout: "interleaved": patches and tokens are one sequence; "cross": tokens attend to the
        patches, which stay as they are.
      mixer: "attention", whose cost is quadratic in the number of tokens, or "state_space", linear;
        that one scans cell by cell, each token after the patches of its cell.
      states: states per channel of the state space.
      detail: whether patches have three more channels: DETAIL_GAIN times the image minus its mean
        over 3 x 3 pixels.
      remat: gradient checkpointing of the blocks.
    """

    width: int
    patch: int
    spacing: int
    learned: int
    blocks: int
    heads: int
    layout: str
    mixer: str
    states: int
    detail: bool
    dtype: jnp.dtype = jnp.float32
    remat: bool = False

    receptive_field = None  # any token may attend to the whole image
    init_shape = (8, 8, 3)
    section = "lp_tokens"
    groups = ((UNDECAYED, r"(tokens|log_\w+|through_\w+)$"), *LAYER_GROUPS)

    @staticmethod
    def default_config() -> ConfigDict:
        """The attributes of the class."""
        config = ConfigDict()
        config.width = 128
        config.patch = 4
        config.spacing = 4
        config.learned = 8
        config.blocks = 4
        config.heads = 4
        config.layout = "interleaved"
        config.mixer = "attention"
        config.states = 8
        config.detail = True
        return config

    @classmethod
    def from_config(cls, model: ConfigDict, dtype: jnp.dtype, remat: bool) -> Self:
        """See `models.encoders`."""
        config = model.lp_tokens
        minimums = {"width": 1, "blocks": 0, "heads": 1, "learned": 1, "states": 1}
        check_minimums("lp_tokens", config, minimums)
        check_choice("model.lp_tokens.patch", config.patch, PATCHES)
        check_choice("model.lp_tokens.spacing", config.spacing, PATCHES)
        check_choice("model.lp_tokens.layout", config.layout, LAYOUTS)
        check_choice("model.lp_tokens.mixer", config.mixer, MIXERS)
        if config.width % config.heads:
            raise InputError(
                f"model.lp_tokens.heads {config.heads} must divide model.lp_tokens.width "
                f"{config.width}"
            )
        return cls(**config.to_dict(), dtype=dtype, remat=remat)

    def check_size(self, height: int, width: int) -> None:
        """Raises InputError for an image, (height, width) in LR pixels, of too many tokens."""
        size = padded_size(height, width, max(self.patch, self.spacing))
        patches, tokens = (size[0] * size[1] // side**2 for side in (self.patch, self.spacing))
        pairs = 0 if self.layout == "interleaved" else tokens * patches
        if self.mixer == "attention":
            pairs += (tokens + (patches if self.layout == "interleaved" else 0)) ** 2
        if self.heads * pairs > MAX_LOGITS:
            raise InputError(
                f"an image of {width}x{height} makes {patches + tokens} tokens and "
                f"{self.heads * pairs} attention logits; at most {MAX_LOGITS} are allowed. Enlarge "
                "parts of it, or train with larger patches, or with the mixer state_space and the "
                "layout interleaved"
            )

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        self.check_size(*image.shape[1:3])
        image = _mirror_padded(image, max(self.patch, self.spacing))
        size = (image.shape[1], image.shape[2])
        patch_lattice, lattice = (Lattice.over(size, side) for side in (self.patch, self.spacing))
        patches = self._patches(image) + self._positions(patch_lattice, "patch_position")
        tokens = self._learned(lattice)[None] + self._positions(lattice, "position")
        tokens = jnp.broadcast_to(tokens, (len(image), *tokens.shape[1:]))
        if self.layout == "interleaved":
            order = reading_order(patch_lattice, lattice)
            at = np.concatenate([patch_lattice.centres, lattice.centres])[order]
            x = self._mixed(jnp.concatenate([patches, tokens], axis=1)[:, order], at, None, at)
            tokens = x[:, np.argsort(order)[len(patch_lattice.centres) :]]
        else:
            tokens = self._mixed(tokens, lattice.centres, patches, patch_lattice.centres)
        tokens = _layer_norm(tokens, self.dtype, "norm")
        return tokens.reshape(len(image), lattice.rows, lattice.cols, self.width)

    def _patches(self, image: jax.Array) -> jax.Array:
        """Embedded patches [B, patches, width]."""
        side = (self.patch, self.patch)
        x = 2 * image - 1
        if self.detail:
            x = jnp.concatenate([x, DETAIL_GAIN * (image - _blurred(image))], axis=-1)
        x = nn.Conv(self.width, side, side, "VALID", dtype=self.dtype, name="embedding")(x)
        return x.reshape(len(image), -1, self.width)

    def _positions(self, lattice: Lattice, name: str) -> jax.Array:
        """Embedded positions [1, tokens, width] of a lattice."""
        features = position_features(jnp.asarray(lattice.centres), lattice.spacing)
        embed = nn.Dense(self.width, use_bias=False, dtype=self.dtype, kernel_init=SMALL, name=name)
        return embed(features)[None]

    def _learned(self, lattice: Lattice) -> jax.Array:
        """The learned vectors [tokens, width], repeated over a lattice."""
        shape = (self.learned, self.learned, self.width)
        tokens = self.param("tokens", SMALL, shape).astype(self.dtype)
        row, col = np.divmod(np.arange(lattice.rows * lattice.cols), lattice.cols)
        return tokens[row % self.learned, col % self.learned]

    def _mixed(
        self, x: jax.Array, at: np.ndarray, others: jax.Array | None, others_at: np.ndarray
    ) -> jax.Array:
        """The tokens after all blocks."""
        block = nn.remat(Block) if self.remat else Block
        for i in range(self.blocks):
            x = block(
                self.heads,
                self.spacing,
                self.mixer,
                self.states,
                others is not None,
                self.dtype,
                name=f"block_{i}",
            )(x, at, others, others_at)
        return x


def _layer_norm(tokens: jax.Array, dtype: jnp.dtype, name: str) -> jax.Array:
    """Layer normalisation over channels, in float32."""
    normed: jax.Array = nn.LayerNorm(dtype=jnp.float32, name=name)(tokens.astype(jnp.float32))
    return normed.astype(dtype)


def _blurred(image: jax.Array) -> jax.Array:
    """The mean over 3 x 3 pixels, border pixels repeated."""
    around = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    window, step = (1, 3, 3, 1), (1, 1, 1, 1)
    total: jax.Array = jax.lax.reduce_window(around, 0.0, jax.lax.add, window, step, "VALID")
    return total / 9


def _mirror_padded(image: jax.Array, side: int) -> jax.Array:
    """An image [B, h, w, C], mirrored at its lower and right borders to multiples of `side`."""
    size = padded_size(image.shape[1], image.shape[2], side)
    pad = ((0, 0), (0, size[0] - image.shape[1]), (0, size[1] - image.shape[2]), (0, 0))
    return jnp.pad(image, pad, mode="symmetric")


def reading_order(patches: Lattice, tokens: Lattice) -> np.ndarray:
    """Order of the sequence [patches, tokens] for a scan: by cell, patches before tokens.

    Cells have the larger of the two spacings, and follow row by row.
    """
    cell = max(patches.spacing, tokens.spacing)
    keys = []
    for kind, lattice in enumerate((patches, tokens)):
        row, col = (lattice.centres // cell).astype(int).T
        keys.append(np.stack([np.full_like(row, kind), col, row]))
    return np.lexsort(np.concatenate(keys, axis=1))
