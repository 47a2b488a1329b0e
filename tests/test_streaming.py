import itertools
import threading

import numpy as np
import pytest

from inr_sr.data.crops import stream_crops
from inr_sr.data.sources import ArraySource
from inr_sr.errors import InputError


def marked(*sizes: tuple[int, int]) -> ArraySource:
    """Images whose pixels say where they are: (image, row, column)."""
    images = []
    for number, (rows, cols) in enumerate(sizes):
        at = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
        images.append(np.stack([np.full((rows, cols), number), *at], axis=2).astype(np.uint8))
    return ArraySource(images)


SIZES = [(40, 24), (9, 60), (30, 30), (13, 12)]
OPTIONS = {"batch_size": 5, "crop": 16, "border": 2, "seed": 7}


def take(count: int, **options) -> np.ndarray:
    batches = stream_crops(marked(*SIZES), **{**OPTIONS, **options})
    taken = np.stack(list(itertools.islice(batches, count)))
    batches.close()
    return taken


def test_a_batch_depends_on_seed_and_step_alone():
    batches = take(6, threads=1)
    assert batches.shape == (6, 5, 16, 16, 3)
    assert batches.dtype == np.uint8
    np.testing.assert_array_equal(take(6, threads=4), batches)
    np.testing.assert_array_equal(take(6, threads=3, cache_bytes=0), batches)
    np.testing.assert_array_equal(take(2, start_step=4), batches[4:])
    assert (take(6, seed=8) != batches).any()
    assert (take(6, seed=-7) != batches).any()
    assert (batches[0] != batches[1]).any()


@pytest.mark.parametrize("border", [0, 2])
def test_every_crop_position_is_as_likely_as_any_other(border):
    crops = take(1600, border=border).reshape(-1, 16, 16, 3)
    inner = crops[:, border : 16 - border, border : 16 - border]
    # Without its border a crop lies in one image, as it is there.
    corner = inner[:, 0, 0].astype(int)
    steps = np.stack(np.meshgrid(*[np.arange(inner.shape[1])] * 2, indexing="ij"), axis=2)
    np.testing.assert_array_equal(inner[..., 1:], corner[:, None, None, 1:] + steps)
    np.testing.assert_array_equal(
        inner[..., 0], np.broadcast_to(corner[:, None, None, 0], inner.shape[:3])
    )
    expected = {
        (number, row, col)
        for number, (rows, cols) in enumerate(SIZES)
        for row in range(rows - inner.shape[1] + 1)
        for col in range(cols - inner.shape[1] + 1)
    }
    counts = np.array([0] * len(expected))
    order = {place: i for i, place in enumerate(sorted(expected))}
    np.add.at(counts, [order[tuple(place)] for place in corner.tolist()], 1)
    mean = len(crops) / len(expected)
    chi2 = np.square(counts - mean).sum() / mean
    freedom = len(expected) - 1
    assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


def test_the_border_is_mirrored():
    crops = take(200).reshape(-1, 16, 16, 3)
    source = marked(*SIZES)
    padded = [
        np.pad(source[i], ((20, 20), (20, 20), (0, 0)), "symmetric") for i in range(len(SIZES))
    ]
    beyond = 0
    for crop in crops:
        number, row, col = crop[2, 2].tolist()
        expected = padded[number][row + 18 : row + 34, col + 18 : col + 34]
        np.testing.assert_array_equal(crop, expected)
        beyond += row < 2
    assert beyond > 0


def test_all_images_too_small():
    with pytest.raises(
        InputError, match=r"smaller than a crop of 12x12 pixels \(the largest is 11x40\)"
    ):
        stream_crops(marked((8, 60), (11, 40)), **OPTIONS)


class Broken(ArraySource):
    def __getitem__(self, index: int) -> np.ndarray:
        raise InputError("b.png is damaged")


def test_an_unreadable_image_ends_the_stream_with_its_name():
    batches = stream_crops(Broken([np.zeros((20, 20, 3), np.uint8)]), **OPTIONS)
    with pytest.raises(InputError, match=r"b\.png is damaged"):
        next(batches)


class Counting(ArraySource):
    decoded = 0
    lock = threading.Lock()

    def __getitem__(self, index: int) -> np.ndarray:
        with self.lock:
            self.decoded += 1
        return super().__getitem__(index)


def test_the_cache_is_bounded():
    decoded = []
    for images in (10, 5, 0):  # that fit into the cache, of 10
        source = Counting([np.zeros((20, 20, 3), np.uint8)] * 10)
        room = {"threads": 1, "cache_bytes": images * 20 * 20 * 3}
        batches = stream_crops(source, **OPTIONS, **room)
        for _ in range(40):
            next(batches)
        batches.close()
        decoded.append(source.decoded)
    assert decoded[0] == 10
    assert 50 < decoded[1] < 150 < decoded[2]


def test_closing_leaves_no_threads():
    before = set(threading.enumerate())
    batches = stream_crops(marked(*SIZES), **OPTIONS)
    next(batches)
    started = set(threading.enumerate()) - before
    assert started
    batches.close()
    for thread in started:
        thread.join(timeout=10)
        assert not thread.is_alive()
