import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr.data.crops import ResidentSet
from inr_sr.data.loaders import sampling
from inr_sr.data.samples import Batch, Sampling, make_batch
from inr_sr.errors import InputError
from inr_sr.resampling import cubic, resize
from inr_sr.studies import controls  # noqa: F401 - adds targets
from tests.test_streaming import OPTIONS, SIZES, marked, take
from tests.tiny import tiny

FIELDS = {
    "patch": 8,
    "min_scale": 1.0,
    "max_scale": 4.0,
    "queries": 64,
    "layout": "points",
    "candidates": 1,
    "targets": "hr",
    "jitter": 0.0,
    "jitter_shape": "uniform",
}
SPEC = Sampling(**FIELDS)


def keys(count: int, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), count)


@functools.partial(jax.jit, static_argnames="spec")
def compiled(keys: jax.Array, crops: jax.Array, spec: Sampling) -> Batch:
    return make_batch(keys, crops[:, None], spec)


def samples(crops: np.ndarray, spec: Sampling = SPEC, seed: int = 0) -> Batch:
    """200 at a time, so that there is one program."""
    return jax.tree.map(np.asarray, compiled(keys(200, seed), jnp.asarray(crops), spec))


def noise(spec: Sampling = SPEC) -> np.ndarray:
    shape = (200, spec.crop, spec.crop, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def orientations(crop: np.ndarray) -> list[np.ndarray]:
    """The crop, flipped and turned in all ways."""
    turned = [np.rot90(crop, k) for k in range(4)]
    return turned + [x[:, ::-1] for x in turned]


def lr_patch(hr: np.ndarray, scale: float, spec: Sampling) -> np.ndarray:
    """What LR pixels behind the border are, from the definition, unrounded."""
    centre = spec.border + (np.arange(spec.patch) + 0.5) * scale
    weight = cubic((centre[:, None] - (np.arange(spec.crop) + 0.5)) / max(scale, 1.0))
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("ij,jkc,lk->ilc", weight, hr, weight)


def hr_pixels(batch: Batch, spec: Sampling = SPEC) -> np.ndarray:
    """HR pixel of each query in its oriented crop, from cell and delta; checks that it is one."""
    x = batch.cell + 0.5 + batch.delta
    exact = x / batch.size[:, None] - 0.5
    assert np.abs(exact - np.round(exact)).max() < 1e-3
    return np.round(exact).astype(int) + spec.border


@pytest.mark.slow
def test_lr_patches_and_targets_are_those_of_the_crop():
    crops = noise()
    batch = samples(crops)
    assert batch.lr.shape == (200, 8, 8, 3)
    assert batch.target.shape == (*batch.delta.shape[:2], 3) == (200, 64, 3)
    pixels = hr_pixels(batch)
    found, wrong = np.zeros(8, int), 0
    for i, crop in enumerate(crops):
        scale = 1 / float(batch.size[i, 0])
        expected = [lr_patch(hr / 255.0, scale, SPEC) for hr in orientations(crop)]
        errors = [np.abs(np.clip(lr, 0, 1) - batch.lr[i]).max() for lr in expected]
        turn = int(np.argmin(errors))
        found[turn] += 1
        # 8-bit values, and the nearest ones but for ties that float32 decides.
        levels = np.floor(255 * np.clip(expected[turn], 0, 1) + 0.5)
        wrong += (np.abs(levels - 255 * batch.lr[i]) > 1e-3).sum()
        assert errors[turn] < 0.502 / 255
        # The package's MATLAB-exact bicubic agrees wherever it sees no border of its own.
        hr = orientations(crop)[turn].astype(np.float32) / 255
        behind = hr[SPEC.border :, SPEC.border :]
        matlab = resize(behind, (8, 8), scale=(1 / scale, 1 / scale))
        np.testing.assert_allclose(matlab[2:6, 2:6], expected[turn][2:6, 2:6], atol=2e-5)
        target = hr[pixels[i, :, 0], pixels[i, :, 1]]
        np.testing.assert_allclose(batch.target[i], target, atol=1e-6)
    assert wrong < 1e-3 * batch.lr.size
    assert found.min() > 10  # of 25


def test_queries_cover_all_offsets_cells_and_scales():
    black = np.zeros((200, SPEC.crop, SPEC.crop, 3), np.uint8)
    parts = [samples(black, seed=seed) for seed in range(20)]
    batch = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    assert batch.cell.min() == 0
    assert batch.cell.max() == 7
    assert np.abs(batch.delta).max() <= 0.5 + 1e-5
    bins = np.clip(np.floor((batch.delta + 0.5) * 16), 0, 15).astype(int).reshape(-1, 2)
    counts = np.zeros((16, 16))
    np.add.at(counts, tuple(bins.T), 1)
    assert counts.min() > 0.4 * counts.mean()  # near x1 and x3 centres prevail in a small patch
    per_cell = np.bincount((8 * batch.cell[..., 0] + batch.cell[..., 1]).ravel(), minlength=64)
    assert per_cell.min() > 0.9 * per_cell.mean()
    scales = np.sort(1 / batch.size[:, 0])
    uniform = np.linspace(1, 4, len(scales))
    assert np.abs(scales - uniform).max() < 3 * 1.95 / np.sqrt(len(scales))  # Kolmogorov, 0.1 %


def test_the_geometry_of_a_ramp_is_right():
    # Whole levels, so that only the LR patch is rounded; the plane is fitted through that.
    row, col = np.mgrid[: SPEC.crop, : SPEC.crop]
    ramps = [3 * row + 2 * col, 235 - row - 3 * col, 4 * col + 10]
    crop = np.stack(ramps, axis=-1).astype(np.uint8)
    batch = samples(np.repeat(crop[None], 200, axis=0))
    at = np.stack(np.meshgrid(*[np.arange(8) + 0.5] * 2, indexing="ij"), -1).reshape(-1, 2)
    design = np.concatenate([at, np.ones((64, 1))], axis=1)
    x = batch.cell + 0.5 + batch.delta
    errors = []
    for i in range(len(x)):
        plane, *_ = np.linalg.lstsq(design, batch.lr[i].reshape(64, 3), rcond=None)
        predicted = np.concatenate([x[i], np.ones((64, 1))], axis=1) @ plane
        errors.append(np.abs(predicted - batch.target[i]))
    assert np.mean(errors) < 1e-3  # a tenth of an HR pixel
    assert np.max(errors) < 3e-3


def test_a_square_is_of_neighbours():
    spec = dataclasses.replace(
        SPEC, patch=8, min_scale=1.0, max_scale=4.0, queries=25, layout="square"
    )
    batch = samples(noise(spec), spec)
    pixels = hr_pixels(batch, spec) - spec.border
    square = np.stack(np.meshgrid(*[np.arange(5)] * 2, indexing="ij"), -1).reshape(-1, 2)
    corner = pixels[:, :1]
    np.testing.assert_array_equal(pixels, corner + square)
    extent = np.floor(8 / batch.size[:, :1] + 0.5)
    assert (corner >= 0).all()
    assert (pixels.max(axis=1) < extent).all()
    assert (corner == 0).any()
    assert (pixels.max(axis=1) == extent - 1).any()


def ramps(spec: Sampling) -> np.ndarray:
    """Crops that rise evenly: cubics follow them exactly, however they are turned."""
    row, col = np.mgrid[: spec.crop, : spec.crop]
    grey = (3 * row + 2 * col)[None, ..., None]
    return np.broadcast_to(grey, (200, spec.crop, spec.crop, 3)).astype(np.uint8)


def unevenness(batch: Batch) -> float:
    """How far targets lie off a plane over their queries, root mean square."""
    x = batch.cell + 0.5 + batch.delta
    planes = np.concatenate([x, np.ones_like(x[..., :1])], axis=-1).astype(np.float64)
    fits = [np.linalg.lstsq(p, t, rcond=None)[0] for p, t in zip(planes, batch.target)]
    return float(np.sqrt(np.mean((planes @ np.stack(fits) - batch.target) ** 2)))


def offsets(batch: Batch) -> np.ndarray:
    """How far queries lie off the centre of the output pixel they are in, output pixels."""
    pixel = (batch.cell + 0.5 + batch.delta) / batch.size[:, None] - 0.5
    return pixel - np.round(pixel)


@pytest.mark.parametrize(("shape", "deviation"), [("uniform", 0.8 / 12**0.5), ("normal", 0.1)])
def test_jitter_moves_queries_by_its_width(shape, deviation):
    jitter = 0.8 if shape == "uniform" else 0.1
    spec = dataclasses.replace(SPEC, jitter=jitter, jitter_shape=shape)
    moved = offsets(samples(noise(spec), spec))
    np.testing.assert_allclose(moved.std(), deviation, rtol=0.03)
    np.testing.assert_allclose(moved.mean(), 0, atol=0.01)
    assert np.abs(offsets(samples(noise()))).max() < 1e-3


def test_jittered_targets_are_taken_where_queries_are():
    spec = dataclasses.replace(SPEC, patch=6, jitter=1.0, min_scale=2.0)
    true = samples(ramps(spec), spec)
    raw = samples(ramps(spec), dataclasses.replace(spec, targets="raw_hr"))
    still = samples(ramps(spec), dataclasses.replace(spec, jitter=0.0))
    np.testing.assert_array_equal(true.delta, raw.delta)
    np.testing.assert_array_equal(raw.target, still.target)
    assert unevenness(still) < 1e-6
    assert unevenness(true) < 1e-6
    assert unevenness(raw) > 0.5 / 255


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": "lr", "patch": 12, "max_scale": 3.0},
        {"jitter": 0.5, "jitter_shape": "normal", "targets": "raw_hr"},
        {"targets": "pseudo_hr", "layout": "square", "min_scale": 1.5, "queries": 81},
    ],
)
def test_a_configuration_says_how_samples_are_drawn(changes):
    fields = {**FIELDS, **changes}
    config = tiny(**{f"data__{name}": value for name, value in fields.items()})
    assert sampling(config) == Sampling(**fields)


