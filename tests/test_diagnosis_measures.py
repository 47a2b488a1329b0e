"""What a diagnosis measures, against closed forms."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr import models
from inr_sr.data.sources import ArraySource
from inr_sr.errors import InputError
from inr_sr.evaluation.spectra import compare
from inr_sr.models.decoders.liif import LiifFunction
from inr_sr.models.decoders.modulated import CellwiseModulatedFunction, nearest_offsets
from inr_sr.models.decoders.modulated.layers import Affine, FourierLayer
from inr_sr.models.decoders.pixel_shuffle import PixelShuffleFunction
from inr_sr.sizes import Scale
from inr_sr.studies.diagnosis import ablations, frequencies, modulation, output_quality
from inr_sr.studies.diagnosis.edge_crops import FROM_EACH, IMAGES, edge_crops, places_of_edges
from inr_sr.studies.diagnosis.modulation import evaluated, on_grid, scattered
from inr_sr.studies.diagnosis.trained_network import Course
from inr_sr.upscaling import ResampleUpscaler
from inr_sr.values import to_float32
from tests.networks import random_images, small_config, waves


@functools.cache
def modulated(nearest=9, frame="cell"):
    """A field of 8 x 8 LR pixels: 4 tokens, which differ."""
    config = small_config("modulated", encoder="lp_tokens", trained_size=8)
    config.lp_tokens.update(width=8, blocks=1, heads=2)
    config.modulated.update(features=8, hidden=8, heads=2, nearest=nearest, frame=frame)
    model = models.build(config)

    @jax.jit
    def field(key, image):
        return model.apply({"params": models.init(model, key)}, image)

    return field(jax.random.key(0), random_images(8, 8)).function


def two_tokens(tau, value=(1.0, -2.0)):
    """Tokens of 0 and `value` side by side: attention is by distance alone."""
    nothing = FourierLayer(jnp.zeros((1, 2)), Affine(jnp.zeros((2, 2)), jnp.zeros(2)))
    values = jnp.stack([jnp.zeros(2), jnp.array(value)])
    return CellwiseModulatedFunction(
        keys=jnp.zeros((1, 1, 2, 1, 2)),
        values=values.reshape(1, 1, 2, 1, 2),
        query=nothing,
        bands=(),
        log_tau=jnp.log(jnp.array([tau])),
        kappa=jnp.zeros(()),
        origin=jnp.zeros(2, jnp.int32),
        lattice=(4, 8),
        spacing=4,
        nearest=(),
        frame="picture",
        smallest=0.25,
    )


def test_distances_know_that_b_and_minus_b_are_the_same():
    b = np.array([[1.0, 0.5], [0.0, 2.0], [-0.7, -0.1]])
    assert frequencies.closest(b) == pytest.approx(math.hypot(0.3, 0.4))
    assert frequencies.closest(np.array([[1.0, 2.0], [-1.0, -2.0]])) == 0
    assert math.isnan(frequencies.closest(b[:1]))


def test_gap_is_what_nearly_all_frequencies_are_within():
    # Of a disc, 95 % is within the root of that of its radius; of a circle no more than half.
    assert frequencies.gap(np.zeros((4, 2)), 2.0) == pytest.approx(2 * 0.95**0.5, abs=0.03)
    turn = np.pi * np.arange(400) / 400
    circle = np.stack([np.sin(turn), np.cos(turn)], axis=-1)
    assert frequencies.gap(circle, 2.0) == pytest.approx(0.95, abs=0.03)
    assert frequencies.gap(-circle, 2.0) == frequencies.gap(circle, 2.0)


def test_effective_rank_of_orthogonal_equal_and_constant_waves():
    orthogonal = np.array([[1, 0], [0, 1], [2, -1], [1, 3]]) / 4
    assert frequencies.effective_rank(orthogonal, -2.0, 4.0, 16) == pytest.approx(8)
    equal = np.array([[1, 2], [-1, -2], [1, 2]]) / 4
    assert frequencies.effective_rank(equal, 0.0, 4.0, 16) == pytest.approx(2, abs=1e-6)
    assert frequencies.effective_rank(np.zeros((5, 2)), 0.0, 4.0, 16) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("start", [-2.0, 0.0])
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_effective_rank_is_that_of_the_query_grid(start, count):
    """Also of waves that are equal at all queries: at twice the grid's Nyquist frequency."""
    b = np.random.default_rng(0).normal(0, 1, (5, 2))
    b[0] = count / 4
    x = start + (np.arange(count) + 0.5) * 4 / count
    phase = 2 * np.pi * (b[:, 0] * x[:, None, None] + b[:, 1] * x[None, :, None]).reshape(-1, 5)
    values = np.linalg.svd(np.hstack([np.cos(phase), np.sin(phase)]), compute_uv=False)
    share = values[values > 1e-9] / values.sum()
    expected = np.exp(-np.sum(share * np.log(share)))
    found = frequencies.effective_rank(b, start, 4.0, count)
    assert found == pytest.approx(expected, rel=1e-3)
    assert found < min(10, count**2) + 1e-3


