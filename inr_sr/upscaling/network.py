"""A network on tiles."""

import functools
import math
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr import models, render
from inr_sr.coordinates import Axis
from inr_sr.errors import InputError
from inr_sr.models import Model
from inr_sr.upscaling.request import Size, pixels
from inr_sr.upscaling.strips import shrink_columns, shrink_rows
from inr_sr.upscaling.tiles import Span, choose_tile, smaller_tile, whole_tile
from inr_sr.upscaling.upscaler import StripUpscaler
from inr_sr.upscaling.values import as_float, check_picture
from inr_sr.weights import DEFAULT, check_params, load_weights

MAX_SCALE = 1000
"""Largest scale of an axis that networks render: a cell's output pixels are held at once."""


@functools.partial(jax.jit, static_argnames="model")
def render_tile(model: Model, params: Any, tile: jax.Array, rows: Axis, cols: Axis) -> jax.Array:
    """One tile [h, w, 3], halo included, to the output pixels [len(rows), len(cols), 3]."""
    field: Any = model.apply({"params": params}, tile[None])
    return render.grid(field, rows, cols)[0]


class NetworkUpscaler(StripUpscaler):
    """A network on tiles.

    Attributes:
      name: what tables call it.
      parameters: how many numbers the network consists of.
    """

    def __init__(
        self,
        model: Model,
        params: Any,
        name: str,
        *,
        tile: int | str = "auto",
        ensemble: bool = False,
        memory: int | None = None,
    ) -> None:
        """Puts the parameters on the first local device.

        Args:
          model: see `models.build`.
          params: its parameters.
          name: what tables call it.
          tile: "auto", or the longest side a tile may have, in LR pixels, or 0 for one tile per
            picture, which compiles for every size.
          ensemble: mean over the 8 flips and rotations, in 8 times the time.
          memory: bytes that a tile may take, about; by default what suits the device.

        Raises:
          InputError: a tile that is neither "auto" nor an integer >= 0.
        """
        if tile != "auto" and (not isinstance(tile, int) or isinstance(tile, bool) or tile < 0):
            raise InputError(f"tile {tile!r} is not allowed; expected auto, or an integer >= 0")
        device = jax.local_devices()[0]
        host = jax.tree.map(np.asarray, params)
        self.name = name
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(host))
        self._model, self._params = model, jax.device_put(host, device)
        self._tile, self._ensemble = tile, ensemble
        self._memory = _device_memory(device) if memory is None else memory
        self._halo = max(model.receptive_field, render.SKIP_REACH)
        self._widest = max(leaf.shape[-1] for leaf in jax.tree.leaves(host) if leaf.ndim > 1)

    @property
    def programs(self) -> int:
        """Programs compiled so far in this process: grows with the first picture of a shape."""
        return int(render_tile._cache_size())  # type: ignore[attr-defined]

    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]:
        """See `StripUpscaler.strips`; a strip is one row of tiles."""
        check_picture(image)
        if image.shape[2] not in (1, 3):
            raise InputError(f"picture of {image.shape[2]} channels; expected 1 or 3")
        size = pixels(out_size[0], "rows"), pixels(out_size[1], "columns")
        self.check_size((image.shape[0], image.shape[1]), size)
        h, w = image.shape[:2]
        strips = self._enlarged(image, (max(size[0], h), max(size[1], w)))
        if size[1] < w:
            strips = (shrink_columns(strip, size[1]) for strip in strips)
        if size[0] < h:
            strips = shrink_rows(strips, h, size[0])
        return (np.clip(strip, 0.0, 1.0, out=strip) for strip in strips)

    def check_size(self, shape: Size, size: Size) -> None:
        """See `StripUpscaler.check_size`."""
        fixed = self._model.fixed_scale
        if fixed is not None and size != (shape[0] * fixed, shape[1] * fixed):
            raise InputError(
                f"{self.name} enlarges by exactly {fixed}: {shape[1]}x{shape[0]} to "
                f"{shape[1] * fixed}x{shape[0] * fixed}, not to {size[1]}x{size[0]}"
            )
        if size[0] > MAX_SCALE * shape[0] or size[1] > MAX_SCALE * shape[1]:
            raise InputError(
                f"{shape[1]}x{shape[0]} to {size[1]}x{size[0]} is not allowed: "
                f"networks enlarge an axis by at most {MAX_SCALE}"
            )

    def _enlarged(self, image: np.ndarray, size: Size) -> Iterator[np.ndarray]:
        tile = self._choose_tile((image.shape[0], image.shape[1]), size)
        row = 0
        while row < image.shape[0]:
            try:
                strip = self._strip(image, size, row, tile)
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                tile = smaller_tile(tile, error)
            else:
                yield strip
                row += tile[0]

    def _choose_tile(self, n: Size, size: Size) -> Size:
        if self._tile == 0:
            return whole_tile(n)
        limit = None if self._tile == "auto" else int(self._tile)

        def fits(tile: Size) -> bool:
            return self._bytes(tile, n, size) <= self._memory

        return choose_tile(n, self._halo, limit, fits)

    def _bytes(self, tile: Size, n: Size, size: Size) -> float:
        """About how much a tile takes on the device, and its strip on the host."""
        slots = [-(-size[a] // n[a]) for a in (0, 1)]
        shuffled = max(1.0, ((self._model.fixed_scale or 1) / 2) ** 2)
        encoder = math.prod(side + 2 * self._halo for side in tile) * self._widest * 6 * shuffled
        output = math.prod(tile) * math.prod(slots) * 3 * 6
        strip = tile[0] * slots[0] * size[1] * 3
        return 4.0 * (encoder + output + strip)

    def _strip(self, image: np.ndarray, size: Size, row: int, tile: Size) -> np.ndarray:
        """Output rows of the LR rows row .. row + tile[0]."""
        n_rows, n_cols = image.shape[:2]
        flips = (False, True) if self._ensemble else (False,)
        strip: np.ndarray | None = None
        for col in range(0, n_cols, tile[1]):
            total: Any = 0.0
            for flip_rows in flips:
                rows = self._span(n_rows, size[0], row, tile[0], flip_rows)
                for flip_cols in flips:
                    cols = self._span(n_cols, size[1], col, tile[1], flip_cols)
                    for transposed in flips:
                        total = total + self._tile_output(image, rows, cols, transposed)
            if self._ensemble:
                total *= np.float32(1 / 8)
            if strip is None:
                strip = np.empty((len(total), size[1], 3), np.float32)
            strip[:, cols.begin : cols.begin + total.shape[1]] = total
        assert strip is not None
        return strip

    def _span(self, n_in: int, n_out: int, cell: int, count: int, flip: bool) -> Span:
        # A pixel on the border of two cells falls into the other one when the axis is flipped,
        # so that under the ensemble a window holds one cell more.
        return Span.of(n_in, n_out, cell, count, self._halo, int(self._ensemble), flip)

    def _tile_output(
        self, image: np.ndarray, rows: Span, cols: Span, transposed: bool
    ) -> np.ndarray:
        window = as_float(image[np.ix_(rows.lines, cols.lines)])
        if window.shape[2] == 1:
            window = np.repeat(window, 3, axis=2)
        if transposed:
            window = np.ascontiguousarray(window.swapaxes(0, 1))
            y = render_tile(self._model, self._params, window, cols.axis, rows.axis)
            out = np.asarray(y).swapaxes(0, 1)
        else:
            out = np.asarray(render_tile(self._model, self._params, window, rows.axis, cols.axis))
        out = out[rows.cut, cols.cut]
        return out[:: -1 if rows.flip else 1, :: -1 if cols.flip else 1]


def _device_memory(device: jax.Device) -> int:
    """Bytes that a tile may take: a quarter of an accelerator; on a CPU, what leaves room."""
    stats = None if device.platform == "cpu" else device.memory_stats()
    limit = (stats or {}).get("bytes_limit", 2**31)
    return max(limit // 4, 2**28)


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT,
    *,
    tile: int | str = "auto",
    ensemble: bool = False,
) -> NetworkUpscaler:
    """An upscaler with weights of the package by name, or of a file.

    Args:
      name_or_path: see `weights.find`.
      tile, ensemble: see `NetworkUpscaler`.

    Raises:
      InputError: no such weights, damaged ones, or ones that do not fit their configuration.
    """
    weights = load_weights(name_or_path)
    try:
        model = models.build(weights.config)
        key = jax.ShapeDtypeStruct((2,), jnp.uint32)
        shapes = jax.eval_shape(functools.partial(models.init, model), key)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name_or_path} describes no model of this version: {reason}") from error
    check_params(weights.params, shapes, os.fspath(name_or_path))
    return NetworkUpscaler(model, weights.params, weights.name, tile=tile, ensemble=ensemble)
