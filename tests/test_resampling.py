"""Resampling against MATLAB, PIL, JAX and the formula itself."""

import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import PIL
import pytest
from PIL import Image

from inr_sr.coordinates import cells
from inr_sr.errors import InputError
from inr_sr.resampling import (
    BORDERS,
    METHODS,
    box,
    cubic,
    lanczos3,
    resample,
    resize,
    resize_uint8,
    taps,
)

GOLDEN = Path(__file__).parent / "golden"
PIL_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}

# Results of MATLAB's imresize for the inputs below, keyed input_size_antialias; the .mat file that
# each was taken from.
MATLAB = {
    "square_3x4_aa": "down_down_aa",
    "square_3x4_noaa": "down_down_noaa",
    "square_5x7_aa": "down_down_irregular_aa",
    "square_5x7_noaa": "down_down_irregular_noaa",
    "square_4x4_aa": "down_down_x2_aa",
    "square_2x2_aa": "down_down_x4_aa",
    "square_11x13_aa": "up_up_irregular_aa",
    "square_11x13_noaa": "up_up_irregular_noaa",
    "small_3x3_aa": "down_down_small_aa",
    "small_3x3_noaa": "down_down_small_noaa",
    "ramp_5x5_aa": "down_down_x3_aa",
    "ramp_3x3_aa": "down_down_x5_aa",
    "topleft_5x5_noaa": "up_up_topleft_noaa",
    "bottomright_5x5_noaa": "up_up_bottomright_noaa",
}


def corner() -> np.ndarray:
    image = np.zeros((4, 4))
    image[0, 0], image[1, 0], image[0, 1], image[0, 3] = 100.0, 10.0, 1.0, 100.0
    return image


MATLAB_INPUTS = {
    "square": np.arange(64.0).reshape(8, 8),
    "small": np.arange(16.0).reshape(4, 4),
    "ramp": np.arange(225.0).reshape(15, 15),
    "topleft": corner(),
    "bottomright": corner()[::-1, ::-1],
}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def noise_uint8(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def formula(image, size, origin, scale, method="bicubic") -> np.ndarray:
    """`resample` as it is defined: float64, dense weights on an image mirrored far and wide."""
    function = {"bicubic": cubic, "lanczos": lanczos3, "box": box, "nearest": box}[method]
    out = np.asarray(image, np.float64)
    for axis in (0, 1):
        n = out.shape[axis]
        pad = 4 * n
        padding = [(pad, pad) if a == axis else (0, 0) for a in range(3)]
        out = np.pad(out, padding, mode="symmetric")
        stretch = max(scale[axis], 1.0) if method != "nearest" else 1.0
        centre = origin[axis] + (np.arange(size[axis]) + 0.5) * scale[axis]
        pixel = np.arange(9 * n) + 0.5 - pad
        weight = function((centre[:, None] - pixel[None, :]) / stretch)
        weight /= weight.sum(axis=1, keepdims=True)
        out = np.moveaxis(np.tensordot(weight, out, (1, axis)), 0, axis)
    return out


# Kernels and taps.


@pytest.mark.parametrize("function", [cubic, lanczos3])
def test_kernels_interpolate(function):
    np.testing.assert_allclose(function(np.arange(-4.0, 5.0)), np.eye(9)[4], atol=1e-15)


@pytest.mark.parametrize("function", [cubic, box])
def test_kernels_sum_to_one_at_every_offset(function):
    offset = np.linspace(-0.5, 0.5, 101)[:-1, None]
    np.testing.assert_allclose(function(offset + np.arange(-4.0, 5.0)).sum(1), 1.0, atol=1e-14)


@pytest.mark.parametrize("function", [cubic, lanczos3, box])
def test_kernels_agree_in_numpy_and_jax(function):
    x = np.linspace(-4.0, 4.0, 257, dtype=np.float32)
    np.testing.assert_allclose(function(jnp.asarray(x), jnp), function(x), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 5), (2, 7), (7, 2), (100, 1), (64, 27)])
