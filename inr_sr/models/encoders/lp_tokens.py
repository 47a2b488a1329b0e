"""Learnable-position tokens: a picture in a lattice of tokens that have gathered what is near.

The picture is cut into patches, each a token. Among them are put tokens that begin as learned
vectors, whose places form a regular lattice of its own spacing. Blocks of a transformer mix all
of them, and only the latter leave.
"""

from typing import Any, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inr_sr.coordinates import cell_centre
from inr_sr.errors import InputError
from inr_sr.models.fourier import position_features
from inr_sr.models.mixers import Attention, SelectiveScan
from inr_sr.models.parts import LAYERS, UNDECAYED, check_minimums, check_name

PATCHES = (2, 4, 8, 16)
LAYOUTS = ("cross", "interleaved")
MIXERS = ("attention", "state_space")
DETAIL_GAIN = 32.0  # makes of the detail of photos about what there is of brightness
FAINT = nn.initializers.normal(0.02)  # so that content outweighs places at the start
EXPANSION = 2  # of the MLPs between their layers
MAX_LOGITS = 2**28
"""Most attention logits of a picture, all heads together: 1 GiB of them."""


class Lattice(NamedTuple):
    """Places of tokens: rows x cols of them, `spacing` LR pixels apart."""

    rows: int
    cols: int
    spacing: int

    @classmethod
    def over(cls, size: tuple[int, int], spacing: int) -> "Lattice":
        return cls(size[0] // spacing, size[1] // spacing, spacing)

    @property
    def centres(self) -> np.ndarray:
        """float32 [rows * cols, 2] in LR pixels, row by row."""
        row, col = np.mgrid[: self.rows, : self.cols].reshape(2, -1)
        return cell_centre(np.stack([row, col], axis=-1), self.spacing).astype(np.float32)


def padded_size(height: int, width: int, side: int) -> tuple[int, int]:
    """The sides of a picture, made multiples of `side`."""
    return -(-height // side) * side, -(-width // side) * side


class Block(nn.Module):
    """A pre-norm transformer block: tokens [B, T, width] to the same; see `LpTokens`.

    Attributes:
      cross: whether the tokens look at others before they are mixed.
    """

    heads: int
    spacing: float
    mixer: str
    states: int
    cross: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, at: Any, others: Any, others_at: Any) -> jax.Array:
        def norm(tokens: jax.Array, name: str) -> jax.Array:
            return _normed(tokens, self.dtype, f"norm_{name}")

        def attend(name: str) -> Attention:
            return Attention(self.heads, self.spacing, self.dtype, name=name)

        if self.cross:
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
    """LR pictures [B, h, w, 3] in [0, 1] to tokens [B, H / spacing, W / spacing, width].

    H and W are h and w rounded up to multiples of the longer of patch and spacing; the picture is
    mirrored at its far ends until it has them.

    Attributes:
      width: of the tokens.
      patch: side of a patch, LR pixels.
      spacing: LR pixels between the tokens that leave.
      learned: side of the square of learned vectors; over more tokens it repeats.
      blocks, heads: of the transformer; heads divide the width.
      layout: "interleaved": patches and tokens are one sequence; "cross": the tokens look at the
        patches, which stay as they are.
      mixer: "attention", at a cost that is quadratic in the tokens, or "state_space", linear; that
        one reads them row by row, each token after the patches of its cell.
      states: per channel of the state space.
      detail: whether patches are also given DETAIL_GAIN times the picture less its mean over
        3 x 3 pixels, as three more channels.
      remat: whether gradients compute what is inside blocks anew instead of keeping it.
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
    groups = ((UNDECAYED, r"(tokens|log_\w+|through_\w+)$"), *LAYERS)

    @staticmethod
    def default_config() -> ConfigDict:
        """The fields are those of the class."""
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
    def from_config(cls, model: ConfigDict, dtype: Any, remat: bool) -> Self:
        """See `models.encoders`."""
        config = model.lp_tokens
        minimums = {"width": 1, "blocks": 0, "heads": 1, "learned": 1, "states": 1}
        check_minimums("lp_tokens", config, minimums)
        check_name("model.lp_tokens.patch", config.patch, PATCHES)
        check_name("model.lp_tokens.spacing", config.spacing, PATCHES)
        check_name("model.lp_tokens.layout", config.layout, LAYOUTS)
        check_name("model.lp_tokens.mixer", config.mixer, MIXERS)
        if config.width % config.heads:
            raise InputError(
                f"model.lp_tokens.heads {config.heads} must divide model.lp_tokens.width "
                f"{config.width}"
            )
        return cls(**config.to_dict(), dtype=dtype, remat=remat)

    def check_size(self, height: int, width: int) -> None:
        """Raises InputError where a picture makes too many tokens to attend to each other."""
        size = padded_size(height, width, max(self.patch, self.spacing))
        patches, tokens = (size[0] * size[1] // side**2 for side in (self.patch, self.spacing))
        pairs = 0 if self.layout == "interleaved" else tokens * patches
        if self.mixer == "attention":
            pairs += (tokens + (patches if self.layout == "interleaved" else 0)) ** 2
        if self.heads * pairs > MAX_LOGITS:
            raise InputError(
                f"a picture of {width}x{height} makes {patches + tokens} tokens that attend to "
                f"each other {self.heads * pairs} times; at most {MAX_LOGITS} are allowed. Enlarge "
                "parts of it, or train with larger patches, or with the mixer state_space and the "
                "layout interleaved"
            )

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        self.check_size(*image.shape[1:3])
        image = _mirrored(image, max(self.patch, self.spacing))
        size = (image.shape[1], image.shape[2])
        seen, own = (Lattice.over(size, side) for side in (self.patch, self.spacing))
        patches = self._patches(image) + self._placed(seen, "patch_position")
        tokens = self._learned(own)[None] + self._placed(own, "position")
        tokens = jnp.broadcast_to(tokens, (len(image), *tokens.shape[1:]))
        if self.layout == "interleaved":
            order = reading_order(seen, own)
            at = np.concatenate([seen.centres, own.centres])[order]
            x = self._mixed(jnp.concatenate([patches, tokens], axis=1)[:, order], at, None, at)
            tokens = x[:, np.argsort(order)[len(seen.centres) :]]
        else:
            tokens = self._mixed(tokens, own.centres, patches, seen.centres)
        tokens = _normed(tokens, self.dtype, "norm")
        return tokens.reshape(len(image), own.rows, own.cols, self.width)

    def _patches(self, image: jax.Array) -> jax.Array:
        side = (self.patch, self.patch)
        x = 2 * image - 1
        if self.detail:
            x = jnp.concatenate([x, DETAIL_GAIN * (image - _blurred(image))], axis=-1)
        x = nn.Conv(self.width, side, side, "VALID", dtype=self.dtype, name="embedding")(x)
        return x.reshape(len(image), -1, self.width)

    def _placed(self, lattice: Lattice, name: str) -> jax.Array:
        features = position_features(jnp.asarray(lattice.centres), lattice.spacing)
        embed = nn.Dense(self.width, use_bias=False, dtype=self.dtype, kernel_init=FAINT, name=name)
        return embed(features)[None]

    def _learned(self, lattice: Lattice) -> jax.Array:
        shape = (self.learned, self.learned, self.width)
        tokens = self.param("tokens", FAINT, shape).astype(self.dtype)
        row, col = np.divmod(np.arange(lattice.rows * lattice.cols), lattice.cols)
        return tokens[row % self.learned, col % self.learned]

    def _mixed(self, x: Any, at: np.ndarray, others: Any, others_at: np.ndarray) -> jax.Array:
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


def _normed(tokens: jax.Array, dtype: jnp.dtype, name: str) -> jax.Array:
    """Normalised over channels, in float32."""
    return nn.LayerNorm(dtype=jnp.float32, name=name)(tokens.astype(jnp.float32)).astype(dtype)


def _blurred(image: jax.Array) -> jax.Array:
    """The mean over 3 x 3 pixels, borders repeated."""
    around = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    window, step = (1, 3, 3, 1), (1, 1, 1, 1)
    return jax.lax.reduce_window(around, 0.0, jax.lax.add, window, step, "VALID") / 9


def _mirrored(image: jax.Array, side: int) -> jax.Array:
    """The picture [B, h, w, C], mirrored at its far ends to multiples of `side`."""
    size = padded_size(image.shape[1], image.shape[2], side)
    pad = ((0, 0), (0, size[0] - image.shape[1]), (0, size[1] - image.shape[2]), (0, 0))
    return jnp.pad(image, pad, mode="symmetric")


def reading_order(patches: Lattice, tokens: Lattice) -> np.ndarray:
    """How a sequence of patches and tokens is put in order: by cells, patches before tokens."""
    cell = max(patches.spacing, tokens.spacing)
    keys = []
    for kind, lattice in enumerate((patches, tokens)):
        row, col = (lattice.centres // cell).astype(int).T
        keys.append(np.stack([np.full_like(row, kind), col, row]))
    return np.lexsort(np.concatenate(keys, axis=1))