def test_movement_and_gradients():
    assert frequencies.moved(np.array([[3.0, 4.0]]), np.array([[3.0, 3.0]])) == pytest.approx(0.2)
    assert math.isnan(frequencies.moved(np.zeros((1, 2)), np.ones((1, 2))))
    rows = [
        {"frequency_gradient_norm": 3.0, "gradient_norm": 5.0},
        {"eval_psnr": 20.0},
        {"frequency_gradient_norm": 5.0, "gradient_norm": 13.0},
    ]
    assert frequencies.gradient_ratio(rows) == pytest.approx((3 / 4 + 5 / 12) / 2)
    assert math.isnan(frequencies.gradient_ratio([{"gradient_norm": 1.0}]))


def test_gain_is_since_the_evaluation_nearest_to_half():
    def of(scores):
        return Course.of([{"step": s, "eval_psnr": x} for s, x in scores.items()])

    scores = {100: 20.0, 300: 25.0, 450: 26.0, 520: 28.0, 600: 29.0, 1000: 30.5}
    assert of(scores) == Course(520, 1000, 2.5)
    assert of({150: 20.0, 300: 21.0, 450: 22.5}) == Course(300, 450, 1.5)
    assert of({500: math.nan, 400: 1.0, 1000: 3.0, 1500: math.nan}) == Course(400, 1000, 2.0)
    for few in ({}, {1000: 30.0}, {300: 25.0, 1000: 30.0}, {700: 25.0, 1000: 30.0}):
        assert math.isnan(of(few).gain)
    assert math.isnan(Course.of([{"step": 5, "l1": 0.1}, {"step": 10, "l1": 0.1}]).gain)


def test_shares_of_waves_leave_out_the_query():
    region = frequencies.Region("a cell", 0.0, 1.0)
    now = {
        "frequencies_0": np.array([[0.3, 0.4], [0.6, 0.0], [0.0, 3.0], [1.0, 0.0]]),
        "frequencies_query": np.array([[9.0, 0.0]]),
    }
    found = frequencies.measure(now, now, [], region, 2.0, 4.0)
    assert found.together.length["max"] == 3
    waves = found.matrices["frequencies_0"]
    assert (waves.beyond_lr, waves.beyond_output, waves.beyond_trained) == (0.75, 0.25, 0.25)
    assert waves.most == 4  # output pixels, of which there are fewer than cosines and sines
    assert found.matrices["frequencies_query"].beyond_trained == 1


