import itertools
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from inr_sr import imagefile
from inr_sr.errors import InputError
from inr_sr.imagefile import ImageData, png
from inr_sr.imagefile.writing import BlockWriter
from tests.images import (
    DEPTHS,
    assert_same,
    blocks_of,
    noise,
    oriented,
    raw_png,
    rewritten,
    smooth,
)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_formats_return_what_they_were_given(tmp_path, dtype, channels, alpha):
    # 300 rows: several of the blocks in which deep files are written.
    image = noise(dtype, channels, alpha, (300, 53))
    assert_same(rewritten(tmp_path / "a.png", image), image)
    tiff = rewritten(tmp_path / "a.tif", image)
    if dtype == np.uint16 and channels == 1 and alpha:  # stored as RGBA
        image = ImageData(np.repeat(image.pixels, 3, axis=2), image.alpha)
    assert_same(tiff, image)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.jpg", "a.bmp"])
def test_the_heights_of_blocks_do_not_show(tmp_path, monkeypatch, dtype, channels, alpha, name):
    monkeypatch.setattr(png, "_FILTERED_BYTES", 2**12)  # several blocks of the writer's too
    image, like = (noise(dtype, channels, alpha, size) for size in ((300, 53), (2, 3)))
    imagefile.write(tmp_path / name, image)
    for height in (1, 7, 300):
        path = tmp_path / f"{height}{name}"
        imagefile.write_blocks(path, like, image.size, blocks_of(image, height))
        assert path.read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_memory_does_not_grow_with_the_rows_written(tmp_path, name):
    block = noise(size=(40, 500)).pixels
    peaks = []
    for count in (10, 400):
        blocks = (block.copy() for _ in range(count))
        tracemalloc.start()
        imagefile.write_blocks(tmp_path / name, ImageData(block), (40 * count, 500), blocks)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 4 * 2**20 < 400 * block.nbytes / 5
    assert imagefile.read_size(tmp_path / name) == (16_000, 500)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.jpg", "a.bmp"])
def test_a_result_has_its_size_and_its_end(tmp_path, name):
    path = tmp_path / name
    for dtype, alpha in itertools.product(DEPTHS, (False, True)):
        imagefile.write(path, noise(dtype, 3, alpha, (70, 53)))
        assert imagefile.is_result(path, (70, 53))
        assert not imagefile.is_result(path, (53, 70))
        whole = path.read_bytes()
        for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            assert not imagefile.is_result(path, (70, 53))
    path.unlink()
    assert not imagefile.is_result(path, (70, 53))


def test_a_tiff_that_was_stopped_is_torn(tmp_path):
    image = noise(np.uint8, 3, False, (300, 53))

    with open(tmp_path / "a.tif", "wb") as file:
        BlockWriter(file, "TIFF", image, image.size).write(image.pixels[:200])
    assert not imagefile.is_result(tmp_path / "a.tif", image.size)


def test_every_filter_of_png_is_chosen_and_undone(tmp_path):
    rng = np.random.default_rng(0)
    lines = np.broadcast_to(rng.integers(0, 256, (40, 1, 3), np.uint8), (40, 56, 3))  # left
    columns = np.broadcast_to(rng.integers(0, 256, (1, 56, 3), np.uint8), (40, 56, 3))  # above
    grain = smooth() // 2 + rng.integers(0, 64, (40, 56, 3), np.uint8)  # the mean of the two
    image = ImageData(np.concatenate([lines, columns, grain, smooth()]))  # Paeth's
    assert_same(rewritten(tmp_path / "a.png", image), image)
    filtered = png._filtered(image.pixels.reshape(160, -1), np.zeros(56 * 3, np.uint8), 3)
    assert set(filtered[:, 0]) == {1, 2, 3, 4}


def test_paeth_in_bytes_is_that_of_the_specification():
    steps = np.arange(0, 256, 3, dtype=np.uint8)
    left, up, corner = np.meshgrid(steps, steps, steps)
    a, b, c = (x.astype(int) for x in (left, up, corner))
    to_a, to_b, to_c = (np.abs(a + b - c - x) for x in (a, b, c))
    expected = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
    np.testing.assert_array_equal(png._paeth(left, up, corner), expected)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_pixels_need_not_be_contiguous(tmp_path, dtype, name):
    image = ImageData(noise(dtype).pixels.swapaxes(0, 1))
    assert_same(rewritten(tmp_path / name, image), image)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (129, 3)])
