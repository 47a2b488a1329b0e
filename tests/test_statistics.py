import numpy as np
import pytest

from inr_sr.studies.experiments.comparison import paired_bootstrap

PHOTOS = [f"photo {k // 4}" for k in range(96)]  # 24 photos of 4 crops


def simulated(trial: int, seeds: int, by_seed: float, by_photo: float) -> np.ndarray:
    """Differences [seeds, 96] of true mean 0.3."""
    rng = np.random.default_rng(trial)
    of_seed = by_seed * rng.normal(size=(seeds, 1))
    of_photo = by_photo * np.repeat(rng.normal(size=24), 4)[None, :]
    return 0.3 + of_seed + of_photo + 0.05 * rng.normal(size=(seeds, 96))


def test_the_same_difference_everywhere_leaves_no_interval():
    found = paired_bootstrap(np.full((3, 96), 0.25), PHOTOS)
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)
    # Photos differ, but by the same amount for both methods: that is what pairing is for.
    method, other = np.ones((3, 1)) * np.arange(96.0), np.ones((3, 1)) * (np.arange(96.0) - 0.5)
    found = paired_bootstrap(method - other, PHOTOS)
    assert found.high - found.low == 0


def test_width_is_that_of_the_normal_distribution():
    by_photo = np.repeat(np.random.default_rng(0).normal(0, 0.1, 24), 4)
    found = paired_bootstrap(np.stack([by_photo] * 3), PHOTOS)
    error = by_photo[::4].std() / 24**0.5  # of the mean of 24, by the sample's own deviation
    assert found.mean == pytest.approx(by_photo.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    by_seed = np.random.default_rng(1).normal(0, 0.1, 20)
    found = paired_bootstrap(by_seed[:, None] * np.ones((1, 96)), PHOTOS)
    assert found.high - found.low == pytest.approx(2 * 1.96 * by_seed.std() / 20**0.5, rel=0.08)


def test_crops_of_a_photo_are_no_photos_of_their_own():
    of_photo = np.random.default_rng(2).normal(0, 0.1, (3, 24))
    alone = paired_bootstrap(of_photo, [f"photo {k}" for k in range(24)])
    fourfold = np.repeat(of_photo, 4, axis=1)
    together = paired_bootstrap(fourfold, PHOTOS)
    assert together.mean == pytest.approx(alone.mean)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.05)
    mistaken = paired_bootstrap(fourfold, [str(k) for k in range(96)])
    assert mistaken.high - mistaken.low < 0.8 * (together.high - together.low)
    assert paired_bootstrap(fourfold, PHOTOS) == together


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "by_seed", "least", "most"),
    [(10, 0.05, 0.88, 0.98), (3, 0.02, 0.86, 0.97), (3, 0.05, 0.78, 0.92)],
)
def test_how_often_the_interval_holds_the_truth(seeds, by_seed, least, most):
    found = [
        paired_bootstrap(simulated(trial, seeds, by_seed, 0.1), PHOTOS) for trial in range(200)
    ]
    held = np.mean([interval.low <= 0.3 <= interval.high for interval in found])
    assert least < held < most


def test_what_is_refused():
    with pytest.raises(ValueError, match="of 95 crops"):
        paired_bootstrap(np.zeros((3, 96)), PHOTOS[1:])
    with pytest.raises(ValueError, match="of 0 crops"):
        paired_bootstrap(np.zeros((3, 0)), [])