@pytest.mark.slow
def test_jacobian_of_two_tokens_is_that_of_the_logistic_function():
    tau, queries = 2.5, scattered(4, 4.0, 50)
    field = two_tokens(tau)
    x = (np.asarray(queries.cell) + 0.5 + np.asarray(queries.delta))[0, :, 1]
    weight = 1 / (1 + np.exp(-4 * (x - 4) / tau**2))
    slope = 4 / tau**2 * weight * (1 - weight)
    found = np.asarray(modulation.jacobian(field, queries))[0]
    np.testing.assert_allclose(found[..., 1], slope[:, None] * [1.0, -2.0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[..., 0], 0, atol=1e-6)
    steep = modulation.steepness(np.full((50, 2), math.sqrt(2)), found)
    assert steep["largest"]["median"] == pytest.approx(
        np.median(slope) * math.sqrt(5) / 2, rel=1e-4
    )
    assert steep["smallest"]["0.95"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("nearest", "frame"), [(9, "cell"), (0, "picture")])
def test_jacobian_is_that_of_finite_differences(nearest, frame):
    field = modulated(nearest, frame)
    queries, step = scattered(8, 2.0, 40), 4e-3
    found = np.asarray(jax.jit(modulation.jacobian)(field, queries))[0]
    values = jax.jit(modulation.modulation)
    for axis in (0, 1):
        move = step * jnp.eye(2)[axis][None, None]
        ahead, behind = (
            values(field, queries._replace(delta=queries.delta + sign * move)) for sign in (1, -1)
        )
        expected = np.asarray(ahead - behind)[0] / (2 * step)
        off = np.abs(found[..., axis] - expected).max(axis=1) / np.abs(expected).max()
        assert np.mean(off < 0.01) >= 0.9  # all but queries at a kink of their ReLU


def test_entropy_and_distance_of_attention():
    uniform = np.full((7, 5, 2), 0.2)
    single = np.zeros((7, 5, 1))
    single[:, 3] = 1
    np.testing.assert_allclose(modulation.relative_entropy(uniform), 1)
    np.testing.assert_allclose(modulation.relative_entropy(single), 0)
    assert np.isnan(modulation.relative_entropy(np.ones((7, 1, 2)))).all()
    squared = np.broadcast_to(np.array([0.0, 1.0, 4.0, 9.0, 16.0]), (7, 5))
    np.testing.assert_allclose(modulation.attended_distance(uniform, squared), 2)
    np.testing.assert_allclose(modulation.attended_distance(single, squared), 3)


def test_a_single_token_gives_a_constant_and_is_as_far_as_the_cell_is_wide():
    field = modulated(nearest=1)
    found = modulation.measure([field], 16)
    assert found.attended == 1
    assert np.isnan(found.entropy).all()
    # The mean distance to a square's centre, of its side.
    np.testing.assert_allclose(found.distance, 4 * 0.3826, rtol=0.03)
    assert found.rate == 0
    assert found.beyond_lr > 0.01  # the seams
    wide = dataclasses.replace(modulated(), log_tau=jnp.full(2, 20.0))
    wide = dataclasses.replace(wide, keys=jnp.zeros_like(wide.keys))
    np.testing.assert_allclose(modulation.measure([wide], 16).entropy, 1, rtol=1e-5)


def test_rate_of_a_wave_is_its_frequency():
    x, f = (np.arange(64) + 0.5) / 8, 0.375
    turn = 2 * np.pi * f * x
    values = np.stack([np.cos(turn) + 5, np.sin(turn)], axis=-1)
    slopes = 2 * np.pi * f * np.stack([-np.sin(turn), np.cos(turn)], axis=-1)
    slopes = np.stack([0.6 * slopes, 0.8 * slopes], axis=-1)
    assert modulation.rate([values], [slopes]) == pytest.approx(f)
    assert math.isnan(modulation.rate([np.ones((4, 2))], [np.zeros((4, 2, 2))]))


def test_slope_says_whether_detail_is_nearer_to_the_truth_than_none():
    rng = np.random.default_rng(0)
    detail, other = rng.normal(0, 0.1, (2, 64, 64))
    assert output_quality.slope(compare([(2 * detail, detail)], 4.0)) == pytest.approx(0.5)
    # The best guess of a truth of which half cannot be known.
    assert output_quality.slope(compare([(detail, detail + other)], 4.0)) == pytest.approx(
        1, abs=0.1
    )
    assert output_quality.slope(compare([(other, detail)], 4.0)) == pytest.approx(0, abs=0.1)
    assert math.isnan(output_quality.slope(compare([(np.ones((64, 64)), detail)], 4.0)))


def function_of(decoder):
    key = jax.random.key(0)
    if decoder == "spectral":
        return waves(0, (3, 4))
    if decoder == "pixel_shuffle":
        return PixelShuffleFunction(jax.random.normal(key, (1, 3, 4, 2, 2, 3)))
    if decoder == "liif":
        ends = jnp.zeros(2, jnp.int32)
        return LiifFunction(jax.random.normal(key, (1, 5, 6, 7)), ends, ends, jnp.zeros((4, 7)), ())
    return modulated()


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["modulated", "spectral", "liif", "pixel_shuffle"])
def test_shuffling_permutes_places_and_frames_them_again(decoder):
    function = function_of(decoder)
    shuffled = ablations.shuffled(function)
    margin = 1 if decoder in ("modulated", "liif") else 0
    orders = []
    for name in function.spatial_arrays:
        before, after = (np.asarray(getattr(field, name)) for field in (function, shuffled))
        inside = [
            x[0, margin : x.shape[1] - margin, margin : x.shape[2] - margin]
            for x in (before, after)
        ]
        flat = [x.reshape(x.shape[0] * x.shape[1], -1) for x in inside]
        orders.append([int(np.flatnonzero((flat[0] == row).all(axis=1))[0]) for row in flat[1]])
        assert sorted(orders[-1]) == list(range(len(flat[0])))
        assert orders[-1] != sorted(orders[-1])
        if margin:
            pad = [(1, 1), (1, 1), *[(0, 0)] * (inside[1].ndim - 2)]
            np.testing.assert_array_equal(after[0], np.pad(inside[1], pad, mode="symmetric"))
    assert orders.count(orders[0]) == len(orders)  # keys as values
    zeroed = ablations.zeroed(function)
    emptied = ("values",) if decoder == "modulated" else function.spatial_arrays
    assert all(not np.asarray(getattr(zeroed, name)).any() for name in emptied)
    if decoder == "modulated":
        np.testing.assert_array_equal(zeroed.keys, function.keys)
        assert not np.asarray(zeroed.modulation(*scattered(8, 2.0, 10))).any()
        assert function.nearest == nearest_offsets(9)