def test_taps_stay_inside_and_sum_to_one(n_in, n_out, method, border):
    index, weight = taps(n_in, n_out, method, border=border)
    assert index.min() >= 0
    assert index.max() < n_in
    np.testing.assert_allclose(weight.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize(("n_in", "n_out"), [(10, 15), (7, 21), (333, 1000), (15, 10), (9, 6)])
def test_nearest_takes_the_cell_of_the_output_pixel(n_in, n_out):
    index, weight = taps(n_in, n_out, "nearest")
    np.testing.assert_array_equal(
        np.take_along_axis(index, weight.argmax(1)[:, None], 1)[:, 0],
        [(2 * j + 1) * n_in // (2 * n_out) for j in range(n_out)],
    )
    if n_out >= n_in:
        np.testing.assert_array_equal(index[:, 0], cells(n_in, n_out)[0])


# MATLAB.


@pytest.mark.parametrize("key", MATLAB)
def test_resize_equals_matlab(key):
    name, _, antialias = key.split("_")
    expected = np.load(GOLDEN / "matlab_imresize.npz")[key]
    image = MATLAB_INPUTS[name].astype(np.float32)[..., None]
    out = resize(image, expected.shape, antialias=antialias == "aa")
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out[..., 0], expected, atol=2e-7 * np.abs(image).max())


@pytest.mark.parametrize("key", MATLAB)
def test_golden_values_are_those_of_matlab(key, shared):
    loadmat = pytest.importorskip("scipy.io").loadmat
    name = MATLAB[key]
    expected = loadmat(str(shared / "matlab_reference" / f"{name}.mat"))[name]
    np.testing.assert_array_equal(np.load(GOLDEN / "matlab_imresize.npz")[key], expected)


@pytest.mark.parametrize("antialias", [True, False])
def test_resize_equals_matlab_on_an_image(antialias, shared):
    loadmat = pytest.importorskip("scipy.io").loadmat
    name = f"down_down_butterfly_irregular_{'aa' if antialias else 'noaa'}"
    expected = loadmat(str(shared / "matlab_reference" / f"{name}.mat"))[name]
    image = read(shared / "set5" / "HR" / "butterfly.png").astype(np.float32) / np.float32(255.0)
    out = resize(image, expected.shape[:2], antialias=antialias)
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_resize_uint8_golden():
    """Values of this function when it met the MATLAB files of the two tests below."""
    golden = np.load(GOLDEN / "resize_uint8.npz")
    image = golden["noise"]
    for key in golden.files[1:]:
        border, factor = re.fullmatch(r"(mirror|replicate)_(.*)", key).groups()
        expected = golden[key]
        h, w = expected.shape[:2]
        if border == "mirror":
            ratio = None
            f = int(factor[3:]) if factor.startswith("div") else 1
            region = image[: h * f, : w * f] if f > 1 else image
        else:
            ratio, region = (1.0 / float(factor[3:]),) * 2, image
        out = resize_uint8(region, (h, w), border=border, scale=ratio)
        np.testing.assert_array_equal(out, expected, err_msg=key)


def equality(pairs) -> tuple[float, int]:
    """Share of equal values, and the largest difference."""
    difference = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in pairs])
    return float((difference == 0).mean()), int(difference.max())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_low_resolution_set5_equals_matlab(scale, shared):
    pairs = []
    for path in sorted((shared / "set5" / "HR").glob("*.png")):
        expected = read(shared / "set5" / "LR_matlab" / f"x{scale}" / path.name)
        h, w = expected.shape[:2]
        pairs.append((resize_uint8(read(path)[: h * scale, : w * scale], (h, w)), expected))
    assert len(pairs) == 5
    equal, worst = equality(pairs)
    assert equal >= 0.999
    assert worst <= 1


@pytest.mark.parametrize("scale", ["1.50", "2.00", "2.50", "3.00", "3.50", "4.00"])
def test_fractional_low_resolution_set5_equals_matlab(scale, shared):
    """Its maker cut 4 pixels off an axis that the scale does not divide, and rounded sizes up."""
    folder = shared / "set5" / "LR_matlab_fractional"
    factor = float(scale)
    pairs = []
    for path in sorted((folder / "HR").glob("*.png")):
        expected = read(folder / "LR_bicubic" / f"X{scale}" / path.name)
        image = read(path)
        h, w = (n - 4 if math.fmod(n, factor) else n for n in image.shape[:2])
        size = math.ceil(h / factor), math.ceil(w / factor)
        assert size == expected.shape[:2]
        ratio = (1.0 / factor, 1.0 / factor)
        out = resize_uint8(image[:h, :w], size, border="replicate", scale=ratio)
        pairs.append((out, expected))
    assert len(pairs) == 5
    equal, worst = equality(pairs)
    assert equal >= (0.99 if factor % 1 else 0.999)
    assert worst <= 1


