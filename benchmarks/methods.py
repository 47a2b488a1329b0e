"""Ways to render, as `benchmarks.render` compares them: each a Case that can be run and timed."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.counting import liif_macs, waves_macs
from benchmarks.measuring import Work
from inr_sr import render
from inr_sr.coordinates import Array, Axis, aligned, grid_axis, upright_footprint
from inr_sr.models.decoders.liif import LiifDecoder
from inr_sr.models.decoders.spectral import LANES, SpectralFunction
from inr_sr.models.field import SKIP_REACH, Field
from inr_sr.render import streaming
from inr_sr.sizes import output_size, parse_scale

QUERIES_AT_ONCE = 2**14  # of methods that answer one query at a time: as fast as any on CPUs


@dataclass(frozen=True)
class Case:
    """A method at a scale.

    Attributes:
      method, scale: their names; a scale is "4" or "2.5x3.1", rows x columns.
      lr: side of the LR lattice.
      k: number of waves, or None.
      work: makes the output.
      input_bytes: of the field, or of the features where the head is part of the work.
      macs: multiply-adds per output pixel, by the formula.
      program: the compiled program whose runs are (most of) the work, for XLA's own account.
      runs: how many of them there are.
      held_bytes: what the work holds besides that program's memory.
    """

    method: str
    scale: str
    lr: int
    k: int | None
    work: Work
    input_bytes: int
    macs: float
    program: Any
    runs: int = 1
    held_bytes: int = 0

    @property
    def output_pixels(self) -> int:
        """Of the whole output."""
        rows, cols = axes(self.lr, self.scale)
        return len(rows) * len(cols)

    @property
    def peak_bytes(self) -> int:
        """What the work holds beside its input, by XLA's account."""
        memory = self.program.memory_analysis()
        outputs = min(self.runs, 2)  # the one above is still there
        program = memory.temp_size_in_bytes + outputs * memory.output_size_in_bytes
        return self.held_bytes + int(program)

    @property
    def flops_per_pixel(self) -> float:
        """By XLA's account, of what it counts (no custom calls)."""
        return float(self.program.cost_analysis()["flops"]) * self.runs / self.output_pixels


@functools.cache
def axes(lr: int, scale: str) -> tuple[Axis, Axis]:
    """The output grid of an lr x lr image."""
    rows, cols = (grid_axis(lr, output_size(lr, s)) for s in parse_scale(scale))
    return rows, cols


@functools.cache
def spectral(lr: int, k: int) -> Field:
    """A field of random waves, with an image."""
    keys = jax.random.split(jax.random.key(0), 5)
    residual = SpectralFunction(
        cos=jax.random.normal(keys[0], (1, lr, lr, 3, k)),
        sin=jax.random.normal(keys[1], (1, lr, lr, 3, k)),
        frequencies=jax.random.uniform(keys[2], (k, 2), minval=-2, maxval=2),
        kappa=jnp.float32(0.07),
        gains=0.1 * jax.random.normal(keys[3], (k, 4)),
        smallest=0.25,
    )
    side = lr + 2 * SKIP_REACH
    return Field(jax.random.uniform(keys[4], (1, side, side, 3)), residual)