def test_lr_targets_are_the_lr_image_itself():
    spec = dataclasses.replace(SPEC, targets="lr")
    batch = samples(noise(), spec)
    np.testing.assert_array_equal(batch.size, 1)
    np.testing.assert_array_equal(batch.delta, 0)
    own = batch.lr[np.arange(200)[:, None], batch.cell[..., 0], batch.cell[..., 1]]
    np.testing.assert_allclose(batch.target, own, atol=1e-6)
    np.testing.assert_array_equal(batch.lr, samples(noise()).lr)


def test_pseudo_hr_targets_are_the_lr_image_enlarged():
    spec = dataclasses.replace(SPEC, targets="pseudo_hr", min_scale=3.0, max_scale=3.0)
    batch = samples(noise(spec), spec)
    pixels = hr_pixels(batch, spec) - spec.border
    for lr, pixel, target in zip(batch.lr, pixels, batch.target):
        bicubic = resize(lr, (24, 24), "bicubic")
        np.testing.assert_allclose(target, bicubic[pixel[:, 0], pixel[:, 1]], atol=1e-5)


@pytest.mark.devices
def test_samples_do_not_depend_on_their_batch():
    crops, order = noise(), np.random.default_rng(1).permutation(200)
    batch = samples(crops)
    shuffled = compiled(keys(200)[order], jnp.asarray(crops[order]), SPEC)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[order], b), batch, shuffled)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_scale": 0.5}, "min_scale 0.5"),
        ({"max_scale": float("nan")}, "max_scale nan"),
        ({"min_scale": 3.0, "max_scale": 2.0}, "1 <= min_scale <= max_scale"),
        ({"patch": 3}, "patch 3 must be at least 4"),
        ({"queries": 0}, "queries 0"),
        ({"candidates": 0}, "candidates 0 must be at least 1"),
        ({"layout": "grid"}, "data.layout 'grid' must be one of points, square"),
        ({"targets": "truth"}, "data.targets 'truth' must be one of hr, lr, pseudo_hr, raw_hr"),
        ({"jitter_shape": "round"}, "data.jitter_shape 'round' must be one of normal, uniform"),
        ({"jitter": -0.5}, "data.jitter -0.5 must be at least 0"),
        ({"jitter": 1.0, "layout": "square"}, "data.jitter 1.0 needs data.layout 'points', not"),
        ({"targets": "raw_hr"}, "data.targets 'raw_hr' needs data.jitter above 0, not 0.0"),
        ({"layout": "square", "queries": 24}, "a square of a side up to 8"),
        ({"layout": "square", "queries": 81}, "a square of a side up to 8"),
    ],
)
def test_mistakes(change, message):
    with pytest.raises(InputError, match=message):
        Sampling(**{**FIELDS, **change})


