"""Attention with a learned distance penalty per head."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def distance_bias(squared: jax.Array, log_tau: jax.Array) -> jax.Array:
    """-|x - c|^2 / (2 tau_h^2), what is added to the logits of head h.

    Args:
      squared: [...] squared distances, LR pixels.
      log_tau: [H] logarithms of the widths tau_h, LR pixels.

    Returns:
      [..., H].
    """
    scale = jnp.exp(-2 * log_tau) / 2
    return -squared[..., None] * scale.reshape((1,) * squared.ndim + (-1,))


def first_widths(spacing: float) -> nn.initializers.Initializer:
    """Log widths of heads that see further one after the other: 1/3, 2/3, 4/3, 8/3 spacings.

    The first hardly sees more than one token: at wider ones all tokens begin as the same mean.
    """

    def init(key: jax.Array, shape: tuple[int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        octave = jnp.minimum(jnp.arange(shape[0]), 3).astype(dtype)
        return jnp.log(spacing / 3 * 2**octave)

    return init


class Attention(nn.Module):
    """Tokens [B, T, width] attend to others [B, S, width], or to themselves.

    Attributes:
      heads: they divide the width.
      spacing: LR pixels between tokens, from which the heads' widths start.
    """

    heads: int
    spacing: float
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, others: jax.Array, at: np.ndarray, others_at: np.ndarray
    ) -> jax.Array:
        """See the class.

        Args:
          x, others: tokens.
          at, others_at: float32 [T, 2] and [S, 2], their places in LR pixels, (row, col).
        """
        width = x.shape[-1]

        def heads(tokens: jax.Array, name: str) -> jax.Array:
            projected = nn.Dense(width, dtype=self.dtype, name=name)(tokens)
            return projected.reshape(*tokens.shape[:2], self.heads, -1)

        log_tau = self.param("log_tau", first_widths(self.spacing), (self.heads,))
        squared = jnp.sum(jnp.square(jnp.asarray(at)[:, None] - jnp.asarray(others_at)[None]), -1)
        bias = distance_bias(squared, log_tau).transpose(2, 0, 1)[None]
        q, k, v = heads(x, "query"), heads(others, "key"), heads(others, "value")
        with jax.numpy_dtype_promotion("standard"):  # it takes logits of bfloat16 to float32
            mixed = jax.nn.dot_product_attention(q, k, v, bias=bias.astype(self.dtype))
        return nn.Dense(width, dtype=self.dtype, name="output")(mixed.reshape(x.shape))