def test_resize_uint8_takes_the_smaller_scale_first():
    image = noise_uint8(40, 30)[..., None]
    for size, axes in {
        (20, 30): (0, 1),
        (40, 11): (1, 0),
        (50, 31): (1, 0),
        (80, 60): (0, 1),
    }.items():
        expected = image
        for axis in axes:
            one = list(expected.shape[:2])
            one[axis] = size[axis]
            expected = resize_uint8(expected, one)
        np.testing.assert_array_equal(resize_uint8(image, size), expected)


# PIL and JAX.


@pytest.mark.parametrize("method", PIL_FILTERS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((37, 51), (19, 26)),
        ((37, 51), (74, 102)),
        ((64, 48), (16, 12)),
        ((31, 29), (83, 17)),
        ((29, 31), (17, 83)),
        ((13, 11), (13, 30)),
        ((1, 7), (5, 3)),
        ((200, 3), (101, 1)),
    ],
)
def test_pil_mode_equals_pil(method, shape, size):
    fewer = shape[0] - size[0]
    if int(PIL.__version__.split(".")[0]) < 13 and fewer > max(0, 2 * (shape[1] - size[1])):
        pytest.skip("the rows of such a size come first since Pillow 13")
    image = noise_uint8(*shape, 3)
    expected = Image.fromarray(image).resize((size[1], size[0]), PIL_FILTERS[method])
    np.testing.assert_array_equal(resize_uint8(image, size, method, mode="pil"), expected)


@pytest.mark.parametrize(("shape", "size"), [((30, 20), (11, 9)), ((12, 15), (25, 44))])
@pytest.mark.parametrize("method", ["bicubic", "lanczos", "box"])
def test_renormalised_borders_equal_pil_on_floats(method, shape, size):
    image = noise(*shape)
    expected = Image.fromarray(image).resize((size[1], size[0]), PIL_FILTERS[method])
    out = resize(image[..., None], size, method, border="renormalise")[..., 0]
    np.testing.assert_allclose(out, np.asarray(expected), atol=2e-6)


@pytest.mark.parametrize(("method", "theirs"), [("bicubic", "cubic"), ("lanczos", "lanczos3")])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(11, 9), (47, 44)])
def test_renormalised_borders_equal_jax(method, theirs, antialias, size):
    image = noise(30, 20, 3)
    expected = jax.image.resize(image, (*size, 3), theirs, antialias=antialias)
    out = resize(image, size, method, antialias=antialias, border="renormalise")
    np.testing.assert_allclose(out, expected, atol=1e-5)