def test_pixels_of_shuffled_places_are_those_of_other_places():
    pixels = jnp.arange(4.0).reshape(1, 2, 2, 1, 1, 1) * jnp.ones((1, 2, 2, 3, 3, 3))
    shuffled = ablations.shuffled(PixelShuffleFunction(pixels)).pixels
    assert sorted(np.asarray(shuffled[0, :, :, 0, 0, 0]).ravel()) == [0, 1, 2, 3]
    assert (np.asarray(shuffled).std(axis=(3, 4, 5)) == 0).all()


@functools.cache
def noise_crops():
    """Two crops of noise that falls with frequency, at x2; and their bicubic enlargements."""
    rng = np.random.default_rng(0)
    row, col = (np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None])
    fall = 1 / np.maximum(np.hypot(row, col), 1 / 64)
    noise = np.fft.fft2(rng.normal(size=(2, 64, 64)))
    grey = np.real(np.fft.ifft2(noise * fall))
    images = np.clip(127 + 40 * grey / grey.std(), 0, 255).astype(np.uint8)
    scale = Scale(2.0, 2.0, "2")
    found = edge_crops(ArraySource([np.stack([p] * 3, axis=-1) for p in images]), scale, 32, "made")
    resampler = ResampleUpscaler("bicubic")
    bicubic = [resampler.upscale(to_float32(c.lr), (64, 64)) for c in found]
    return found, bicubic


