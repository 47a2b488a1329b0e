"""How sure a difference is: a paired bootstrap over seeds and photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean difference and its percentile interval of LEVEL, in the unit of the data.

    Attributes:
      mean, low, high: the difference, and the ends of the interval.
      seeds: how many they are over; where it is one, the interval is of photos alone.
    """

    mean: float
    low: float
    high: float
    seeds: int


def paired_bootstrap(differences: np.ndarray, photos: Sequence[str]) -> Interval:
    """The mean of paired differences, and where other seeds and photos might put it.

    Seeds and photos are drawn with replacement, independently of each other, as every seed met
    every photo; a photo comes with all its crops (the pigeonhole bootstrap, Owen 2007,
    arXiv:0712.1111). Drawing from few understates what they vary by: of 24 simulated photos
    intervals of 95 % hold the true mean in 88 to 98 % of cases with ten seeds, and in 78 to 97 %
    with three, the less the more of the variation is between seeds (tests/test_statistics.py).

    Args:
      differences: [seeds, crops], one method minus another on the same seed and crop.
      photos: which photo each crop is from, [crops].

    Returns:
      The mean over all, and the percentiles; the same input gives the same interval.

    Raises:
      ValueError: no differences, or not a photo for every crop.
    """
    if differences.ndim != 2 or differences.size == 0 or differences.shape[1] != len(photos):
        raise ValueError(f"differences {differences.shape} of {len(photos)} crops")
    _, photo = np.unique(np.asarray(photos), return_inverse=True)
    crops = np.bincount(photo)
    sums = np.stack([np.bincount(photo, row) for row in differences.astype(np.float64)])
    seeds, count = sums.shape
    rng = np.random.default_rng(0)
    # How often each is drawn, [RESAMPLES, seeds] and [RESAMPLES, photos].
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
    of_photos = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    totals = np.sum((of_seeds @ sums) * of_photos, axis=1)
    means = totals / (seeds * (of_photos @ crops))
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(differences.mean()), float(low), float(high), seeds)