# Properties of resize.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", [(5, 31), (31, 5)])
def test_a_constant_stays_constant(method, border, size):
    out = resize(np.full((13, 12, 2), 0.7, np.float32), size, method, border=border)
    np.testing.assert_allclose(out, 0.7, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_size_changes_nothing(method):
    image = noise(9, 11, 3)
    np.testing.assert_array_equal(resize(image, (9, 11), method), image)


def test_resize_is_linear():
    a, b = noise(13, 17, 3), noise(13, 17, 3, seed=1)
    mixed = resize(np.float32(2.0) * a - b, (7, 29))
    np.testing.assert_allclose(mixed, 2.0 * resize(a, (7, 29)) - resize(b, (7, 29)), atol=2e-6)


@pytest.mark.parametrize("method", ["bicubic", "lanczos"])
@pytest.mark.parametrize("border", BORDERS)
def test_resize_commutes_with_flips_and_transposition(method, border):
    image = noise(14, 17, 3)
    out = np.asarray(resize(image, (9, 40), method, border=border))
    flipped = resize(image[::-1, ::-1], (9, 40), method, border=border)
    np.testing.assert_allclose(flipped, out[::-1, ::-1], atol=2e-6)
    turned = resize(image.swapaxes(0, 1), (40, 9), method, border=border)
    np.testing.assert_allclose(turned, out.swapaxes(0, 1), atol=2e-6)


def test_box_averages_whole_blocks():
    image = noise(12, 20, 3)
    expected = image.reshape(4, 3, 5, 4, 3).mean((1, 3))
    np.testing.assert_allclose(resize(image, (4, 5), "box"), expected, atol=1e-6)


def test_many_taps_equal_the_dense_product():
    image = noise(200, 90, 1)
    index, weight = taps(200, 7, "lanczos")
    dense = np.zeros((7, 200))
    np.add.at(dense, (np.arange(7)[:, None], index), weight)
    assert index.shape[1] > 100
    expected = np.tensordot(dense, image.astype(np.float64), (1, 0))
    np.testing.assert_allclose(resize(image, (7, 90), "lanczos"), expected, atol=1e-6)


def test_resize_keeps_leading_axes_and_is_traceable():
    batch = noise(2, 3, 10, 8, 3)
    jitted = jax.jit(lambda x: resize(x, (5, 17), border="replicate"))(batch)
    assert jitted.shape == (2, 3, 5, 17, 3)
    mapped = jax.vmap(jax.vmap(lambda x: resize(x, (5, 17), border="replicate")))(batch)
    np.testing.assert_allclose(mapped, jitted, atol=1e-6)
    np.testing.assert_allclose(
        jitted[1, 2], resize(batch[1, 2], (5, 17), border="replicate"), atol=1e-6
    )


def test_gradient_is_the_adjoint():
    image, seen = jnp.asarray(noise(9, 8, 2)), jnp.asarray(noise(4, 21, 2, seed=1))
    gradient = jax.grad(lambda x: jnp.vdot(resize(x, (4, 21)), seen))(image)
    np.testing.assert_allclose(
        jnp.vdot(gradient, image), jnp.vdot(resize(image, (4, 21)), seen), rtol=1e-5
    )


def test_low_precision_is_computed_in_float32():
    image = jnp.asarray(noise(8, 8, 1), jnp.bfloat16)
    out = resize(image, (4, 4))
    assert out.dtype == jnp.float32
    np.testing.assert_array_equal(out, resize(image.astype(jnp.float32), (4, 4)))


# Traced windows.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("origin", "scale"),
    [
        ((3.21, 1.73), (1.91, 3.37)),
        ((0.0, 4.0), (0.37, 1.0)),
        ((-6.3, 11.1), (3.93, 3.17)),
        ((-40.0, 55.6), (2.2, 0.9)),
    ],
)
def test_resample_equals_the_formula(method, origin, scale):
    image = noise(25, 22, 3)
    # The formula gets the numbers that float32 holds.
    origin32, scale32 = np.float32(origin), np.float32(scale)
    out = resample(image, (8, 9), origin32, scale32, max_step=4.0, method=method)
    expected = formula(image, (8, 9), origin32.astype(float), scale32.astype(float), method)
    np.testing.assert_allclose(out, expected, atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(16, 12), (7, 50)])
def test_resample_of_the_whole_is_resize(method, size):
    image = noise(48, 48, 3)
    scale = np.float32([48 / size[0], 48 / size[1]])
    out = resample(image, size, 0.0, scale, max_step=48 / min(size), method=method)
    np.testing.assert_allclose(out, resize(image, size, method), atol=2e-5)


@pytest.mark.parametrize("scale", [0.25, 2.0, 3.0])
def test_a_window_equals_the_crop_of_the_whole(scale):
    image = noise(48, 60, 3)
    rows, cols = int(48 / scale), int(60 / scale)
    whole = resample(image, (rows, cols), 0.0, scale, max_step=3.0)
    top, left = rows // 4, cols // 3
    origin = np.float32([top * scale, left * scale])
    window = resample(image, (6, 7), origin, scale, max_step=3.0)
    np.testing.assert_allclose(window, whole[top : top + 6, left : left + 7], atol=2e-5)


def test_resample_maps_over_traced_places_and_scales_with_one_compile():
    images = noise(3, 40, 40, 3)
    traces = []

    def patches(image, origin, scale):
        traces.append(None)
        return resample(image, (9, 9), origin, scale, max_step=4.0)

    jitted = jax.jit(jax.vmap(patches))
    for seed in (1, 2):
        random = np.random.default_rng(seed)
        origin = random.uniform(0.0, 4.0, (3, 2)).astype(np.float32)
        scale = random.uniform(1.0, 4.0, (3, 2)).astype(np.float32)
        out = jitted(images, origin, scale)
        for i in range(3):
            expected = formula(images[i], (9, 9), origin[i].astype(float), scale[i].astype(float))
            np.testing.assert_allclose(out[i], expected, atol=2e-5)
    assert len(traces) == 1


