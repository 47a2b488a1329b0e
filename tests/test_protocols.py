import numpy as np
import pytest
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.evaluation import metrics
from inr_sr.evaluation.protocols import (
    PROTOCOLS,
    get_protocol,
    make_pair,
    pair_sizes,
)
from inr_sr.resampling import resize_uint8
from inr_sr.sizes import Scale, parse_scales
from inr_sr.values import to_uint8
from tests.upscalers import Kernel, run, scale, smooth_image


def test_scales_are_read_and_named():
    scales = parse_scales("2, 2.70,3.0,4,.8e1,2X3.5".replace(".8e1", "8"))
    assert [s.label for s in scales] == ["2", "2.7", "3", "4", "8", "2x3.5"]
    assert [s.axes for s in scales][-1] == (2.0, 3.5)
    assert scales[1] == Scale(2.7, 2.7, "2.7")


def test_a_scale_named_twice_is_taken_once():
    assert [s.label for s in parse_scales("2,4,2.0")] == ["2", "4"]


@pytest.mark.parametrize(
    "text", ["", "2,", "0", "-2", "nan", "inf", "two", "2x", "x2", "2x3x4", "0.5", "2x0.9", "1e400"]
)
def test_other_scales_are_refused_by_name(text):
    with pytest.raises(InputError, match=r"scale '.*' is not allowed") as caught:
        parse_scales(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("hr", "label", "lr_size", "hr_size"),
    [
        ((27, 54), "2.7", (10, 20), (27, 54)),  # 27 / 2.7 is 9.99... in floats
        ((100, 101), "2.7", (37, 37), (100, 100)),  # 99.9 is rounded
        ((511, 512), "2", (255, 256), (510, 512)),
        ((100, 100), "2x3.5", (50, 28), (100, 98)),
        ((7, 7), "1", (7, 7), (7, 7)),
    ],
)
def test_sizes_of_a_pair(hr, label, lr_size, hr_size):
    assert pair_sizes(hr, scale(label)) == (lr_size, hr_size)


@pytest.mark.parametrize("label", ["1.1", "1.5", "2.3", "2.7", "3.7", "6.9", "12"])
def test_the_ground_truth_never_exceeds_the_image(label):
    for n in range(12, 300):
        (rows, _), (truth, _) = pair_sizes((n, n), scale(label))
        assert truth <= n
        assert abs(truth / rows - float(label)) <= 0.5 / rows + 1e-12


def test_pair_is_cropped_then_shrunk():
    hr = smooth_image(61, 50)
    lr, truth = make_pair(hr, scale("2.7"))
    np.testing.assert_array_equal(truth, hr[:59, :49])
    np.testing.assert_array_equal(lr, resize_uint8(truth, (22, 18)))


def test_pil_pair_is_that_of_pil():
    lr, truth = make_pair(smooth_image(), scale("4"), "pil")
    expected = Image.fromarray(truth).resize((12, 15), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(lr, np.array(expected))


def test_an_image_below_one_lr_pixel_is_refused_by_name():
    with pytest.raises(InputError, match=r"tiny \(30x5\) is too small for scale 6"):
        make_pair(smooth_image(6, 30)[:5], scale("6"), name="tiny")


def test_matlab_pairs_of_set5(shared):
    """Downscaling the cropped image is what MATLAB's files of the benchmark were made by."""
    for path in sorted((shared / "set5" / "HR").glob("*.png")):
        lr, _ = make_pair(np.array(Image.open(path).convert("RGB")), scale("3"))
        (reference,) = (shared / "set5" / "LR_matlab" / "x3").glob(f"{path.stem}*.png")
        np.testing.assert_array_equal(lr, np.array(Image.open(reference).convert("RGB")))


def test_unknown_protocol_lists_those_there_are():
    with pytest.raises(InputError, match=r"'z': choose one of y, y-float, .*div2k"):
        get_protocol("z")


def test_borders():
    assert PROTOCOLS["y"].border(scale("2.7")) == (3, 3)
    assert PROTOCOLS["y"].border(scale("2x3.5")) == (2, 4)
    assert PROTOCOLS["div2k"].border(scale("4")) == (10, 10)


def test_protocols_differ_as_they_say():
    upscalers = [Kernel()]
    y, rounded = run(upscalers, protocol="y-float").rows[0], run(upscalers).rows[0]
    assert 0 < abs(y.scores["psnr_y"] - rounded.scores["psnr_y"]) < 0.5
    pil = run(upscalers, protocol="y-pil").rows[0]
    assert 0 < abs(pil.scores["psnr_y"] - rounded.scores["psnr_y"]) < 0.5

    hr = smooth_image()
    lr, truth = make_pair(hr, scale("2"))
    output = Kernel().upscale(lr / np.float32(255), (60, 48))
    inside = (slice(8, -8), slice(8, -8))
    row = run(upscalers, protocol="div2k").rows[0]
    assert row.scores["psnr_rgb"] == metrics.psnr(output[inside], truth[inside])
    assert row.scores["psnr_y"] == metrics.psnr(
        metrics.luma(output[inside]), metrics.luma(truth[inside])
    )
    assert row.scores["ssim"] == metrics.ssim(output[inside], truth[inside])
    eight_bit = to_uint8(output)
    assert run(upscalers, protocol="div2k-uint8").rows[0].scores["psnr_rgb"] == metrics.psnr(
        eight_bit[inside], truth[inside]
    )