def resident(sizes: list[tuple[int, int]] = SIZES, border: int = 2) -> ResidentSet:
    return ResidentSet.from_images(marked(*sizes), crop=16, border=border)


def random_crops(count: int, **options) -> np.ndarray:
    return np.asarray(jax.jit(ResidentSet.draw)(resident(**options), keys(count)))


@pytest.mark.parametrize("border", [0, 2])
def test_resident_crops_are_uniform_over_positions(border):
    crops = random_crops(8000, border=border)
    inner = crops[:, border : 16 - border, border : 16 - border].astype(int)
    side = 16 - 2 * border
    corner = inner[:, 0, 0]
    steps = np.stack(np.meshgrid(*[np.arange(side)] * 2, indexing="ij"), axis=2)
    np.testing.assert_array_equal(inner[..., 1:], corner[:, None, None, 1:] + steps)
    assert (inner[..., 0] == corner[:, None, None, 0]).all()
    expected = [
        (number, row, col)
        for number, (rows, cols) in enumerate(SIZES)
        for row, col in itertools.product(range(rows - side + 1), range(cols - side + 1))
    ]
    places, counts = np.unique(corner, axis=0, return_counts=True)
    assert set(map(tuple, places.tolist())) <= set(expected)  # too small an image is left out
    mean, freedom = len(crops) / len(expected), len(expected) - 1
    chi2 = np.square(counts - mean).sum() / mean + (len(expected) - len(counts)) * mean
    assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


