"""Tiles, padding, buckets and strips never show; images come back in the form they came in."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageCms

import inr_sr
from inr_sr import models, render, resampling
from inr_sr.coordinates import grid_axis
from inr_sr.errors import InputError
from inr_sr.imagefile import ImageData
from inr_sr.resampling import streaming
from inr_sr.upscaling import (
    NetworkUpscaler,
    ResampleUpscaler,
    enlarge,
    enlarged_blocks,
)
from inr_sr.upscaling import encoded as encoded_module
from inr_sr.upscaling import plan as plan_module
from inr_sr.upscaling.images import fill_hidden
from inr_sr.upscaling.plan import BUCKETS
from inr_sr.upscaling.tiles import Span
from tests.networks import no_memory_beyond, noise_image, random_model, small_config

CASES = [
    ("spectral", (33, 41), (89, 111)),  # fractional
    ("spectral", (40, 26), (60, 39)),  # x1.5, where pixels lie on the borders of cells
    ("spectral", (35, 20), (35, 141)),  # x1 and x7.05
    ("spectral", (1, 1), (5, 4)),
    ("spectral", (2, 3), (11, 6)),
    ("liif", (26, 19), (70, 38)),
    ("liif", (2, 3), (5, 9)),
    ("modulated", (26, 19), (70, 38)),
    ("pixel_shuffle", (33, 18), (99, 54)),
    ("pixel_shuffle", (1, 2), (3, 6)),
]


def network(decoder="spectral", **options):
    model, params = random_model(decoder)
    mild = jax.tree.map(lambda p: p * jnp.asarray(0.6, p.dtype), params)
    return NetworkUpscaler(model, mild, decoder, **options)


def whole(upscaler, image, size):
    """The definition: mirror the image by the receptive field, encode and render at once."""
    model = upscaler.planner.model
    halo = model.receptive_field
    padded = np.pad(image, ((halo, halo), (halo, halo), (0, 0)), mode="symmetric")
    axes = [grid_axis(image.shape[a], size[a], origin=-halo) for a in (0, 1)]
    # Compiled only because that takes less time than one small program per operation.
    run = jax.jit(lambda params, x: render.grid(model.apply({"params": params}, x), *axes)[0])
    return np.asarray(run(upscaler._replicas[0][1], padded[None]))


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


@pytest.mark.slow
@pytest.mark.devices
@pytest.mark.parametrize(("decoder", "shape", "size"), CASES)
def test_tiles_padding_and_buckets_do_not_show(decoder, shape, size):
    image = noise_image(*shape)
    expected = whole(network(decoder), image, size)
    assert np.mean((expected < 0) | (expected > 1)) < 0.3  # clipping would hide differences
    assert np.abs(expected - np.asarray(resampling.resize(image, size))).max() > 0.05
    for tile in ("auto", 0, 8, 21) if shape == (33, 41) else ("auto", 8):
        close(network(decoder, tile=tile).upscale(image, size), np.clip(expected, 0, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "shape", "size"), [CASES[0], CASES[1], CASES[5], CASES[7]])
def test_ensemble_is_the_mean_over_flips_and_rotations_of_the_whole(decoder, shape, size):
    image, plain = noise_image(*shape), network(decoder)
    total = np.zeros((*size, 3), np.float32)
    for flip in (np.s_[:, :], np.s_[::-1, :], np.s_[:, ::-1], np.s_[::-1, ::-1]):
        total += whole(plain, image[flip], size)[flip]
        turned = whole(plain, image[flip].swapaxes(0, 1), size[::-1])
        total += turned.swapaxes(0, 1)[flip]
    for tile in ("auto", 8):
        result = network(decoder, tile=tile, ensemble=True).upscale(image, size)
        close(result, np.clip(total / 8, 0, 1))


def test_an_untrained_network_is_bicubic_up_to_the_borders():
    model = models.build(small_config())
    upscaler = NetworkUpscaler(model, models.init(model, jax.random.key(0)), "fresh", tile=16)
    image = noise_image(37, 20)
    for size in ((37, 20), (50, 61), (148, 80), (20, 33), (9, 7)):
        expected = ResampleUpscaler("bicubic").upscale(image, size)
        np.testing.assert_allclose(upscaler.upscale(image, size), expected, rtol=0, atol=2e-5)


def test_an_axis_that_shrinks_is_resampled_from_the_x1_result():
    image, upscaler = noise_image(50, 31), network(tile=16)
    for size in ((20, 62), (100, 9), (13, 11)):
        grid = (max(size[0], 50), max(size[1], 31))
        expected = np.asarray(resampling.resize(whole(upscaler, image, grid), size))
        close(upscaler.upscale(image, size), np.clip(expected, 0, 1))


def test_spans_cover_every_output_pixel_once_in_both_directions():
    rng = np.random.default_rng(0)
    for _ in range(60):
        n_in = int(rng.integers(1, 70))
        n_out = n_in + int(rng.integers(0, 6 * n_in))
        count = int(rng.integers(1, 40))
        for flip in (False, True):
            made = 0
            for cell in range(0, n_in, count):
                span = Span(n_in, cell, count, 1, flip)
                first = int(rng.integers(0, count))  # a tile in two sections
                for begin, length in ((cell, first), (cell + first, count - first)):
                    wanted = slice(begin, begin + length)
                    rendered = int(rng.integers(length, count + 1))  # some more cells than those
                    run, outputs = (
                        span.section(n_out, wanted, rendered),
                        span.outputs(n_out, wanted),
                    )
                    kept = np.arange(len(run.axis))[run.cut]
                    assert kept.size == run.cut.stop - run.cut.start  # none cut off
                    assert outputs.start == made
                    assert kept.size == outputs.stop - made
                    made = outputs.stop
                    # The cell's own line of the image lies under it.
                    lines = span.lines(0)[run.axis.first + run.axis.cell[kept]]
                    centres = (np.arange(outputs.start, made) + 0.5) * n_in / n_out
                    centres = centres[::-1] if flip else centres
                    assert np.abs(centres - lines - 0.5).max(initial=0) < 0.5 + 1e-5
            assert made == n_out


def test_strips_are_rows_of_tiles_in_order():
    image, upscaler = noise_image(40, 24), network(tile=16)
    strips = list(upscaler.strips(image, (100, 60)))
    assert len(strips) > 2
    np.testing.assert_array_equal(np.concatenate(strips), upscaler.upscale(image, (100, 60)))


@pytest.mark.slow
@pytest.mark.parametrize("decoder", [pytest.param("spectral", marks=pytest.mark.devices), "liif"])
def test_a_window_is_the_crop_of_the_whole(decoder):
    image, rng = noise_image(40, 33), np.random.default_rng(0)
    for tile, ensemble in ((16, False), ("auto", False), (16, True)):
        upscaler = network(decoder, tile=tile, ensemble=ensemble)
        whole = upscaler.upscale(image, (101, 132))
        for _ in range(3):
            parts = [slice(*sorted(rng.choice(n + 1, 2, replace=False))) for n in (101, 132)]
            close(upscaler.window(image, (101, 132), *parts), whole[tuple(parts)])
    with pytest.raises(InputError, match="0 <= start < stop <= 101"):
        upscaler.window(image, (101, 132), slice(100, 102), slice(0, 5))
    for rows in ((0, 3), 3, slice(0.5, 3)):
        with pytest.raises(InputError, match="0 <= start < stop <= 101"):
            upscaler.window(image, (101, 132), rows, slice(0, 5))
    with pytest.raises(InputError, match="expected a NumPy array"):
        upscaler.window([[1.0]], (101, 132), slice(0, 5), slice(0, 5))
    with pytest.raises(InputError, match=r"expected \(rows, cols\)"):
        upscaler.window(image, 12, slice(0, 5), slice(0, 5))
    with pytest.raises(InputError, match="cannot be rendered to 30 pixels"):
        upscaler.window(image, (30, 132), slice(1, 5), slice(0, 5))


@pytest.mark.devices
def test_tiles_one_below_the_other_are_spread_over_devices(monkeypatch):
    upscaler, devices, rendered = network(tile=8), [], []
    encode_tile, render_strips = encoded_module.encode_tile, render.strips

    def encoding(model, params, tile, halo):
        devices.extend(tile.devices())
        return encode_tile(model, params, tile, halo)

    def rendering(*arguments):
        rendered.append(len(devices))
        return render_strips(*arguments)

    monkeypatch.setattr(encoded_module, "encode_tile", encoding)
    monkeypatch.setattr(render, "strips", rendering)
    upscaler.upscale(noise_image(40, 8), scale=2)
    count = min(5, jax.local_device_count())
    assert len(devices) == 5
    assert len(set(devices)) == count
    assert rendered[0] == count  # all of them have work before one is waited for


@pytest.mark.slow
@pytest.mark.devices
def test_tile_rows_that_do_not_fit_are_made_in_strips(monkeypatch):
    """Large outputs: the fields of a row of tiles are kept, and their output made bit by bit."""
    image = noise_image(37, 45)
    for ensemble in (False, True):
        upscaler = network(tile=16, ensemble=ensemble)
        expected = upscaler.upscale(image, (222, 250))
        monkeypatch.setattr(plan_module, "HOST_STRIP_BYTES", 250 * 6 * 3 * 4 * 5)
        strips = list(upscaler.strips(image, (222, 250)))
        assert max(len(strip) for strip in strips) == 4 * 6  # the largest divisor of 16 below 5
        close(np.concatenate(strips), expected)
        monkeypatch.undo()


@pytest.mark.devices
def test_new_image_sizes_do_not_mean_new_compiles():
    upscaler = network(tile=16)
    for scale in (2.5, 3, 3.7):
        upscaler.upscale(noise_image(111, 93), scale=scale)  # the widest: it uses the most devices
        compiled = upscaler.programs
        for shape in ((60, 50), (61, 47), (59, 55), (44, 64)):
            upscaler.upscale(noise_image(*shape), scale=scale)
        assert upscaler.programs == compiled


def test_automatic_tiles_compile_one_program_per_bucket():
    upscaler, rng = network(tile="auto"), np.random.default_rng(0)
    compiled = upscaler.programs
    for shape in rng.integers(17, 129, (30, 2)):
        upscaler.upscale(noise_image(*shape), scale=2)
    # One that encodes, and two that render, for each device.
    each = 3 * jax.local_device_count()
    assert upscaler.programs - compiled <= each * sum(16 <= side <= 128 for side in BUCKETS)


def test_tiles_are_halved_when_memory_runs_out(monkeypatch):
    image, upscaler = noise_image(60, 50), network(tile=64)
    expected = upscaler.upscale(image, (90, 100))
    no_memory_beyond(monkeypatch, 20)
    close(upscaler.upscale(image, (90, 100)), expected)
    no_memory_beyond(monkeypatch, 4)
    with pytest.raises(MemoryError, match="no memory for a tile of 8x8"):
        upscaler.upscale(image, (90, 100))


@pytest.mark.devices
def test_tiles_are_halved_when_memory_runs_out_between_strips(monkeypatch):
    """What is delivered stays, and the rest follows from where it ended."""
    image, upscaler = noise_image(40, 20), network(tile=32)
    expected = upscaler.upscale(image, (90, 60))
    monkeypatch.setattr(plan_module, "HOST_STRIP_BYTES", 1)
    render_strips, tiles = render.strips, set()

    def limited(field, *axes):
        tiles.add(field.function.lattice)
        if max(field.function.lattice) > largest:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return render_strips(field, *axes)

    monkeypatch.setattr(render, "strips", limited)
    largest = 32
    strips = upscaler.strips(image, (90, 60))
    delivered = [next(strips) for _ in range(5)]
    largest = 16
    delivered += [next(strips) for _ in range(20)]
    largest = 8
    close(np.concatenate([*delivered, *strips]), expected)
    assert tiles == {(32, 32), (16, 16), (8, 8)}
    strips, largest = upscaler.strips(image, (90, 60)), 4
    with pytest.raises(MemoryError, match="no memory for a tile of 8x8"):
        next(strips)


@pytest.mark.parametrize("ensemble", [False, True])
def test_automatic_tiles_take_the_memory_that_is_estimated(ensemble, monkeypatch):
    """By XLA's account of encoding, and the fields that a row of tiles made in strips keeps."""
    model, params = random_model("spectral", edsr={"features": 16, "blocks": 3})
    for memory in (2**22, 2**25, 2**28):
        monkeypatch.setattr(plan_module, "device_memory", lambda _, found=memory: found)
        upscaler = NetworkUpscaler(model, params, "n", ensemble=ensemble)
        for row_pixels in (10**4, 10**7):
            tile = upscaler.planner.tile_for((2000, 1500), (2000, 1500), row_pixels)
            pixels = jnp.zeros([n + 2 * model.receptive_field for n in tile] + [3])
            run = encoded_module.encode_tile.lower(model, params, pixels, model.receptive_field)
            account = run.compile().memory_analysis()
            taken = account.temp_size_in_bytes + account.output_size_in_bytes
            if row_pixels == 10**7:
                wide = -(-1500 // tile[1]) * (8 if ensemble else 1)
                taken += account.output_size_in_bytes * wide
            assert taken <= 1.1 * memory or tile == (min(BUCKETS),) * 2
            assert taken > memory / 50


@pytest.mark.parametrize("method", resampling.METHODS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [((33, 41), (100, 57)), ((50, 60), (20, 31)), ((1, 1), (5, 7)), ((200, 3), (17, 300))],
)
def test_resampling_in_strips_equals_resize(method, shape, size, monkeypatch):
    monkeypatch.setattr(streaming, "STRIP_VALUES", 7 * max(shape[1], size[1]) * 3)
    image = noise_image(*shape)
    expected = np.clip(resampling.resize(image, size, method), 0, 1)
    close(ResampleUpscaler(method).upscale(image, size), expected)


@pytest.mark.parametrize(
    ("dtype", "channels"),
    [
        *((dtype, c) for dtype in (np.float64, np.float32) for c in (None, 1, 3)),
        *((dtype, c) for dtype in (np.uint8, np.uint16) for c in (None, 1, 2, 3, 4)),
    ],
)
def test_arrays_come_back_as_they_came(dtype, channels):
    integer = np.issubdtype(dtype, np.integer)
    top = np.iinfo(dtype).max if integer else 1
    image = (noise_image(9, 7, channels or 1) * top).astype(dtype)
    image = image[:, :, 0] if channels is None else image
    for upscaler in (network(), ResampleUpscaler("lanczos")):
        result = upscaler.upscale(image, scale=2)
        assert result.shape == (18, 14, *image.shape[2:])
        assert result.dtype == (dtype if integer else np.float32)
        # Twice the size and near the same mean: not in another unit, order or channel.
        mean = np.abs(result.mean(axis=(0, 1)) - image.mean(axis=(0, 1))) / top
        assert mean.max() < 0.4
    bicubic = ResampleUpscaler("bicubic").upscale(image, scale=2).astype(np.float64) / top
    flat = image.reshape(9, 7, -1).astype(np.float32) / np.float32(top)
    expected = np.clip(resampling.resize(flat, (18, 14)), 0, 1).reshape(bicubic.shape)
    np.testing.assert_allclose(bicubic, expected, rtol=0, atol=(0.5 / top if integer else 0) + 2e-6)


@pytest.mark.parametrize(
    ("mode", "result"),
    [("1", "L"), ("L", "L"), ("LA", "LA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA"),
     ("CMYK", "RGB"), ("I;16", "I;16")],
)  # fmt: skip
def test_pil_images_come_back_as_pil_images(mode, result):
    image = Image.fromarray((noise_image(6, 5) * 255).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray((noise_image(6, 5)[:, :, 0] * 65535).astype(np.uint16))
    image = image.convert(mode) if image.mode != mode else image
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if mode != "CMYK":
        image.info["icc_profile"] = profile
    larger = network().upscale(image, width=12)
    assert (larger.mode, larger.size) == (result, (12, 14))
    fits = result.startswith("RGB") and mode != "CMYK"  # a profile of RGB does not fit grey
    assert larger.info.get("icc_profile") == (profile if fits else None)


def test_the_orientation_of_pil_images_is_applied():
    image = Image.fromarray((noise_image(6, 4) * 255).astype(np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    larger = ResampleUpscaler("nearest").upscale(image, scale=2)
    assert larger.size == (12, 8)
    expected = np.rot90(np.asarray(image), -1).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(np.asarray(larger), expected)


def test_colours_under_transparency_do_not_bleed():
    colour = np.full((13, 10, 3), 200, np.uint8)
    alpha = np.zeros((13, 10), np.uint8)
    alpha[3:8, 2:6] = 255
    hidden = np.where(alpha[:, :, None] > 0, colour, 0).astype(np.uint8)
    upscaler = network()
    expected = enlarge(upscaler, ImageData(colour, alpha), (39, 30))
    result = enlarge(upscaler, ImageData(hidden, alpha), (39, 30))
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    bicubic = ResampleUpscaler("bicubic").upscale(alpha, (39, 30))
    np.testing.assert_array_equal(result.alpha, bicubic)
    # Nothing to fill in from: the colours stay.
    invisible = ImageData(colour, np.zeros_like(alpha))
    np.testing.assert_array_equal(fill_hidden(invisible), colour)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_blocks_are_the_whole_image_cut_in_rows(monkeypatch, channels, alpha):
    image = ImageData(
        (noise_image(40, 24, channels) * 65535).astype(np.uint16),
        (noise_image(40, 24, 1)[:, :, 0] * 65535).astype(np.uint16) if alpha else None,
    )
    upscaler, size, told = network(tile=16), (100, 60), []
    expected = enlarge(upscaler, image, size)
    monkeypatch.setattr(streaming, "STRIP_VALUES", 7 * 60)  # alpha in strips of 7 rows
    blocks = list(enlarged_blocks(upscaler, image, size, told.append))
    assert len(blocks) > 2
    assert told == np.cumsum([len(block) for block in blocks]).tolist()
    whole = np.concatenate(blocks)
    np.testing.assert_array_equal(whole[:, :, :channels], expected.pixels)
    assert whole.shape[2] == channels + alpha
    if alpha:
        bicubic = ResampleUpscaler("bicubic").upscale(image.alpha, size)
        np.testing.assert_array_equal(whole[:, :, -1], bicubic)
    with pytest.raises(InputError, match="at most 1000"):
        enlarged_blocks(upscaler, image, (100, 24_001))  # before a block is asked for


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 4, 3), np.float32), "shape"),
        (np.zeros(4, np.float32), "shape"),
        (np.zeros((4, 4, 5), np.float32), "channels"),
        (np.zeros((4, 4, 5), np.uint8), "channels"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.full((4, 4, 3), np.nan, np.float32), "not finite"),
        (np.full((4, 4, 3), 255.0, np.float32), r"in \[0, 1\]"),
        (Image.new("F", (4, 4)), "mode F"),
    ],
)
def test_images_that_are_refused(image, message):
    with pytest.raises(InputError, match=message):
        network().upscale(image, scale=2)


def test_tables_that_take_too_much_are_refused_at_once():
    model = models.build(small_config(spectral={"frequencies": (100, 100, 100)}))
    upscaler = NetworkUpscaler(model, {"kernel": np.eye(2)}, "many waves")
    with pytest.raises(InputError, match=r"1000x1000 .* 300 waves, need .* 600000000 bytes"):
        upscaler.strips(noise_image(1, 1), (1000, 1000))


def test_scales_that_a_network_does_not_know_are_refused():
    with pytest.raises(InputError, match="exactly 3: 5x4 to 15x12, not to 10x8"):
        network("pixel_shuffle").strips(noise_image(4, 5), (8, 10))
    with pytest.raises(InputError, match="at most 1000"):
        network().upscale(noise_image(1, 1), (1, 1001))
    with pytest.raises(InputError, match="tile -1"):
        network(tile=-1)
    with pytest.raises(InputError, match="unknown method"):
        ResampleUpscaler("cubic")


def test_importing_the_package_is_cheap_and_its_face_complete():
    code = "import sys, inr_sr; assert not {'jax', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in inr_sr.__all__:
        assert getattr(inr_sr, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = inr_sr.nothing
