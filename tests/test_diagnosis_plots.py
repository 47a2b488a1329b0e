"""What the plots of a diagnosis draw."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from inr_sr.studies.diagnosis.measure_plots import frequency_plot, modulation_plot, output_plot
from tests.test_diagnosis import changed, healthy


@pytest.fixture
def drawn(monkeypatch):
    """Label and ordinates of each line."""
    found, plot = [], Axes.plot

    def noted(axes, x, y, *rest, **style):
        found.append((style.get("label"), np.asarray(y)))
        return plot(axes, x, y, *rest, **style)

    monkeypatch.setattr(Axes, "plot", noted)
    return found


def test_frequencies_are_drawn_before_and_after(drawn):
    start, end = np.full((4, 2), 0.5), np.full((4, 2), 1.5)
    measures = changed(healthy(), "frequencies.together.first", start)
    waves = changed(measures, "frequencies.together.now", end).frequencies.together
    found = changed(measures, "frequencies.matrices", {"frequencies_0": waves}).frequencies
    assert frequency_plot(found, 4.0).startswith(b"\x89PNG")
    lines = dict(drawn)
    np.testing.assert_array_equal(lines["band 0, start"], start[:, 0])
    np.testing.assert_array_equal(lines["band 0, now"], end[:, 0])
    assert {"LR Nyquist", "Nyquist of ×4"} < set(lines)


def test_output_is_drawn_beside_bicubic_truth_and_ablations(drawn):
    output_plot(healthy())
    powers = ["truth", "bicubic", "network", "tokens shuffled", "modulation 0"]
    assert [label for label, _ in drawn if label] == [*powers, "bicubic", "network"]


def test_the_modulation_is_drawn_by_frequency(drawn):
    power = np.array([5.0, 4.0, 2.0])
    measures = changed(healthy(), "modulation.tau", np.ones(2))
    modulation_plot(changed(measures, "modulation.power", power).modulation)
    np.testing.assert_array_equal(drawn[0][1], [1.0, 0.5])