def test_a_traced_step_beyond_the_bound_is_antialiased_up_to_it():
    checkerboard = np.indices((64, 64)).sum(0).astype(np.float32)[..., None] % 2
    shrink = jax.jit(lambda s: resample(checkerboard, (8, 8), 0.0, s, max_step=4.0))
    out = shrink(np.float32(8.0))
    np.testing.assert_allclose(out, 0.5, atol=1e-3)
    per_axis = jax.jit(lambda s: resample(checkerboard, (8, 8), 0.0, (s, s), max_step=4.0))
    np.testing.assert_array_equal(per_axis(np.float32(8.0)), out)


# Mistakes.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "cubic"}, r"unknown method 'cubic'.*bicubic, lanczos, box, nearest"),
        ({"border": "wrap"}, r"unknown border 'wrap'.*mirror"),
        ({"size": (0, 4)}, r"size 0 x 4"),
        ({"size": (4, -1)}, r"size 4 x -1"),
        ({"size": (4,)}, r"size \(4,\).*two integers"),
        ({"size": 4}, r"size 4;.*two integers"),
        ({"size": (4.5, 4)}, r"size \(4.5, 4\).*two integers"),
        ({"scale": (0.0, 1.0)}, r"scale 0.0 x 1.0"),
        ({"scale": (1.0, -2.0)}, r"scale 1.0 x -2.0"),
        ({"scale": (math.nan, 1.0)}, r"scale nan x 1.0"),
        ({"scale": (math.inf, 1.0)}, r"scale inf x 1.0"),
        ({"scale": 0.5}, r"scale 0.5; expected two"),
        ({"scale": (0.5, 0.5), "border": "renormalise"}, r"scale needs the border"),
    ],
)
@pytest.mark.parametrize("function", [resize, resize_uint8])
def test_wrong_arguments_are_named(function, arguments, message):
    image = noise_uint8(8, 8, 3) if function is resize_uint8 else noise(8, 8, 3)
    with pytest.raises(InputError, match=message) as raised:
        function(image, **{"size": (4, 4)} | arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("shape", [(8, 8), (0, 8, 3), (2, 8, 0, 3)])
def test_wrong_images_are_named(shape):
    image = np.zeros(shape, np.float32)
    with pytest.raises(InputError, match="image of shape"):
        resize(image, (4, 4))
    with pytest.raises(InputError, match="image of shape"):
        resample(image, (4, 4), 0.0, 2.0, max_step=2.0)


def test_wrong_dtypes_are_named():
    with pytest.raises(InputError, match="image is uint8; expected floating"):
        resize(noise_uint8(8, 8, 3), (4, 4))
    with pytest.raises(InputError, match="image is float32 with 3 axes; expected uint8"):
        resize_uint8(noise(8, 8, 3), (4, 4))
    with pytest.raises(InputError, match="image is uint8 with 2 axes; expected uint8"):
        resize_uint8(noise_uint8(8, 8), (4, 4))


def test_wrong_modes_are_named():
    with pytest.raises(InputError, match=r"unknown mode 'gimp'.*matlab, pil"):
        resize_uint8(noise_uint8(8, 8, 3), (4, 4), mode="gimp")
    with pytest.raises(InputError, match="no meaning in mode 'pil'"):
        resize_uint8(noise_uint8(8, 8, 3), (4, 4), mode="pil", scale=(0.5, 0.5))


@pytest.mark.parametrize(
    ("step", "max_step", "message"),
    [
        (0.0, 4.0, "step 0.0; expected above 0 and at most max_step 4.0"),
        (-1.0, 4.0, "step -1.0"),
        (math.nan, 4.0, "step nan"),
        (4.1, 4.0, "at most max_step 4.0"),
        ((1.0, 2.0, 3.0), 4.0, "two .row, col."),
        (1.0, 0.0, "max_step 0.0"),
        (1.0, math.nan, "max_step nan"),
        (1.0, math.inf, "max_step inf"),
    ],
)
def test_wrong_windows_are_named(step, max_step, message):
    with pytest.raises(InputError, match=message):
        resample(noise(8, 8, 3), (4, 4), 0.0, step, max_step=max_step)
