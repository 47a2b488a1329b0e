"""Mixers of tokens: attention with a learned distance penalty, or a selective state space.

The state space (arXiv 2312.00752) scans a sequence in both directions. Per channel and state, with
step d_t, input B_t and output C_t that depend on the token:

    u_t = SiLU(w_0 x_t + w_1 x_{t-1} + ... + bias)
    h_t = exp(d_t A) h_{t-1} + d_t B_t u_t,    y_t = C_t . h_t + D u_t

The recurrence is linear in h, so pairs of steps compose, and an associative scan takes time linear
in the length. The steps d start small, so h_t changes little from token to token; the convolution
over KERNEL_SIZE tokens makes each depend on its neighbours from the first training step on.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

KERNEL_SIZE = 4  # of the convolution, tokens, as in the paper
INITIAL_STEPS = (1e-3, 1e-1)  # range of d over the channels at the start, as in the paper


def distance_bias(squared: jax.Array, log_tau: jax.Array) -> jax.Array:
    """-|x - c|^2 / (2 tau_h^2), the bias of the logits of head h (arXiv 2310.05624).

    Args:
      squared: [...] squared distances, LR pixels.
      log_tau: [H] logarithms of the widths tau_h, LR pixels.

    Returns:
      [..., H].
    """
    scale = jnp.exp(-2 * log_tau) / 2
    return -squared[..., None] * scale.reshape((1,) * squared.ndim + (-1,))


def initial_widths(spacing: float) -> nn.initializers.Initializer:
    """Log widths of the heads, 1/3, 2/3, 4/3 and 8/3 spacings; further heads have 8/3.

    The first head attends to little more than the nearest token: were all heads wide, all tokens
    would start as the same mean.
    """

    def init(key: jax.Array, shape: tuple[int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        octave = jnp.minimum(jnp.arange(shape[0]), 3).astype(dtype)
        return jnp.log(spacing / 3 * 2**octave)

    return init


class Attention(nn.Module):
    """Tokens [B, T, width] attend to others [B, S, width], or to themselves.

    Attributes:
      heads: they divide the width.
      spacing: LR pixels between tokens, the unit of the heads' initial widths.
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
          at, others_at: float32 [T, 2] and [S, 2] their positions (row, col), LR pixels.
        """
        width = x.shape[-1]

        def heads(tokens: jax.Array, name: str) -> jax.Array:
            projected = nn.Dense(width, dtype=self.dtype, name=name)(tokens)
            return projected.reshape(*tokens.shape[:2], self.heads, -1)

        log_tau = self.param("log_tau", initial_widths(self.spacing), (self.heads,))
        squared = jnp.sum(jnp.square(jnp.asarray(at)[:, None] - jnp.asarray(others_at)[None]), -1)
        bias = distance_bias(squared, log_tau).transpose(2, 0, 1)[None]
        q, k, v = heads(x, "query"), heads(others, "key"), heads(others, "value")
        with jax.numpy_dtype_promotion("standard"):  # it takes logits of bfloat16 to float32
            mixed = jax.nn.dot_product_attention(q, k, v, bias=bias.astype(self.dtype))
        return nn.Dense(width, dtype=self.dtype, name="output")(mixed.reshape(x.shape))


Steps = tuple[jax.Array, jax.Array]
"""Decay and drive of some steps of a recurrence."""


def scan(decay: jax.Array, drive: jax.Array, *, reverse: bool = False) -> jax.Array:
    """h_t = decay_t h_{t-1} + drive_t for all t, from h = 0.

    Args:
      decay, drive: [B, T, ...], of one shape; T are the steps.
      reverse: whether to run from the last step to the first.

    Returns:
      h of all steps, [B, T, ...].
    """

    def compose(first: Steps, second: Steps) -> Steps:
        (a, x), (b, y) = first, second
        return a * b, b * x + y

    found: Steps = jax.lax.associative_scan(compose, (decay, drive), reverse=reverse, axis=1)
    return found[1]


class SelectiveScan(nn.Module):
    """Tokens [B, T, width] to the same shape: a scan in each direction, and a gate.

    Attributes:
      states: states per channel.
      dtype: of the projections; scans multiply many decays and stay in float32.
    """

    states: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        tokens = nn.Dense(width, dtype=self.dtype, name="input")(x).astype(jnp.float32)
        gate = nn.silu(nn.Dense(width, dtype=self.dtype, name="gate")(x)).astype(jnp.float32)
        mixed = self._scanned(tokens, reverse=False) + self._scanned(tokens, reverse=True)
        return nn.Dense(width, dtype=self.dtype, name="output")(mixed * gate)

    def _scanned(self, x: jax.Array, *, reverse: bool) -> jax.Array:
        side, width = "back" if reverse else "forth", x.shape[-1]
        u = nn.silu(self._near(x, side, reverse=reverse))
        log_decay = self.param(f"log_decay_{side}", _initial_decays, (width, self.states))
        through = self.param(f"through_{side}", nn.initializers.ones, (width,))
        step = nn.softplus(nn.Dense(width, bias_init=_initial_steps, name=f"step_{side}")(u))
        read, write = (
            nn.Dense(self.states, use_bias=False, name=f"{name}_{side}")(u)[:, :, None]
            for name in ("read", "write")
        )
        decay = jnp.exp(-step[..., None] * jnp.exp(log_decay)[None, None])
        h = scan(decay, (step * u)[..., None] * write, reverse=reverse)
        return jnp.sum(h * read, axis=-1) + through[None, None] * u

    def _near(self, x: jax.Array, side: str, *, reverse: bool) -> jax.Array:
        """Depthwise convolution with the KERNEL_SIZE latest tokens of the scan."""
        shape = (KERNEL_SIZE, x.shape[-1])
        kernel = self.param(f"near_{side}_kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param(f"near_{side}_bias", nn.initializers.zeros, shape[1:])
        before = (0, KERNEL_SIZE - 1) if reverse else (KERNEL_SIZE - 1, 0)
        padded = jnp.pad(x, ((0, 0), before, (0, 0)))
        # Element by element: XLA's depthwise convolution is slow on CPUs.
        first = 0 if reverse else KERNEL_SIZE - 1
        shifted = (padded[:, abs(first - k) :][:, : x.shape[1]] for k in range(KERNEL_SIZE))
        return sum((w[None, None] * s for w, s in zip(kernel, shifted)), bias[None, None])


def _initial_steps(key: jax.Array, shape: tuple[int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """Biases that softplus maps to INITIAL_STEPS, geometrically spaced."""
    low, high = INITIAL_STEPS
    step = low * (high / low) ** jnp.linspace(0, 1, shape[0], dtype=dtype)
    return jnp.log(jnp.expm1(step))


def _initial_decays(
    key: jax.Array, shape: tuple[int, int], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """log(-A) of A = -1, -2, -3 ... for the states of every channel."""
    return jnp.broadcast_to(jnp.log(jnp.arange(1, shape[1] + 1, dtype=dtype))[None], shape)
