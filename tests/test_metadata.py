from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from inr_sr import imagefile
from inr_sr.imagefile import ImageData
from tests.images import (
    DEPTHS,
    blocks_of,
    encoded,
    noise,
    oriented,
    png_of,
    raw_png,
    rewritten,
    smooth,
)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_orientation_is_applied_once(tmp_path, orientation, suffix):
    path = tmp_path / f"a{suffix}"
    exif = oriented(orientation)
    exif[ExifTags.Base.Make] = "maker"
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(smooth()).save(path, exif=exif, dpi=(100, 200), **options)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    image = imagefile.read(path)
    np.testing.assert_array_equal(image.pixels, expected)
    assert imagefile.read_size(path) == image.size == expected.shape[:2]
    assert image.pixels.flags.c_contiguous
    if suffix != ".webp":  # which holds no resolution
        turned = (200, 100) if orientation >= 5 else (100, 200)
        assert image.dpi == pytest.approx(turned, abs=0.02)
    assert rewritten(path, image).size == image.size
    with Image.open(path) as opened:
        opened.load()
        assert opened.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert opened.getexif()[ExifTags.Base.Make] == "maker"


def test_orientation_of_16_bit_files(tmp_path):
    samples = noise(np.uint16).pixels
    (tmp_path / "a.png").write_bytes(raw_png(samples, 2, (b"eXIf", oriented(6).tobytes()[6:])))
    np.testing.assert_array_equal(imagefile.read(tmp_path / "a.png").pixels, np.rot90(samples, -1))
    tifffile = pytest.importorskip("tifffile")
    tags = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extratags=tags)
    image = imagefile.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, np.rot90(samples, -1))
    assert imagefile.read_size(tmp_path / "a.tif") == image.size


def test_orientation_behind_the_pixels_of_a_png(tmp_path):
    end = png_of((b"eXIf", oriented(8).tobytes()[6:]), (b"IEND", b""))[8:]
    (tmp_path / "late.png").write_bytes(encoded("PNG", smooth())[:-12] + end)
    image = imagefile.read(tmp_path / "late.png")
    np.testing.assert_array_equal(image.pixels, np.rot90(smooth()))
    assert imagefile.read_size(tmp_path / "late.png") == image.size


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"'
    b' dc:rights="ours"><exif:PixelXDimension>56</exif:PixelXDimension></rdf:Description>'
    b"</rdf:RDF></x:xmpmeta>"
)


def annotated(source: Path) -> ImageData:
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
    image = imagefile.read(source)
    assert image.icc == icc
    return image


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_metadata_goes_from_file_to_file(tmp_path, dtype, suffix):
    source = annotated(tmp_path / "source.jpg")
    factor = np.iinfo(dtype).max // 255
    large = np.repeat(np.repeat(source.pixels, 2, axis=0), 2, axis=1).astype(dtype) * dtype(factor)
    like = replace(source, pixels=source.pixels.astype(dtype))
    imagefile.write_blocks(tmp_path / f"a{suffix}", like, (80, 112), blocks_of(ImageData(large), 9))
    got = imagefile.read(tmp_path / f"a{suffix}")
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
    assert rewritten(tmp_path / "a.png", ImageData(smooth(), text=text | listing)).text == text


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_nothing_is_made_up(tmp_path, suffix):
    got = rewritten(tmp_path / f"a{suffix}", ImageData(smooth()))
    assert (got.icc, got.exif, got.xmp, got.dpi, got.text) == (None, None, None, None, {})


def test_resolution_that_no_file_could_hold_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 2**32 - 1
    exif[ExifTags.Base.ResolutionUnit] = 2
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", exif=exif))
    image = imagefile.read(tmp_path / "a.jpg")
    assert image.dpi is None
    assert rewritten(tmp_path / "a.png", image).dpi is None


def test_metadata_of_a_big_tiff(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "maker"
    (tmp_path / "big.tif").write_bytes(encoded("TIFF", exif=exif, big_tiff=True))
    image = imagefile.read(tmp_path / "big.tif")
    for name in ("a.png", "a.tif", "a.jpg"):
        imagefile.write(tmp_path / name, image)
        with Image.open(tmp_path / name) as opened:
            assert opened.getexif()[ExifTags.Base.Make] == "maker"


def test_profile_of_another_colour_space_is_dropped(tmp_path):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("L", (8, 8)).save(tmp_path / "a.jpg", icc_profile=icc)
    assert imagefile.read(tmp_path / "a.jpg").icc is None
    grey = icc[:16] + b"GRAY" + icc[20:]
    profiled = rewritten(tmp_path / "a.png", ImageData(noise(channels=1).pixels, icc=grey))
    assert profiled.icc == grey
    assert rewritten(tmp_path / "a.webp", profiled).icc is None  # holds RGB alone


def test_metadata_too_large_for_jpeg_is_left_out_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="too large for JPEG, left out: xmp"):
        image = rewritten(tmp_path / "a.jpg", ImageData(smooth(), xmp=b"x" * 70_000))
    assert image.xmp is None