def size(tree: Any) -> int:
    """Bytes of all arrays."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


@jax.jit
def fused_pass(residual: SpectralFunction) -> jax.Array:
    """Reads a field of 32 waves and writes as much as a x4 output: no renderer can do less."""
    waves = residual.cos * residual.sin
    out = waves[..., :16] + waves[..., 16:]
    h, w = out.shape[1:3]
    return out.reshape(1, 4 * h, 4 * w, 3)


def by_strips(fields: Field, rows: Axis, cols: Axis) -> int:
    """Renders all strips and drops each when the next comes; returns how many there were."""
    return sum(1 for _ in render.strips(fields, rows, cols))


def strip_program(found: Field, rows: Axis, cols: Axis) -> tuple[Any, int]:
    """The compiled program of a strip, and how often it runs."""
    calls = [arguments for _, arguments in streaming.strip_calls(found, rows, cols)]
    return streaming.render_strip.lower(*calls[0]).compile(), len(calls)


def spectral_case(scale: str, lr: int = 256, k: int = 32, skip: bool = False) -> Case:
    """The spectral field by strips, with or without the bicubic skip."""
    found, (rows, cols) = spectral(lr, k), axes(lr, scale)
    if not skip:
        found = Field(None, found.function)
    program, runs = strip_program(found, rows, cols)
    taps = 3 * 4 * (1 + rows.count / len(rows)) if skip else 0
    return Case(
        "spectral_skip" if skip else "spectral", scale, lr, k,
        work=lambda: by_strips(found, rows, cols),
        input_bytes=size(found),
        macs=strip_macs(rows, cols, k) + taps,
        program=program,
        runs=runs,
    )  # fmt: skip


def strip_macs(rows: Axis, cols: Axis, k: int) -> float:
    """Multiply-adds per output pixel: half a product with the slots, and the turns of fields."""
    cells, pixels = rows.count * cols.count, len(rows) * len(cols)
    half = -(-rows.slots // 2) * cols.slots
    slots = 2 * (half + -half % LANES)
    turns = 0 if aligned(rows, cols) else (4 + 3 * 4) * k
    return (3 * k * slots + turns) * cells / pixels


def whole_case(scale: str, lr: int = 256, k: int = 32) -> Case:
    """The spectral field on the whole grid, in one program."""
    found, grid = Field(None, spectral(lr, k).function), axes(lr, scale)
    program = jax.jit(render.grid).lower(found, *grid).compile()
    return Case(
        "spectral_whole", scale, lr, k,
        work=lambda: program(found, *grid),
        input_bytes=size(found),
        macs=strip_macs(*grid, k),
        program=program,
    )  # fmt: skip


def in_chunks(
    values_at: Callable[[jax.Array, jax.Array], jax.Array], rows: Axis, cols: Axis
) -> jax.Array:
    """values_at(cell, delta), both [1, Q, 2], for all output pixels, some rows at once."""
    at_once = max(1, QUERIES_AT_ONCE // len(cols))

    def pairs(r: jax.Array, c: Array) -> jax.Array:
        return jnp.stack(jnp.meshgrid(r, c, indexing="ij"), axis=-1).reshape(1, -1, 2)

    def chunk(part: tuple[jax.Array, jax.Array]) -> jax.Array:
        return values_at(pairs(part[0], cols.cell), pairs(part[1], cols.delta))

    pad = -len(rows) % at_once
    parts = [
        jnp.pad(x, (0, pad), mode="edge").reshape(-1, at_once) for x in (rows.cell, rows.delta)
    ]
    colours: jax.Array = jax.lax.map(chunk, tuple(parts))
    return colours


def footprint(rows: Axis, cols: Axis) -> jax.Array:
    """That of all output pixels, [1, 1, 2, 2]."""
    return upright_footprint(jnp.stack([rows.step, cols.step]))[None, None]


@jax.jit
def per_query(residual: SpectralFunction, rows: Axis, cols: Axis) -> jax.Array:
    """The formula at every output pixel: cosines and sines of K phases each."""
    pixel = footprint(rows, cols)
    return in_chunks(lambda cell, delta: residual.points(cell, delta, pixel), rows, cols)


def per_query_case(scale: str, lr: int, k: int) -> Case:
    """The spectral field at one query after the other."""
    found, grid = spectral(lr, k).function, axes(lr, scale)
    program = per_query.lower(found, *grid).compile()
    return Case(
        "spectral_per_query", scale, lr, k,
        work=lambda: program(found, *grid),
        input_bytes=size(found),
        macs=waves_macs(k),
        program=program,
    )  # fmt: skip


def liif_case(scale: str, lr: int) -> Case:
    """LIIF's decoder as this project has it: 64 features into 4 layers of 256."""
    decoder = LiifDecoder(256, 4)
    features = jax.random.normal(jax.random.key(0), (1, lr, lr, 64))
    params = jax.jit(decoder.init, static_argnums=2)(jax.random.key(1), features, 0)
    found = jax.jit(decoder.apply, static_argnums=2)(params, features, 0)
    grid = axes(lr, scale)
    program = jax.jit(found.__class__.grid).lower(found, *grid, ((), ())).compile()
    return Case(
        "liif", scale, lr, None,
        work=lambda: program(found, *grid, ((), ())),
        input_bytes=size(found),
        macs=liif_macs(),
        program=program,
    )  # fmt: skip


def head(features: jax.Array, kernel: jax.Array, like: SpectralFunction) -> SpectralFunction:
    """A head of one 1x1 layer [C, 2, 3 K], once per LR pixel."""
    cos, sin = (
        jnp.dot(features, kernel[:, i]).reshape(*features.shape[:3], 3, -1) for i in range(2)
    )
    return SpectralFunction(cos, sin, like.frequencies, like.kappa, like.gains, like.smallest)


head_once = jax.jit(head)


@jax.jit
def head_per_output(
    features: jax.Array, kernel: jax.Array, like: SpectralFunction, rows: Axis, cols: Axis
) -> jax.Array:
    """The head at every output pixel, then K cosines and sines, as released Thera does."""
    pixel = footprint(rows, cols)

    def values_at(cell: jax.Array, delta: jax.Array) -> jax.Array:
        near = features[0, cell[0, :, 0], cell[0, :, 1]][None, None]
        own = head(near, kernel, like)  # a lattice of one LR pixel per query
        column = jnp.arange(delta.shape[1], dtype=jnp.int32)
        index = jnp.stack([jnp.zeros_like(column), column], axis=-1)[None]
        return own.points(index, delta, pixel)

    return in_chunks(values_at, rows, cols)


def head_cases(scale: str, lr: int, k: int, width: int) -> list[Case]:
    """The head once per LR pixel and strips, against the head at every output pixel."""
    like = spectral(8, k).function
    features = jax.random.normal(jax.random.key(0), (1, lr, lr, width))
    kernel = jax.random.normal(jax.random.key(1), (width, 2, 3 * k)) / width**0.5
    rows, cols = grid = axes(lr, scale)
    slow = head_per_output.lower(features, kernel, like, *grid).compile()
    found = Field(None, head_once(features, kernel, like))
    fast, runs = strip_program(found, rows, cols)
    cells = rows.count * cols.count / (len(rows) * len(cols))
    return [
        Case(
            "head_strips", scale, lr, k,
            work=lambda: by_strips(Field(None, head_once(features, kernel, like)), rows, cols),
            input_bytes=size(features),
            macs=strip_macs(rows, cols, k) + width * 6 * k * cells,
            program=fast,
            runs=runs,
            held_bytes=size(found),
        ),
        Case(
            "head_per_output", scale, lr, k,
            work=lambda: slow(features, kernel, like, *grid),
            input_bytes=size(features),
            macs=width * 6 * k + waves_macs(k),
            program=slow,
        ),
    ]  # fmt: skip
