"""Resampling on the host, streamed by rows from top to bottom.

Equal to `resize` to float rounding. It compiles nothing, and holds only one strip of a large image
and of its result.
"""

from collections.abc import Iterator

import numpy as np

from inr_sr.resampling.kernels import taps
from inr_sr.sizes import Size, pixels
from inr_sr.values import check_image, to_float32

STRIP_VALUES = 2**24  # float32 values of a strip of output rows, 64 MiB
_MATRIX_ROWS = 64  # output lines made by one small matrix product


def resize_in_strips(image: np.ndarray, out_size: Size, method: str) -> Iterator[np.ndarray]:
    """The resized image in strips of consecutive rows, clipped to [0, 1].

    Args:
      image: [h, w, c], floating in [0, 1], uint8 or uint16.
      out_size: (rows, cols).
      method: one of `METHODS`.

    Returns:
      Strips, float32 [some rows, cols, c]; the image and the size are checked before the first.

    Raises:
      InputError: an image or size that is not allowed.
    """
    check_image(image)
    n_rows, n_cols = pixels(out_size[0], "rows"), pixels(out_size[1], "columns")
    h, w, channels = image.shape
    rows = taps(h, n_rows, method)
    cols = taps(w, n_cols, method)
    step = max(1, int(STRIP_VALUES / (channels * max(w, n_cols) * max(1, h / n_rows))))

    def strip(start: int) -> np.ndarray:
        index, weight = (a[start : start + step] for a in rows)
        low = index.min()
        # Columns first, on the fewer rows.
        x = _along_columns(to_float32(image[low : index.max() + 1]), *cols)
        x = _product(_lines(x), index - low, weight).reshape(-1, n_cols, channels)
        return np.clip(x, 0.0, 1.0, out=x)

    return (strip(start) for start in range(0, n_rows, step))


def shrink_columns(strip: np.ndarray, n_out: int) -> np.ndarray:
    """[rows, cols, c] shrunk to `n_out` columns, antialiased bicubic, not clipped."""
    return _along_columns(strip, *taps(strip.shape[1], n_out))


def shrink_rows(strips: Iterator[np.ndarray], n_in: int, n_out: int) -> Iterator[np.ndarray]:
    """Strips shrunk to `n_out` rows in all, antialiased bicubic; holds only rows still needed.

    Args:
      strips: float32 [some rows, cols, c], `n_in` rows in all.
      n_in: rows before.
      n_out: rows after, fewer.

    Yields:
      float32 [some rows, cols, c], not clipped.
    """
    index, weight = taps(n_in, n_out)
    first, last = index.min(axis=1), np.maximum.accumulate(index.max(axis=1))
    first = np.minimum.accumulate(first[::-1])[::-1]
    held: np.ndarray | None = None
    low, done = 0, 0
    for strip in strips:
        held = strip if held is None else np.concatenate([held, strip])
        ready = int(np.searchsorted(last, low + len(held)))
        if ready > done:
            x = _product(_lines(held), index[done:ready] - low, weight[done:ready])
            yield x.reshape(-1, *held.shape[1:])
            done = ready
            keep = int(first[done]) if done < n_out else n_in
            held, low = held[keep - low :], keep


def _along_columns(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    rows, _, channels = x.shape
    x = _product(_lines(x.swapaxes(0, 1)), index, weight)
    return np.ascontiguousarray(x.reshape(-1, rows, channels).swapaxes(0, 1))


def _lines(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(len(x), -1)


def _product(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sum over taps t of weight[:, t] * x[index[:, t]], for float32 x [n, m].

    As products with small dense matrices, which hold a few zeros and yet are ten times as fast as
    gathering.
    """
    out = np.empty((len(index), x.shape[1]), np.float32)
    for start in range(0, len(index), _MATRIX_ROWS):
        i, w = index[start : start + _MATRIX_ROWS], weight[start : start + _MATRIX_ROWS]
        low = i.min()
        matrix = np.zeros((len(i), i.max() - low + 1), np.float32)
        np.add.at(matrix, (np.arange(len(i))[:, None], i - low), w.astype(np.float32))
        np.matmul(matrix, x[low : low + matrix.shape[1]], out=out[start : start + len(i)])
    return out
