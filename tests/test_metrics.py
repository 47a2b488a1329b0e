import math

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from inr_sr.evaluation import metrics
from inr_sr.evaluation.metrics import lr_consistency, luma, psnr, ssim
from inr_sr.evaluation.protocols import make_pair
from inr_sr.resampling import resize
from inr_sr.sizes import parse_scales
from inr_sr.values import to_uint8


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_psnr_of_one_level_everywhere():
    black = np.zeros((4, 5, 3), np.uint8)
    expected = 20 * math.log10(255)
    assert psnr(black + np.uint8(1), black) == pytest.approx(expected, abs=1e-12)
    assert psnr(np.full((4, 5, 3), 1 / 255), np.zeros((4, 5, 3))) == pytest.approx(expected)


def test_psnr_does_not_depend_on_how_the_image_is_stored():
    a, b = noise(9, 8, 3), noise(9, 8, 3, seed=1)
    assert psnr(a / 255.0, b) == psnr(a, b / 255.0) == psnr(a, b)
    sixteen = (a.astype(np.uint16) * 257, b.astype(np.uint16) * 257)
    assert psnr(*sixteen) == pytest.approx(psnr(a, b), abs=1e-12)


def test_psnr_of_equal_images_is_infinite():
    assert psnr(noise(3, 3), noise(3, 3)) == math.inf


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match=r"\(20, 20\) and \(20, 1\)"):
        metric(noise(20, 20), noise(20, 1))


def test_luma_is_that_of_rgb2ycbcr():
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    expected = [16, 235, 81.481, 144.553, 40.966]
    np.testing.assert_allclose(luma(colours.astype(np.uint8)) * 255, expected, rtol=1e-12)
    np.testing.assert_allclose(luma(colours / 255.0) * 255, expected, rtol=1e-12)


def test_8_bits_are_clipped_and_rounded_half_up():
    levels = np.array([-1.0, 0.49 / 255, 0.5 / 255, 1.5 / 255, 254.6 / 255, 7.0])
    np.testing.assert_array_equal(to_uint8(levels), np.array([0, 0, 1, 2, 255, 255], np.uint8))


def test_shave_cuts_rows_and_columns_apart():
    image = noise(10, 12, 3)
    np.testing.assert_array_equal(metrics.shave(image, (2, 3)), image[2:8, 3:9])
    assert metrics.shave(image, (0, 0)).shape == image.shape


def test_ssim_of_equal_images_is_one():
    assert ssim(noise(11, 11, 3), noise(11, 11, 3)) == pytest.approx(1.0, abs=1e-12)


def test_ssim_of_flat_images_is_the_luminance_term():
    a, b, c1 = 0.3, 0.6, 0.01**2
    flat = ssim(np.full((15, 12), a), np.full((15, 12), b))
    assert flat == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), abs=1e-9)


@pytest.mark.parametrize("shape", [(11, 11), (40, 23), (24, 31, 3)])
def test_ssim_equals_scikit_image(shape):
    skimage = pytest.importorskip("skimage.metrics")
    truth = noise(*shape)
    image = (0.7 * truth + 0.3 * noise(*shape, seed=1)).astype(np.uint8)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = skimage.structural_similarity(
        image, truth, data_range=255, channel_axis=2 if len(shape) == 3 else None, **options
    )
    assert ssim(image, truth) == pytest.approx(expected, abs=1e-9)


def test_ssim_needs_one_window():
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(noise(30, 10), noise(30, 10))


@pytest.mark.parametrize(
    ("scale", "expected_psnr", "expected_ssim"),
    [(2, 33.661, 0.9299), (3, 30.392, 0.8682), (4, 28.421, 0.8104)],
)
def test_published_bicubic_on_set5(shared, scale, expected_psnr, expected_ssim):
    """The yardstick as it was made: 8-bit luma alone, rounded again only when upscaled."""
    scores = []
    for path in sorted((shared / "set5" / "HR").glob("*.png")):
        hr = np.array(Image.open(path).convert("RGB"))
        rows, cols = (n // scale for n in hr.shape[:2])
        truth = to_uint8(luma(hr[: rows * scale, : cols * scale])) / np.float32(255)
        lr = resize(jnp.asarray(truth[..., None]), (rows, cols))
        up = to_uint8(np.asarray(resize(lr, truth.shape))[..., 0])
        pair = metrics.shave(up, (scale, scale)), metrics.shave(truth, (scale, scale))
        scores.append((psnr(*pair), ssim(*pair)))
    mean_psnr, mean_ssim = np.mean(scores, axis=0)
    assert len(scores) == 5
    assert mean_psnr == pytest.approx(expected_psnr, abs=1e-3)
    assert mean_ssim == pytest.approx(expected_ssim, abs=1e-4)


@pytest.mark.parametrize("kernel", ["matlab", "pil"])
def test_lr_consistency_of_the_truth_is_infinite(kernel):
    (scale,) = parse_scales("2.7")
    lr, truth = make_pair(noise(30, 41, 3), scale, kernel)
    assert lr_consistency(truth, lr, kernel) == math.inf
    assert lr_consistency(truth / np.float32(255), lr, kernel) == math.inf


def test_lr_consistency_of_a_shift_in_brightness():
    lr = np.full((6, 6, 3), 100, np.uint8)
    brighter = np.full((12, 12, 3), 110, np.uint8)
    assert lr_consistency(brighter, lr) == pytest.approx(20 * math.log10(25.5))
