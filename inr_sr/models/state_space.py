"""A selective state space, scanned along a sequence in both directions (arXiv 2312.00752).

Per channel and state, with step d_t, input B_t and output C_t that depend on the token:

    u_t = SiLU(w_0 x_t + w_1 x_{t-1} + ... + bias)
    h_t = exp(d_t A) h_{t-1} + d_t B_t u_t,    y_t = C_t . h_t + D u_t

The recurrence is linear in h, so pairs of steps compose, and an associative scan takes time linear
in the length. The sum over the REACH newest tokens is what tells a token of the one before from the
first step of a training on: steps d start small, so that h holds much of the past and little of it.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

REACH = 4  # tokens that the convolution sees, as in the paper
STEPS = (1e-3, 1e-1)  # where the steps d start, spread over the channels (the paper's range)


def scan(decay: jax.Array, drive: jax.Array, *, reverse: bool = False) -> jax.Array:
    """All h_t = decay_t h_{t-1} + drive_t, from h = 0, along axis 1 of two [B, T, ...] arrays."""

    def after(first: Any, second: Any) -> Any:
        (a, x), (b, y) = first, second
        return a * b, b * x + y

    return jax.lax.associative_scan(after, (decay, drive), reverse=reverse, axis=1)[1]


def _first_steps(key: jax.Array, shape: tuple[int], dtype: Any = jnp.float32) -> jax.Array:
    """Biases that softplus takes to STEPS, in equal ratios."""
    low, high = STEPS
    step = low * (high / low) ** jnp.linspace(0, 1, shape[0], dtype=dtype)
    return jnp.log(jnp.expm1(step))


def _first_decays(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
    """log(-A) of A = -1, -2, -3 ... for the states of every channel."""
    return jnp.broadcast_to(jnp.log(jnp.arange(1, shape[1] + 1, dtype=dtype))[None], shape)


class SelectiveScan(nn.Module):
    """Tokens [B, T, width] to the same: two scans, forth and back, and a gate.

    Attributes:
      states: per channel.
      dtype: of the projections; scans are float32, where products of many decays are taken.
    """

    states: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        tokens = nn.Dense(width, dtype=self.dtype, name="input")(x).astype(jnp.float32)
        gate = nn.silu(nn.Dense(width, dtype=self.dtype, name="gate")(x)).astype(jnp.float32)
        both = self._scanned(tokens, reverse=False) + self._scanned(tokens, reverse=True)
        return nn.Dense(width, dtype=self.dtype, name="output")(both * gate)

    def _scanned(self, x: jax.Array, *, reverse: bool) -> jax.Array:
        side, width = "back" if reverse else "forth", x.shape[-1]
        u = nn.silu(self._near(x, side, reverse=reverse))
        log_decay = self.param(f"log_decay_{side}", _first_decays, (width, self.states))
        through = self.param(f"through_{side}", nn.initializers.ones, (width,))
        step = nn.softplus(nn.Dense(width, bias_init=_first_steps, name=f"step_{side}")(u))
        read, write = (
            nn.Dense(self.states, use_bias=False, name=f"{name}_{side}")(u)[:, :, None]
            for name in ("read", "write")
        )
        decay = jnp.exp(-step[..., None] * jnp.exp(log_decay)[None, None])
        h = scan(decay, (step * u)[..., None] * write, reverse=reverse)
        return jnp.sum(h * read, axis=-1) + through[None, None] * u

    def _near(self, x: jax.Array, side: str, *, reverse: bool) -> jax.Array:
        """The convolution of each channel with the REACH tokens that a scan has come to last."""
        shape = (REACH, x.shape[-1])
        kernel = self.param(f"near_{side}_kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param(f"near_{side}_bias", nn.initializers.zeros, shape[1:])
        before = (0, REACH - 1) if reverse else (REACH - 1, 0)
        padded = jnp.pad(x, ((0, 0), before, (0, 0)))
        # Element by element: a convolution in as many groups as channels is slow on processors.
        first = 0 if reverse else REACH - 1
        shifted = (padded[:, abs(first - k) :][:, : x.shape[1]] for k in range(REACH))
        return sum((w[None, None] * s for w, s in zip(kernel, shifted)), bias[None, None])