def test_small_and_narrow_images(tmp_path, dtype, size):
    image = noise(dtype, alpha=True, size=size)
    for name in ("a.png", "a.tif", "a.webp", "a.jpg", "a.bmp"):
        got = rewritten(tmp_path / name, image)
        assert got.size == size
        if name in ("a.png", "a.tif"):
            assert_same(got, image)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_other_programs_read_our_files(tmp_path, dtype, channels, alpha):
    tifffile = pytest.importorskip("tifffile")
    imagecodecs = pytest.importorskip("imagecodecs")
    image = noise(dtype, channels, alpha)
    layers = [image.pixels] + ([image.alpha[:, :, None]] if alpha else [])
    imagefile.write(tmp_path / "a.png", image)
    png = imagecodecs.png_decode((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(np.atleast_3d(png), np.concatenate(layers, axis=2))
    imagefile.write(tmp_path / "a.tif", image)
    if dtype == np.uint16 and channels == 1 and alpha:
        layers[0] = np.repeat(layers[0], 3, axis=2)
    tiff = tifffile.imread(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.atleast_3d(tiff), np.concatenate(layers, axis=2))


@pytest.mark.parametrize(("channels", "alpha", "colour_type"), [(3, 0, 2), (3, 1, 6), (1, 1, 4)])
def test_png_of_16_bits_is_read_exactly(tmp_path, channels, alpha, colour_type):
    samples = np.dstack([noise(np.uint16).pixels, noise(np.uint16).pixels[::-1]])
    samples = samples[:, :, : channels + alpha]
    (tmp_path / "a.png").write_bytes(raw_png(samples, colour_type))
    image = imagefile.read(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels, samples[:, :, :channels])
    assert (image.alpha is not None) == bool(alpha)
    if alpha:
        np.testing.assert_array_equal(image.alpha, samples[:, :, -1])


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize(
    ("kind", "byteorder"),
    [
        *[(kind, order) for kind in ("rgb", "rgba", "premultiplied", "grey") for order in "<>"],
        ("white is zero", "<"),
    ],
)
def test_tiff_of_16_bits_is_read_exactly(tmp_path, byteorder, compression, kind):
    tifffile = pytest.importorskip("tifffile")
    if compression == "lzw":
        pytest.importorskip("imagecodecs")
    colour = noise(np.uint16).pixels
    alpha = np.full(colour.shape[:2], 40_000, np.uint16)
    alpha[:5] = 0
    layout: dict = {"photometric": "rgb"}
    stored, expected = colour, colour
    if kind == "rgba":
        stored = np.dstack([colour, alpha])
        layout["extrasamples"] = ["unassalpha"]
    elif kind == "premultiplied":
        multiplied = np.round(colour * (alpha[:, :, None] / 65535)).astype(np.uint16)
        stored = np.dstack([multiplied, alpha])
        layout["extrasamples"] = ["assocalpha"]
    elif kind != "rgb":
        stored = expected = colour[:, :, 0]
        layout["photometric"] = "minisblack" if kind == "grey" else "miniswhite"
        expected = (expected if kind == "grey" else 65535 - expected)[:, :, None]
    tifffile.imwrite(
        tmp_path / "a.tif", stored, byteorder=byteorder, compression=compression, **layout
    )
    image = imagefile.read(tmp_path / "a.tif")
    assert image.pixels.dtype == np.uint16
    if kind == "premultiplied":
        error = np.abs(image.pixels.astype(int) - expected)[alpha > 0]
        assert error.max() <= 1  # dividing cannot return what rounding took
    else:
        np.testing.assert_array_equal(image.pixels, expected)
    if "extrasamples" in layout:
        np.testing.assert_array_equal(image.alpha, alpha)


def test_transparent_colour_becomes_alpha(tmp_path):
    samples = noise(np.uint16).pixels
    key = struct.pack(">HHH", *samples[3, 4].tolist())
    (tmp_path / "deep.png").write_bytes(raw_png(samples, 2, (b"tRNS", key)))
    alpha = imagefile.read(tmp_path / "deep.png").alpha
    assert alpha is not None
    assert (alpha[3, 4], (alpha == 65535).sum()) == (0, alpha.size - 1)

    palette = Image.new("P", (4, 2))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=bytes([255, 77]))
    palette.save(tmp_path / "palette.gif", transparency=1)
    for name, expected in (("palette.png", 77), ("palette.gif", 0)):
        image = imagefile.read(tmp_path / name)
        assert image.pixels.shape == (2, 4, 3)
        assert image.alpha is not None
        assert (image.alpha[0, 0], image.alpha[0, 1]) == (255, expected)
        assert image.pixels[0, 0].tolist() == [10, 20, 30]


def test_other_kinds_of_pixels(tmp_path):
    bits = np.random.default_rng(0).random((9, 11)) < 0.5
    Image.fromarray(bits).save(tmp_path / "bits.png")
    expected = np.where(bits, 255, 0).astype(np.uint8)[:, :, None]
    assert_same(imagefile.read(tmp_path / "bits.png"), ImageData(expected))

    Image.fromarray(noise(channels=1).pixels[:, :, 0]).save(tmp_path / "grey.jpg", quality=100)
    assert imagefile.read(tmp_path / "grey.jpg").pixels.shape == (37, 53, 1)

    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    for name in ("moving.gif", "moving.webp", "moving.png", "pages.tif"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert imagefile.read(tmp_path / name).pixels[0, 0].tolist() == [255, 0, 0]


def cmyk_profile() -> bytes:
    """An ICC profile in which ink of any colour makes grey: L* = 100 (1 - K) (1 - C / 2)."""
    ramp = bytes(range(256))
    nodes = [
        bytes([round(255 * (1 - k) * (1 - c / 2)), 128, 128])
        for c in (0, 1)
        for _m in (0, 1)
        for _y in (0, 1)
        for k in (0, 1)
    ]
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = (
        b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * ramp + b"".join(nodes) + 3 * ramp
    )
    header = struct.pack(
        ">I4sI4s4s4s12s4s4sI4sIQI3I", 144 + len(table), b"lcms", 0x02400000, b"prtr", b"CMYK",
        b"Lab ", bytes(12), b"acsp", bytes(4), 0, bytes(4), 0, 0, 1, 0xF6D6, 0x10000, 0xD32D,
    )  # fmt: skip
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    return header.ljust(128, b"\0") + tags + table


def test_cmyk_goes_through_its_profile(tmp_path):
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    cyan.save(tmp_path / "plain.tif")
    cyan.save(tmp_path / "profiled.tif", icc_profile=cmyk_profile())
    cyan.save(tmp_path / "broken.tif", icc_profile=b"no profile" * 20)
    assert imagefile.read(tmp_path / "plain.tif").pixels[0, 0].tolist() == [0, 255, 255]
    profiled = imagefile.read(tmp_path / "profiled.tif")
    assert profiled.icc is None
    # L* = 50 is sRGB 118.9.
    np.testing.assert_allclose(profiled.pixels, 119, atol=2)
    with pytest.warns(UserWarning, match="CMYK profile not usable"):
        assert imagefile.read(tmp_path / "broken.tif").pixels[0, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_lossy_formats_are_close(tmp_path, name):
    pixels = smooth()
    error = rewritten(tmp_path / name, ImageData(pixels)).pixels.astype(float) - pixels
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 40


@pytest.mark.parametrize("dtype", DEPTHS)
def test_alpha_is_composited_on_white_where_it_cannot_be_kept(tmp_path, dtype):
    top = np.iinfo(dtype).max
    pixels = np.zeros((4, 300, 3), dtype)
    alpha = np.zeros((4, 300), dtype)
    alpha[:, 100:200] = top // 2 + 1
    alpha[:, 200:] = top
    image = ImageData(pixels, alpha)
    flat = rewritten(tmp_path / "a.bmp", image)
    assert flat.alpha is None
    assert flat.pixels[0, [0, 100, 200], 0].tolist() == [255, 127, 0]
    np.testing.assert_array_equal(imagefile.to_rgb8(image), flat.pixels)
    np.testing.assert_array_equal(image.pixels, 0)


def test_16_bits_are_rounded_to_8():
    samples = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    rounded = imagefile.to_rgb8(ImageData(samples))
    np.testing.assert_array_equal(rounded[:, :, :1], np.floor(samples / 257 + 0.5))
    assert rounded.shape == (256, 256, 3)


def test_contradictory_images_are_refused():
    for pixels in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="allowed"):
            ImageData(pixels)
    with pytest.raises(ValueError, match="alpha"):
        ImageData(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_pil_image_is_what_its_file_is(tmp_path, mode):
    rgba = np.dstack([noise().pixels, noise(channels=1).pixels])
    if mode == "I;16":
        pil = Image.fromarray(noise(np.uint16, 1).pixels[:, :, 0])
    else:
        pil = Image.fromarray(rgba).convert("RGB" if mode == "CMYK" else "RGBA").convert(mode)
    path = tmp_path / "a.tif"
    options = {"transparency": 3} if mode == "P" else {}
    pil.save(path.with_suffix(".png") if mode == "P" else path, exif=oriented(6), **options)
    path = path.with_suffix(".png") if mode == "P" else path
    # Not by name: Pillow 13 forgets to turn an uncompressed TIFF that it maps into memory.
    with path.open("rb") as file, Image.open(file) as again:
        image = imagefile.from_pil(again)
    expected = imagefile.read(path)
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert (image.alpha is None) == (expected.alpha is None)
    if image.alpha is not None:
        np.testing.assert_array_equal(image.alpha, expected.alpha)
    if mode != "CMYK":  # which becomes RGB on the way in
        back = imagefile.from_pil(imagefile.to_pil(image))
        np.testing.assert_array_equal(back.pixels, image.pixels)


def test_pil_has_no_16_bit_colour():
    with pytest.raises(InputError, match="no 16-bit mode"):
        imagefile.to_pil(noise(np.uint16))
