import numpy as np
import pytest

from inr_sr.evaluation.spectra import compare, radial_bins, spectrum

SCALE = 4.0


def noise(seed: int, shape: tuple[int, int] = (128, 128)) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 0.1, shape)


def wave(cycles_row: float, cycles_col: float, phase: float = 0.3) -> np.ndarray:
    """A wave by cycles per LR pixel, sampled at the centres of 128 x 128 pixels at SCALE."""
    x = (np.arange(128) + 0.5) / SCALE
    turns = cycles_row * x[:, None] + cycles_col * x[None, :]
    return 0.5 + 0.2 * np.cos(2 * np.pi * turns + phase)


def radial_power(planes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    found = compare([(plane, plane) for plane in planes], SCALE)
    return found.frequency, found.truth_power


@pytest.mark.parametrize("cycles", [(0.25, 0.0), (0.0, 1.5), (0.75, 1.0), (0.6, -0.8)])
def test_a_wave_lands_in_the_bin_of_its_radius(cycles):
    frequency, power = radial_power([wave(*cycles)])
    assert frequency[0] == 0
    assert frequency[-1] == SCALE / 2
    radius = np.hypot(*cycles)
    energy = power * np.bincount(radial_bins((128, 128), SCALE)[1].ravel())[: len(power)]
    near = np.abs(frequency - radius) < 0.09  # three bins: the window is as wide
    assert energy[near].sum() > 0.999 * energy.sum()
    assert abs(frequency[np.argmax(energy)] - radius) <= frequency[1] / 2 + 1e-12
    # Parseval: the energy of an amplitude A is A^2 / 2 a pixel, a window of mean square 1 keeps it.
    assert energy.sum() == pytest.approx(0.2**2 / 2 * 128**2, rel=1e-2)


def test_white_noise_is_flat_at_its_variance():
    _, power = radial_power([noise(seed) for seed in range(40)])
    np.testing.assert_allclose(power[2:], 0.1**2, rtol=0.1)
    assert np.abs(power[20:].mean() / 0.1**2 - 1) < 0.01


def test_a_flat_image_has_nothing_and_no_coherence():
    found = compare([(np.full((48, 48), 0.7), noise(0, (48, 48)))], SCALE)
    assert found.output.max() < 1e-25
    flat = compare([(np.zeros((48, 48)), noise(0, (48, 48)))], SCALE)
    np.testing.assert_array_equal(flat.coherence, 0)
    assert flat.energy_ratio() == 0
    assert flat.mean_coherence() == 0
    assert np.isnan(compare([(noise(0), np.zeros((128, 128)))], SCALE).mean_coherence())


def test_coherence_knows_no_brightness_and_no_contrast():
    truth = noise(0)
    same = compare([(0.3 * truth + 0.2, truth)], SCALE)
    np.testing.assert_allclose(same.coherence[1:], 1)
    assert same.energy_ratio() == pytest.approx(0.09)
    assert same.mean_coherence() == pytest.approx(1)
    inverted = compare([(1 - truth, truth)], SCALE)
    np.testing.assert_allclose(inverted.coherence[1:], -1)


def test_independent_noise_has_no_coherence_and_half_noise_has_half_the_energy():
    pairs = [(noise(seed), noise(100 + seed)) for seed in range(20)]
    found = compare(pairs, SCALE)
    assert abs(found.mean_coherence()) < 0.01
    assert found.energy_ratio() == pytest.approx(1, abs=0.01)
    # Y + N of equal variances: the correlation is 1 / sqrt(2), the energy twice that of Y.
    mixed = compare([(a + b, b) for a, b in pairs], SCALE)
    assert mixed.mean_coherence() == pytest.approx(0.5**0.5, abs=0.01)
    assert mixed.energy_ratio() == pytest.approx(2, abs=0.02)


def test_displacing_both_changes_nothing_and_displacing_one_a_lot():
    whole, other = noise(5, (160, 160)), noise(6, (160, 160))
    output = whole + other

    def at(offset: int) -> float:
        part = slice(offset, offset + 128)
        return compare([(output[part, part], whole[part, part])], SCALE).mean_coherence()

    assert at(0) == pytest.approx(at(32), abs=0.02)
    moved = compare([(np.roll(wave(1, 0), 1, axis=0), wave(1, 0))], SCALE)
    # One pixel is a quarter of a cycle of 1 cycle per LR pixel, which is 4 pixels.
    assert moved.mean_coherence() == pytest.approx(0, abs=0.05)
    assert moved.energy_ratio() == pytest.approx(1, abs=0.01)


def test_energy_beyond_counts_what_lies_beyond():
    low, high = wave(0.2, 0.2), wave(1.2, 0.5)
    only_low = compare([(low, low + high)], SCALE)
    assert only_low.energy_ratio() < 1e-4
    middle = wave(0.6, 0.5)
    assert compare([(middle, middle + high)], SCALE).energy_ratio() == pytest.approx(0.5, abs=0.01)


def test_rectangles_and_what_is_refused():
    frequency, bins = radial_bins((40, 60), 2.5)
    assert frequency[-1] == 1.25
    assert bins[0, 0] == 0
    assert bins[8, 0] == round(8 / 40 * 2.5 / (2.5 / 60))
    assert spectrum(noise(0, (40, 60))).shape == (40, 60)
    with pytest.raises(ValueError, match="among those of"):
        compare([(noise(0), noise(1, (64, 64)))], SCALE)
    with pytest.raises(ValueError, match="no images"):
        compare([], SCALE)