def test_right_invented_and_bicubic_outputs_differ_in_their_measures():
    """The truth, invented detail, and bicubic; each against the truth."""
    found, bicubic = noise_crops()
    truth = [to_float32(crop.truth) for crop in found]
    rng = np.random.default_rng(1)
    noise = [0.1 * np.sign(rng.normal(size=(64, 64, 1))).astype(np.float32) for _ in found]
    invented = [np.clip(x + n, 0, 1) for x, n in zip(bicubic, noise)]
    same = [to_float32(crop.lr) for crop in found]

    right = output_quality.measure(found, truth, bicubic, same)
    assert (right.network.psnr, right.same_size) == (100, 100)
    assert right.gain == 100 - right.bicubic.psnr > 60
    assert right.network.lr_psnr > 50 > right.bicubic.lr_psnr > 20
    beyond = right.frequency > 0.5
    np.testing.assert_allclose(right.network.coherence[beyond], 1, atol=1e-6)
    measured = right.network.energy, right.network.mean_coherence, right.network.slope
    assert measured == pytest.approx((1, 1, 1))
    assert right.bicubic.energy < 0.3
    np.testing.assert_allclose(right.network.power, right.truth_power, rtol=1e-5, atol=1e-9)

    wrong = output_quality.measure(found, invented, bicubic, [1 - x for x in same])
    assert wrong.bicubic.psnr == right.bicubic.psnr
    assert wrong.gain < -4
    assert wrong.network.energy > 1 > 10 * abs(wrong.network.mean_coherence)
    assert abs(wrong.network.slope) < 0.1
    assert wrong.network.lr_psnr < right.bicubic.lr_psnr
    assert wrong.same_size < 20


@pytest.mark.slow
def test_ablations_measure_what_is_lost():
    found, bicubic = noise_crops()
    truth = [to_float32(crop.truth) for crop in found]
    grey = [np.full_like(x, 0.5) for x in truth]
    lost = ablations.measure(found, truth, grey)
    assert lost.psnr_fall > 70
    assert lost.energy == pytest.approx(0, abs=1e-6)
    errors = [np.mean((x - 0.5) ** 2) for x in truth]
    assert lost.change == pytest.approx(math.sqrt(np.mean(errors)), rel=1e-5)
    won = ablations.measure(found, bicubic, truth)
    assert won.psnr_fall < -60
    assert won.energy == pytest.approx(1)


def test_queries_are_the_output_pixels_in_order_however_many():
    queries = on_grid(10, 37)

    @jax.jit
    def position(field, part):
        return field + part.cell.astype(jnp.float32) + 0.5 + part.delta

    found = evaluated(position, jnp.float32(0), queries).reshape(37, 37, 2)
    centres = (np.arange(37) + 0.5) * 10 / 37
    np.testing.assert_allclose(found[:, :, 0], np.tile(centres[:, None], 37), rtol=1e-5)
    np.testing.assert_allclose(found[:, :, 1], np.tile(centres, (37, 1)), rtol=1e-5)


def test_crops_are_where_edges_are():
    image = np.full((70, 100, 3), 90, np.uint8)
    image[10:60, 80:] = 180  # an edge in the last of three squares
    assert places_of_edges(image, 32)[0][1] == 2 + 2 * 32
    assert len(places_of_edges(image, 32)) == 6
    assert places_of_edges(image, 12)[0][1] >= 2 + 6 * 12  # smaller than a block of edges
    found = edge_crops(ArraySource([image[:20], *[image] * 9]), Scale(4.0, 4.0, "4"), 8, "made")
    assert len(found) == FROM_EACH * IMAGES
    assert found[0].name == "1, part 1"
    assert {(crop.lr.shape, crop.truth.shape) for crop in found} == {((8, 8, 3), (32, 32, 3))}
    found = edge_crops(ArraySource([image]), Scale(2.7, 2.7, "2.7"), 8, "made")
    assert (found[0].lr.shape, found[0].truth.shape) == ((8, 8, 3), (22, 22, 3))
    with pytest.raises(InputError, match="every image of made is smaller than 128x128"):
        edge_crops(ArraySource([image]), Scale(4.0, 4.0, "4"), 32, "made")