def test_resident_borders_are_mirrored():
    source = marked(*SIZES)
    padded = [
        np.pad(source[i], ((20, 20), (20, 20), (0, 0)), "symmetric") for i in range(len(SIZES))
    ]
    beyond = 0
    for crop in random_crops(300):
        number, row, col = crop[2, 2].tolist()
        expected = padded[number][row + 18 : row + 34, col + 18 : col + 34]
        np.testing.assert_array_equal(crop, expected)
        beyond += row < 2
    assert beyond > 0


@pytest.mark.devices
def test_streaming_and_resident_give_the_same_distribution():
    streamed = take(400).reshape(-1, 16, 16, 3).astype(float)
    kept = random_crops(2000).astype(float)
    assert len(streamed) == OPTIONS["batch_size"] * 400 == len(kept)
    # Image, row and column of every pixel of a crop: means of 2,000, and their spread.
    error = np.sqrt((streamed.var(axis=0) + kept.var(axis=0)) / len(kept))
    assert (np.abs(streamed.mean(axis=0) - kept.mean(axis=0)) < 5 * error).all()
    np.testing.assert_allclose(streamed.std(axis=0), kept.std(axis=0), rtol=0.1)


def test_resident_mistakes(monkeypatch):
    with pytest.raises(
        InputError, match=r"smaller than a crop of 12x12 pixels \(the largest is 11x40\)"
    ):
        resident([(8, 60), (11, 40)])
    monkeypatch.setattr("inr_sr.data.crops.MAX_PIXELS", 1000)
    with pytest.raises(InputError, match=r"set data\.mode = streaming"):
        resident()
