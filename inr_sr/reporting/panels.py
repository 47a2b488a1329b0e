"""Side-by-side panels: one region of an image, by several methods, at 1:1 and magnified."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from inr_sr.errors import InputError
from inr_sr.files import atomic_path

VIEW = 256
"""Side in pixels of the region shown at 1:1."""
DETAIL = 64
"""Side in pixels of the part of it that is magnified."""
ZOOM = 4

# A neutral dark ground suits light and dark pages alike and does not tint the images on it.
_GROUND, _INK, _FAINT, _MARK = (28, 28, 30), (235, 235, 238), (160, 160, 168), (255, 214, 10)
_GAP, _LINE = 12, 20
_MIN_WIDTH = 128  # of a column, so that its label fits


Box = tuple[int, int, int, int]
"""Row and column of a corner, then rows and columns: all in output pixels."""


@dataclass(frozen=True)
class Column:
    """One method's column: a label, a note such as its PSNR, and uint8 [h, w, 3] at 1:1."""

    label: str
    note: str
    view: np.ndarray


@dataclass(frozen=True)
class Panel:
    """Columns of one size to be seen side by side.

    Attributes:
      name: of its file, before characters that do not suit file names are replaced.
      title: for readers.
      columns: one per method, the truth last.
      box: the part of the view to magnify `ZOOM` times, if any.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    box: Box | None = None

    @property
    def file_name(self) -> str:
        return re.sub(r"[^\w.-]+", "_", self.name) + ".png"


def comparison(
    name: str,
    title: str,
    lr: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    truth: np.ndarray,
    notes: Mapping[str, str],
    border: tuple[int, int],
) -> Panel:
    """The place where bicubic errs most: the LR pixels, each output, and the truth.

    It is the window of `DETAIL` pixels inside `border` with the largest squared error of bicubic
    (of the first output, if bicubic is not among them). So it is never flat, and the choice does
    not favour the result of any network.

    Args:
      name, title: see `Panel`.
      lr: uint8 [h, w, 3], shown by nearest neighbour.
      outputs: uint8 [H, W, 3] by method, in the order to show.
      truth: uint8 [H, W, 3].
      notes: a short text by method, such as its PSNR.
      border: rows and columns at the edges that are left out.
    """
    yardstick = outputs["bicubic"] if "bicubic" in outputs else next(iter(outputs.values()))
    error = np.square(yardstick.astype(np.float64) - truth.astype(np.float64)).sum(axis=2)
    box = busiest_window(error, (DETAIL, DETAIL), border)
    view = surroundings(box, (VIEW, VIEW), (truth.shape[0], truth.shape[1]))
    columns = []
    if "nearest" not in outputs:
        columns.append(Column("LR pixels", "", _nearest(lr, truth.shape[:2])[_slices(view)]))
    columns += [Column(m, notes.get(m, ""), o[_slices(view)].copy()) for m, o in outputs.items()]
    columns.append(Column("truth", "", truth[_slices(view)].copy()))
    inner = (box[0] - view[0], box[1] - view[1], box[2], box[3])
    return Panel(name, title, tuple(columns), inner)


def busiest_window(
    activity: np.ndarray, size: tuple[int, int], border: tuple[int, int] = (0, 0)
) -> Box:
    """The window with the largest sum.

    Args:
      activity: [h, w], such as a squared error.
      size: rows and columns of the window; less where the image is smaller.
      border: rows and columns at the edges that are left out.
    """
    inner = activity[
        border[0] : activity.shape[0] - border[0], border[1] : activity.shape[1] - border[1]
    ]
    rows, cols = min(size[0], inner.shape[0]), min(size[1], inner.shape[1])
    sums = np.pad(inner, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    windows = sums[rows:, cols:] - sums[:-rows, cols:] - sums[rows:, :-cols] + sums[:-rows, :-cols]
    row, col = np.unravel_index(int(np.argmax(windows)), windows.shape)
    return int(row) + border[0], int(col) + border[1], rows, cols


def surroundings(box: Box, size: tuple[int, int], image: tuple[int, int]) -> Box:
    """A window of `size`, or less, around `box` and inside an image of size `image`."""
    starts, sizes = [], []
    for start, length, wanted, limit in zip(box[:2], box[2:], size, image, strict=True):
        n = min(max(wanted, length), limit)
        starts.append(min(max(start + length // 2 - n // 2, 0), limit - n))
        sizes.append(n)
    return starts[0], starts[1], sizes[0], sizes[1]


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box[0], box[0] + box[2]), slice(box[1], box[1] + box[3])


def magnified(name: str, title: str, lr: np.ndarray, outputs: Mapping[str, np.ndarray]) -> Panel:
    """A small region at a scale that has no ground truth: LR pixels and each output.

    Args:
      name, title: see `Panel`.
      lr: uint8 [h, w, 3].
      outputs: uint8 [H, W, 3] by method, in the order to show.
    """
    size = next(iter(outputs.values())).shape[:2]
    columns = [] if "nearest" in outputs else [Column("LR pixels", "", _nearest(lr, size))]
    columns += [Column(method, "", output) for method, output in outputs.items()]
    return Panel(name, title, tuple(columns))


def _nearest(lr: np.ndarray, size: Sequence[int]) -> np.ndarray:
    rows, cols = (
        ((2 * np.arange(n) + 1) * m) // (2 * n) for n, m in zip(size, lr.shape[:2], strict=True)
    )
    enlarged: np.ndarray = lr[rows][:, cols]
    return enlarged


def draw(panel: Panel) -> Image.Image:
    """The panel as one image: labels, the views at 1:1, and the marked part magnified."""
    view_h, view_w = panel.columns[0].view.shape[:2]
    detail_h, detail_w = (n * ZOOM for n in panel.box[2:]) if panel.box else (0, 0)
    width = max(view_w, detail_w, _MIN_WIDTH)
    top = _GAP + 2 * _LINE
    height = top + view_h + (_GAP + detail_h if panel.box else 0) + _GAP
    sheet = Image.new("RGB", (_GAP + len(panel.columns) * (width + _GAP), height), _GROUND)
    pen = ImageDraw.Draw(sheet)
    for index, column in enumerate(panel.columns):
        left = _GAP + index * (width + _GAP)
        pen.text((left, _GAP - 4), column.label, fill=_INK, font=ImageFont.load_default(15))
        pen.text(
            (left, _GAP - 4 + _LINE), column.note, fill=_FAINT, font=ImageFont.load_default(13)
        )
        sheet.paste(Image.fromarray(column.view), (left, top))
        if panel.box:
            row, col, rows, cols = panel.box
            # The frame lies around the marked part, not on it.
            corners = (left + col - 1, top + row - 1, left + col + cols, top + row + rows)
            pen.rectangle(corners, outline=_MARK)
            detail = Image.fromarray(column.view[_slices(panel.box)])
            larger = detail.resize((cols * ZOOM, rows * ZOOM), Image.Resampling.NEAREST)
            sheet.paste(larger, (left, top + view_h + _GAP))
    return sheet


def write_panel(folder: Path, panel: Panel) -> Path:
    """Writes the panel as a PNG into `folder`, which is made if need be; returns the file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / panel.file_name) as temporary:
            draw(panel).save(temporary, format="PNG", optimize=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
    return folder / panel.file_name
