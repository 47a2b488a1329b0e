"""Output sizes that people ask for."""

import pytest

from inr_sr.errors import InputError
from inr_sr.sizes import target_size


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"scale": 3.7}, (37, 19)),  # 18.5 is rounded up
        ({"scale": (2, 0.5)}, (20, 3)),
        ({"scale": 0.01}, (1, 1)),
        ({"size": (7, 9)}, (7, 9)),
        ({"width": 8}, (16, 8)),
        ({"height": 5}, (5, 3)),
        ({"width": 8, "height": 5}, (5, 8)),
        ({"width": 20_000}, (40_000, 20_000)),
        ({"scale": 5_000, "max_pixels": None}, (50_000, 25_000)),
    ],
)
def test_target_sizes(request_, expected):
    assert target_size((10, 5), **request_) == expected


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "exactly one"),
        ({"scale": 2, "width": 3}, "exactly one"),
        ({"scale": 0}, "scale 0"),
        ({"scale": -1}, "scale -1"),
        ({"scale": float("nan")}, "scale nan"),
        ({"scale": float("inf")}, "scale inf"),
        ({"scale": 1e300}, "absurdly"),
        ({"scale": "two"}, "not a number|expected"),
        ({"scale": (1, 2, 3)}, "expected one number or two"),
        ({"width": 0}, "width 0"),
        ({"height": 2.5}, "height 2.5"),
        ({"size": (0, 3)}, "rows 0"),
        ({"size": (3,)}, "output size"),
        ({"scale": 5_000}, "1.25 gigapixels"),
    ],
)
def test_requests_that_are_refused(request_, message):
    with pytest.raises(InputError, match=message) as caught:
        target_size((10, 5), **request_)
    assert "\n" not in str(caught.value)
