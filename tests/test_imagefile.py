import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin

from inr_sr import imagefile
from inr_sr.errors import InputError
from inr_sr.imagefile import Picture, files
from inr_sr.imagefile.tiff import write_tiff

DEPTHS = [np.uint8, np.uint16]


def noise(
    dtype: type = np.uint8, channels: int = 3, alpha: bool = False, size: tuple[int, int] = (37, 53)
) -> Picture:
    rng = np.random.default_rng(5)
    top = np.iinfo(dtype).max
    pixels = rng.integers(0, top, (*size, channels), dtype, endpoint=True)
    return Picture(pixels, rng.integers(0, top, size, dtype, endpoint=True) if alpha else None)


def smooth(size: tuple[int, int] = (40, 56)) -> np.ndarray:
    rows, cols = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(rows / 9), np.cos(cols / 7), np.sin((rows + cols) / 11)]
    return np.round(127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def assert_same(a: Picture, b: Picture) -> None:
    np.testing.assert_array_equal(a.pixels, b.pixels)
    assert a.pixels.dtype == b.pixels.dtype
    assert (a.alpha is None) == (b.alpha is None)
    if a.alpha is not None:
        np.testing.assert_array_equal(a.alpha, b.alpha)


def rewritten(path: Path, picture: Picture) -> Picture:
    imagefile.write(path, picture)
    return imagefile.read(path)


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    out = io.BytesIO()
    out.write(b"\x89PNG\r\n\x1a\n")
    for name, body in chunks:
        PngImagePlugin.putchunk(out, name, body)
    return out.getvalue()


def raw_png(samples: np.ndarray, colour_type: int, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG as its specification has it, without filters: written here, not by the module."""
    rows, cols = samples.shape[:2]
    lines = samples.astype(">u2").reshape(rows, -1).view(np.uint8)
    data = np.concatenate([np.zeros((rows, 1), np.uint8), lines], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", cols, rows, 16, colour_type, 0, 0, 0)
    return png_of((b"IHDR", header), *extra, (b"IDAT", zlib.compress(data)), (b"IEND", b""))


def encoded(format: str, pixels: np.ndarray | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(noise(size=(64, 64)).pixels if pixels is None else pixels)
    image.save(out, format=format, **options)
    return out.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


# --- depth, channels, alpha ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_formats_return_what_they_were_given(tmp_path, dtype, channels, alpha):
    # 300 rows: several of the blocks in which deep files are written.
    picture = noise(dtype, channels, alpha, (300, 53))
    assert_same(rewritten(tmp_path / "a.png", picture), picture)
    tiff = rewritten(tmp_path / "a.tif", picture)
    if dtype == np.uint16 and channels == 1 and alpha:  # stored as RGBA
        picture = Picture(np.repeat(picture.pixels, 3, axis=2), picture.alpha)
    assert_same(tiff, picture)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_pixels_need_not_be_contiguous(tmp_path, dtype, name):
    picture = Picture(noise(dtype).pixels.swapaxes(0, 1))
    assert_same(rewritten(tmp_path / name, picture), picture)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (129, 3)])
def test_small_and_narrow_pictures(tmp_path, dtype, size):
    picture = noise(dtype, alpha=True, size=size)
    for name in ("a.png", "a.tif", "a.webp", "a.jpg", "a.bmp"):
        got = rewritten(tmp_path / name, picture)
        assert got.size == size
        if name in ("a.png", "a.tif"):
            assert_same(got, picture)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_other_programs_read_our_files(tmp_path, dtype, channels, alpha):
    tifffile = pytest.importorskip("tifffile")
    imagecodecs = pytest.importorskip("imagecodecs")
    picture = noise(dtype, channels, alpha)
    layers = [picture.pixels] + ([picture.alpha[:, :, None]] if alpha else [])
    imagefile.write(tmp_path / "a.png", picture)
    png = imagecodecs.png_decode((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(np.atleast_3d(png), np.concatenate(layers, axis=2))
    imagefile.write(tmp_path / "a.tif", picture)
    if dtype == np.uint16 and channels == 1 and alpha:
        layers[0] = np.repeat(layers[0], 3, axis=2)
    tiff = tifffile.imread(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.atleast_3d(tiff), np.concatenate(layers, axis=2))


@pytest.mark.parametrize(("channels", "alpha", "colour_type"), [(3, 0, 2), (3, 1, 6), (1, 1, 4)])
def test_png_of_16_bits_is_read_exactly(tmp_path, channels, alpha, colour_type):
    samples = np.dstack([noise(np.uint16).pixels, noise(np.uint16).pixels[::-1]])
    samples = samples[:, :, : channels + alpha]
    (tmp_path / "a.png").write_bytes(raw_png(samples, colour_type))
    picture = imagefile.read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, samples[:, :, :channels])
    assert (picture.alpha is not None) == bool(alpha)
    if alpha:
        np.testing.assert_array_equal(picture.alpha, samples[:, :, -1])


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
    picture = imagefile.read(tmp_path / "a.tif")
    assert picture.pixels.dtype == np.uint16
    if kind == "premultiplied":
        error = np.abs(picture.pixels.astype(int) - expected)[alpha > 0]
        assert error.max() <= 1  # dividing cannot return what rounding took
    else:
        np.testing.assert_array_equal(picture.pixels, expected)
    if "extrasamples" in layout:
        np.testing.assert_array_equal(picture.alpha, alpha)


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
        picture = imagefile.read(tmp_path / name)
        assert picture.pixels.shape == (2, 4, 3)
        assert picture.alpha is not None
        assert (picture.alpha[0, 0], picture.alpha[0, 1]) == (255, expected)
        assert picture.pixels[0, 0].tolist() == [10, 20, 30]


def test_other_kinds_of_pixels(tmp_path):
    bits = np.random.default_rng(0).random((9, 11)) < 0.5
    Image.fromarray(bits).save(tmp_path / "bits.png")
    expected = np.where(bits, 255, 0).astype(np.uint8)[:, :, None]
    assert_same(imagefile.read(tmp_path / "bits.png"), Picture(expected))

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
    error = rewritten(tmp_path / name, Picture(pixels)).pixels.astype(float) - pixels
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 40


@pytest.mark.parametrize("dtype", DEPTHS)
def test_alpha_is_composited_on_white_where_it_cannot_be_kept(tmp_path, dtype):
    top = np.iinfo(dtype).max
    pixels = np.zeros((4, 300, 3), dtype)
    alpha = np.zeros((4, 300), dtype)
    alpha[:, 100:200] = top // 2 + 1
    alpha[:, 200:] = top
    picture = Picture(pixels, alpha)
    flat = rewritten(tmp_path / "a.bmp", picture)
    assert flat.alpha is None
    assert flat.pixels[0, [0, 100, 200], 0].tolist() == [255, 127, 0]
    np.testing.assert_array_equal(imagefile.to_rgb8(picture), flat.pixels)
    np.testing.assert_array_equal(picture.pixels, 0)


def test_16_bits_are_rounded_to_8():
    samples = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    rounded = imagefile.to_rgb8(Picture(samples))
    np.testing.assert_array_equal(rounded[:, :, :1], np.floor(samples / 257 + 0.5))
    assert rounded.shape == (256, 256, 3)


def test_contradictory_pictures_are_refused():
    for pixels in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="allowed"):
            Picture(pixels)
    with pytest.raises(ValueError, match="alpha"):
        Picture(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8))


# --- metadata ------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_orientation_is_applied_once(tmp_path, orientation, suffix):
    path = tmp_path / f"a{suffix}"
    exif = oriented(orientation)
    exif[ExifTags.Base.Make] = "maker"
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(smooth()).save(path, exif=exif, dpi=(100, 200), **options)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    picture = imagefile.read(path)
    np.testing.assert_array_equal(picture.pixels, expected)
    assert imagefile.read_size(path) == picture.size == expected.shape[:2]
    assert picture.pixels.flags.c_contiguous
    if suffix != ".webp":  # which holds no resolution
        turned = (200, 100) if orientation >= 5 else (100, 200)
        assert picture.dpi == pytest.approx(turned, abs=0.02)
    assert rewritten(path, picture).size == picture.size
    with Image.open(path) as image:
        image.load()
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert image.getexif()[ExifTags.Base.Make] == "maker"


def test_orientation_of_16_bit_files(tmp_path):
    samples = noise(np.uint16).pixels
    (tmp_path / "a.png").write_bytes(raw_png(samples, 2, (b"eXIf", oriented(6).tobytes()[6:])))
    np.testing.assert_array_equal(imagefile.read(tmp_path / "a.png").pixels, np.rot90(samples, -1))
    tifffile = pytest.importorskip("tifffile")
    tags = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extratags=tags)
    picture = imagefile.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.pixels, np.rot90(samples, -1))
    assert imagefile.read_size(tmp_path / "a.tif") == picture.size


def test_orientation_behind_the_pixels_of_a_png(tmp_path):
    end = png_of((b"eXIf", oriented(8).tobytes()[6:]), (b"IEND", b""))[8:]
    (tmp_path / "late.png").write_bytes(encoded("PNG", smooth())[:-12] + end)
    picture = imagefile.read(tmp_path / "late.png")
    np.testing.assert_array_equal(picture.pixels, np.rot90(smooth()))
    assert imagefile.read_size(tmp_path / "late.png") == picture.size


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"'
    b' dc:rights="ours"><exif:PixelXDimension>56</exif:PixelXDimension></rdf:Description>'
    b"</rdf:RDF></x:xmpmeta>"
)


def annotated(source: Path) -> Picture:
    """A photograph with all that a camera and an editor write, read back."""
    exif = oriented(3)
    exif[ExifTags.Base.Artist] = "somebody"
    exif[ExifTags.Base.NewSubfileType] = 1  # what editors leave behind: "a reduced copy"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.ExposureTime: 0.01,
            ExifTags.Base.ExifImageWidth: 56,
            ExifTags.Base.ExifImageHeight: 40,
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(smooth()).save(
        source, exif=exif, icc_profile=icc, dpi=(240, 240), xmp=XMP, comment="a comment"
    )
    picture = imagefile.read(source)
    assert picture.icc == icc
    return picture


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_metadata_goes_from_file_to_file(tmp_path, dtype, suffix):
    source = annotated(tmp_path / "source.jpg")
    factor = np.iinfo(dtype).max // 255
    large = np.repeat(np.repeat(source.pixels, 2, axis=0), 2, axis=1).astype(dtype) * dtype(factor)
    enlarged = Picture(large, None, source.icc, source.exif, source.xmp, source.dpi, source.text)
    got = rewritten(tmp_path / f"a{suffix}", enlarged)
    assert got.icc == source.icc
    assert got.xmp is not None
    assert b"ours" in got.xmp
    assert b"Orientation" not in got.xmp
    assert b"PixelXDimension" not in got.xmp
    assert got.exif is not None
    exif = Image.Exif()
    exif.load(got.exif)
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert exif[ExifTags.Base.Artist] == "somebody"
    assert ExifTags.Base.NewSubfileType not in exif
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert float(details[ExifTags.Base.ExposureTime]) == pytest.approx(0.01)
    assert details[ExifTags.Base.ExifImageWidth] == 112
    assert details[ExifTags.Base.ExifImageHeight] == 80
    if suffix != ".webp":
        assert got.dpi == pytest.approx((240, 240), abs=0.02)
    if suffix in (".png", ".jpg"):
        assert got.text["Comment"] == "a comment"


def test_text_of_a_png_is_kept(tmp_path):
    text = {"Title": "a title", "Autor": "Ωμέγα", "Software": "none"}
    listing = {"exif:PixelXDimension": "56", "date:create": "2019-02-12T17:43:08+01:00"}
    assert rewritten(tmp_path / "a.png", Picture(smooth(), text=text | listing)).text == text


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_nothing_is_made_up(tmp_path, suffix):
    got = rewritten(tmp_path / f"a{suffix}", Picture(smooth()))
    assert (got.icc, got.exif, got.xmp, got.dpi, got.text) == (None, None, None, None, {})


def test_resolution_that_no_file_could_hold_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 2**32 - 1
    exif[ExifTags.Base.ResolutionUnit] = 2
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", exif=exif))
    picture = imagefile.read(tmp_path / "a.jpg")
    assert picture.dpi is None
    assert rewritten(tmp_path / "a.png", picture).dpi is None


def test_metadata_of_a_big_tiff(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "maker"
    (tmp_path / "big.tif").write_bytes(encoded("TIFF", exif=exif, big_tiff=True))
    picture = imagefile.read(tmp_path / "big.tif")
    for name in ("a.png", "a.tif", "a.jpg"):
        imagefile.write(tmp_path / name, picture)
        with Image.open(tmp_path / name) as image:
            assert image.getexif()[ExifTags.Base.Make] == "maker"


def test_profile_of_another_colour_space_is_dropped(tmp_path):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("L", (8, 8)).save(tmp_path / "a.jpg", icc_profile=icc)
    assert imagefile.read(tmp_path / "a.jpg").icc is None
    grey = icc[:16] + b"GRAY" + icc[20:]
    profiled = rewritten(tmp_path / "a.png", Picture(noise(channels=1).pixels, icc=grey))
    assert profiled.icc == grey
    assert rewritten(tmp_path / "a.webp", profiled).icc is None  # holds RGB alone


def test_metadata_too_large_for_jpeg_is_left_out_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="too large for JPEG, left out: xmp"):
        picture = rewritten(tmp_path / "a.jpg", Picture(smooth(), xmp=b"x" * 70_000))
    assert picture.xmp is None


# --- mistakes ------------------------------------------------------------------------------------


def own_tiff() -> bytes:
    out = io.BytesIO()
    write_tiff(out, noise(np.uint16))
    return out.getvalue()


BAD_FILES: dict[str, Callable[[], bytes]] = {
    "text.png": lambda: b"this is no picture",
    "empty.jpg": lambda: b"",
    "header.png": lambda: encoded("PNG")[:20],
    "cut.png": lambda: encoded("PNG")[:3000],
    "cut16.png": lambda: raw_png(noise(np.uint16).pixels, 2)[:3000],
    "cut.jpg": lambda: encoded("JPEG")[:3000],
    "cut.webp": lambda: encoded("WEBP", lossless=True)[:3000],
    "cut.tif": lambda: encoded("TIFF")[:3000],
    "cutlzw.tif": lambda: encoded("TIFF", compression="tiff_lzw")[:3000],
    "cut16.tif": lambda: own_tiff()[:3000],
    "cut.bmp": lambda: encoded("BMP")[:3000],
    "cut.gif": lambda: encoded("GIF")[:3000],
    "float.tif": lambda: encoded("TIFF", np.zeros((8, 8), np.float32)),
    "nothing.png": lambda: raw_png(np.zeros((4, 0, 3), np.uint16), 2),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_one_line_errors(tmp_path, capfd, name):
    path = tmp_path / name
    path.write_bytes(BAD_FILES[name]())
    with pytest.raises(InputError) as error:
        imagefile.read(path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.png: No such file"):
        imagefile.read(tmp_path / "none.png")
    with pytest.raises(InputError, match="is a folder"):
        imagefile.read(tmp_path)


def test_bomb_is_refused_before_it_is_decoded(tmp_path):
    header = struct.pack(">IIBBBBB", 100_000, 90_000, 8, 2, 0, 0, 0)
    bomb = png_of((b"IHDR", header), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b""))
    (tmp_path / "bomb.png").write_bytes(bomb)
    limit = Image.MAX_IMAGE_PIXELS
    for read in (imagefile.read, imagefile.read_size):
        with pytest.raises(
            InputError, match=r"100000x90000 = 9000000000 pixels; at most 250000000"
        ):
            read(tmp_path / "bomb.png")
    assert limit == Image.MAX_IMAGE_PIXELS
    imagefile.write(tmp_path / "small.png", noise())
    with pytest.raises(InputError, match="at most 100 are read"):
        imagefile.read(tmp_path / "small.png", max_pixels=100)


def test_damaged_exif_is_left_out_with_a_warning(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.webp", exif=b"Exif\0\0neither byte order")
    with pytest.warns(UserWarning, match=r"a\.webp: damaged EXIF left out"):
        picture = imagefile.read(tmp_path / "a.webp")
    assert picture.size == (40, 56)
    assert picture.exif is None


def test_output_format():
    assert imagefile.output_format("a.TIF") == "TIFF"
    assert imagefile.output_format("a.png", "jpg") == "JPEG"
    for path, format in (("a.xyz", None), ("a", None), ("a.png", "gif")):
        with pytest.raises(InputError, match="allowed: png, jpg"):
            imagefile.output_format(path, format)


def test_check_writable_touches_nothing(tmp_path):
    imagefile.check_writable(tmp_path / "a.png", size=(100, 100))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    mistakes = {
        tmp_path / "none" / "a.png": "there is no folder",
        tmp_path / "file" / "a.png": "there is no folder",
        tmp_path / "folder.png": "it exists and is no file",
        Path("/proc/a.png"): "cannot write /proc/a.png",
    }
    for path, message in mistakes.items():
        if path.parent == Path("/proc") and not path.parent.is_dir():
            continue
        with pytest.raises(InputError, match=message):
            imagefile.check_writable(path)
    for name, size in (
        ("a.webp", (10, 16_384)),
        ("a.jpg", (65_501, 10)),
        ("a.tif", (40_000, 40_000)),
    ):
        with pytest.raises(InputError, match="too large for"):
            imagefile.check_writable(tmp_path / name, size=size)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_temporary", lambda target: Path("/dev/full"))
    monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)
    for name in ("a.png", "a.bmp", "a.jpg"):
        with pytest.raises(InputError, match=r"cannot write .*No space left"):
            imagefile.write(tmp_path / name, noise())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail() -> None:
        with imagefile.atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_atomic_path_follows_links_and_the_umask(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a.png", tmp_path / "a.png"
    real.touch()
    link.symlink_to(real)
    imagefile.write(link, noise())
    assert link.is_symlink()
    assert real.stat().st_size > 0
    mask = os.umask(0)
    os.umask(mask)
    assert real.stat().st_mode & 0o777 == 0o666 & ~mask


def test_find_images(tmp_path):
    for name in ("b.png", "a.JPG", "c.txt", ".hidden.png", "deep/d.webp", ".git/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "deep" / "circle").symlink_to(tmp_path)
    here = [tmp_path / "a.JPG", tmp_path / "b.png"]
    assert imagefile.find_images(tmp_path) == here
    assert imagefile.find_images(tmp_path, recursive=True) == [*here, tmp_path / "deep" / "d.webp"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures in"):
        imagefile.find_images(tmp_path / "empty")
    with pytest.raises(InputError, match="there is no folder"):
        imagefile.find_images(tmp_path / "none")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_pil_image_is_what_its_file_is(tmp_path, mode):
    rgba = np.dstack([noise().pixels, noise(channels=1).pixels])
    if mode == "I;16":
        image = Image.fromarray(noise(np.uint16, 1).pixels[:, :, 0])
    else:
        image = Image.fromarray(rgba).convert("RGB" if mode == "CMYK" else "RGBA").convert(mode)
    path = tmp_path / "a.tif"
    options = {"transparency": 3} if mode == "P" else {}
    image.save(path.with_suffix(".png") if mode == "P" else path, exif=oriented(6), **options)
    path = path.with_suffix(".png") if mode == "P" else path
    # Not by name: Pillow 13 forgets to turn an uncompressed TIFF that it maps into memory.
    with path.open("rb") as file, Image.open(file) as again:
        picture = imagefile.from_pil(again)
    expected = imagefile.read(path)
    np.testing.assert_array_equal(picture.pixels, expected.pixels)
    assert (picture.alpha is None) == (expected.alpha is None)
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, expected.alpha)
    if mode != "CMYK":  # which becomes RGB on the way in
        back = imagefile.from_pil(imagefile.to_pil(picture))
        np.testing.assert_array_equal(back.pixels, picture.pixels)


def test_pil_has_no_16_bit_colour():
    with pytest.raises(InputError, match="no 16-bit mode"):
        imagefile.to_pil(noise(np.uint16))
