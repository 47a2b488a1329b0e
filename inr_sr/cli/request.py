"""The request of `inr-sr upscale`, complete and valid: which images become which files, how large.

All that can be checked without JAX has been checked. One thing is left for later: the images of a
folder are measured one by one, when their turn comes.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from inr_sr import imagefile, weights
from inr_sr.errors import InputError
from inr_sr.files import check_file, check_folder
from inr_sr.sizes import Size, TooManyPixels, scale_label, target_size

RESAMPLERS = ("bicubic", "lanczos", "nearest", "box")
"""`resampling.METHODS`, kept here because that module imports JAX."""


@dataclass(frozen=True)
class OutputSize:
    """The output size, given in one of four ways; the others are None.

    Attributes:
      scale: (rows, cols).
      size: output (rows, cols).
      width, height: output columns, output rows.
      max_pixels: limit of the output; None: there is none.
    """

    scale: tuple[float, float] | None
    size: Size | None
    width: int | None
    height: int | None
    max_pixels: int | None

    def size_for(self, size_in: Size) -> Size:
        """The output (rows, cols) of an image; InputError where it is too large."""
        try:
            return target_size(
                size_in,
                scale=self.scale,
                size=self.size,
                width=self.width,
                height=self.height,
                max_pixels=self.max_pixels,
            )
        except TooManyPixels as error:
            raise InputError(f"{error}; --yes allows it") from error

    @property
    def label(self) -> str:
        """What a result's name says about its size: x3.7, 1920x1080, w1920 or h1080."""
        if self.scale is not None:
            return f"x{scale_label(*self.scale)}"
        if self.size is not None:
            return f"{self.size[1]}x{self.size[0]}"
        return f"w{self.width}" if self.width is not None else f"h{self.height}"


@dataclass(frozen=True)
class Job:
    """One image and the file that it becomes.

    Attributes:
      input, output: their paths.
      guarded: whether the output's folder may hold originals: only an earlier result is replaced.
    """

    input: Path
    output: Path
    guarded: bool = False


@dataclass(frozen=True)
class UpscaleRequest:
    """What `inr-sr upscale` is to do.

    Attributes:
      jobs: the images; of a folder in the order of paths.
      sizes: of the one image, (rows, cols) of it and of its result; None for a folder, whose
        images are measured when their turn comes.
      output_size: how large results become.
      smallest: of a folder and a scale: (rows, cols) that an image of one pixel becomes; else None.
      method: name of a resampling method, or name or path of weights.
      is_network: whether `method` is that of weights.
      tile, ensemble: see `NetworkUpscaler`.
      max_input_pixels: limit of the images read.
      resume: whether results that are complete are left as they are.
      json: path of the summary, "-" for stdout, None for none.
    """

    jobs: tuple[Job, ...]
    sizes: tuple[Size, Size] | None
    output_size: OutputSize
    smallest: Size | None
    method: str
    is_network: bool
    tile: int | str
    ensemble: bool
    max_input_pixels: int
    resume: bool
    json: str | None

    @property
    def is_folder(self) -> bool:
        """Whether the images are those of a folder."""
        return self.sizes is None

    def sizes_of(self, job: Job) -> tuple[Size, Size]:
        """(rows, cols) of an image and of its result; InputError where the latter is too large."""
        if self.sizes is not None:
            return self.sizes
        return _measured(job, self.output_size, self.max_input_pixels)


def make_request(
    source: Path,
    output: Path | None,
    output_size: OutputSize,
    *,
    method: str | None,
    weights_name: str | None,
    tile: int | str,
    ensemble: bool,
    format: str | None,
    recursive: bool,
    max_input_pixels: int,
    resume: bool,
    json: str | None,
) -> UpscaleRequest:
    """Checks what the command line asks for.

    Args:
      source, output: IN and OUT, each an image or a folder; OUT may be None.
      output_size: how large results become.
      method: a name of RESAMPLERS, or of weights of the package; None: see weights_name.
      weights_name: name or path of weights; None: the default, unless there is a method.
      format: extension of results whose names are not given; None: that of IN, or .png.
      recursive: whether images of subfolders are meant, too.
      tile, ensemble, max_input_pixels, resume, json: see `UpscaleRequest`.

    Raises:
      InputError: the request cannot be met.
    """
    if not source.exists():
        raise InputError(f"there is no file or folder {source}")
    method = _method(method, weights_name, ensemble)
    label = output_size.label
    sizes = smallest = None
    jobs: tuple[Job, ...]
    if source.is_dir():
        jobs = _folder_jobs(source, output, label, format, recursive)
        if output_size.scale or output_size.size:
            smallest = output_size.size_for((1, 1))
        check_folder(jobs[0].output.parent)
    else:
        jobs = (_image_job(source, output, label, format),)
        sizes = _measured(jobs[0], output_size, max_input_pixels)
        imagefile.check_writable(jobs[0].output, size=sizes[1])
    if json is not None and json != "-":
        _check_summary_path(Path(json), jobs)
    return UpscaleRequest(
        jobs=jobs,
        sizes=sizes,
        output_size=output_size,
        smallest=smallest if output_size.scale else None,
        method=method,
        is_network=method not in RESAMPLERS,
        tile=tile,
        ensemble=ensemble,
        max_input_pixels=max_input_pixels,
        resume=resume,
        json=json,
    )


def _method(method: str | None, weights_name: str | None, ensemble: bool) -> str:
    """The name of a resampling method, or the name or file of weights."""
    if method is not None and weights_name is not None:
        raise InputError(f"--method {method} and --weights {weights_name} exclude each other")
    if method in RESAMPLERS:
        if ensemble:
            raise InputError(f"--ensemble is for networks, not for --method {method}")
        return method
    if method is not None and method not in weights.names():
        known = ", ".join((*RESAMPLERS, *weights.names()))
        raise InputError(f"unknown method {method!r}; there are: {known}")
    name = next(name for name in (method, weights_name, weights.DEFAULT) if name is not None)
    weights.find(name)
    return name


def _measured(job: Job, output_size: OutputSize, max_pixels: int) -> tuple[Size, Size]:
    """Reads (rows, cols) of an image, and works out those of its result."""
    size_in = imagefile.read_size(job.input, max_pixels=max_pixels)
    try:
        return size_in, output_size.size_for(size_in)
    except InputError as error:
        raise InputError(f"{job.input}: {error}") from error


def _image_job(source: Path, target: Path | None, label: str, format: str | None) -> Job:
    """The job of a request for one image.

    Args:
      source: IN.
      target: OUT, an image or a folder; None: beside IN.
      label: see `OutputSize.label`.
      format: extension of a result whose name is not given; None: that of IN, or .png.

    Raises:
      InputError: OUT cannot be.
    """
    kind = None if format is None else imagefile.output_format(source, format)
    if target is None:
        target = source.with_name(f"{source.stem}_{label}{_suffix(source, format)}")
    elif target.is_dir():
        target = target / f"{source.stem}{_suffix(source, format)}"
    elif kind is not None and imagefile.output_format(target) != kind:
        raise InputError(f"--format {format} contradicts the name {target}")
    if target.exists() and target.samefile(source):
        raise InputError(f"the output {target} is the input; name another")
    return Job(source, target)


def _folder_jobs(
    source: Path, target: Path | None, label: str, format: str | None, recursive: bool
) -> tuple[Job, ...]:
    """The jobs of a request for a folder, in the order of paths.

    Args:
      source, target, label, format: see `_image_job`.
      recursive: whether images of subfolders are meant, too.

    Raises:
      InputError: OUT cannot be, or there is nothing to do.
    """
    if format is not None:
        imagefile.output_format(source, format)
    if target is None:
        whole = source if source.name not in ("", "..") else source.resolve()
        target = whole.with_name(f"{whole.name}_{label}")
    if target.exists() and not target.is_dir():
        raise InputError(f"{source} is a folder, so the output must be one; {target} is a file")
    origin, into = source.resolve(), target.resolve()
    if into == origin:
        raise InputError(f"the output {target} is the input folder; name another")
    images = imagefile.find_images(source, recursive)
    inside = origin in into.parents
    guarded = inside or into in origin.parents
    if inside:
        # Results of an earlier run into a folder inside IN are no images to upscale.
        images = [path for path in images if into not in path.resolve().parents]
    if not images:
        raise InputError(f"no images in {source} but those in the output folder {target}")
    jobs = tuple(
        Job(image, target / name, guarded) for image, name in _named(source, images, format)
    )
    _check_distinct(jobs)
    return jobs


def _named(source: Path, images: list[Path], format: str | None) -> list[tuple[Path, Path]]:
    """Each image of a folder with the name of its result, within OUT."""
    names = [path.relative_to(source).with_suffix(_suffix(path, format)) for path in images]
    count = Counter(str(name).lower() for name in names)
    return [
        # a.jpg and a.tif, both to become a.png
        (path, name.with_stem(f"{name.stem}_{path.suffix[1:]}"))
        if count[str(name).lower()] > 1
        else (path, name)
        for path, name in zip(images, names, strict=True)
    ]


def _check_distinct(jobs: tuple[Job, ...]) -> None:
    """Raises InputError where two images become one file, or an output is an input."""
    owners: dict[str, Path] = {}
    for job in jobs:
        other = owners.setdefault(str(job.output).lower(), job.input)
        if other != job.input:
            raise InputError(f"{other} and {job.input} would both become {job.output}; rename one")
    inputs = {os.path.realpath(job.input) for job in jobs}
    for job in jobs:
        if os.path.realpath(job.output) in inputs:
            raise InputError(f"the output {job.output} is one of the inputs; name another folder")


def _check_summary_path(path: Path, jobs: tuple[Job, ...]) -> None:
    """Raises InputError unless a summary can be written there without touching an image."""
    check_file(path)
    taken = {
        os.path.realpath(p) for job in jobs for p in (job.input, job.output, job.output.parent)
    }
    if os.path.realpath(path) in taken:
        raise InputError(f"the summary {path} is one of the images or folders; name another file")


def _suffix(source: Path, format: str | None) -> str:
    """The extension of a result whose name is not given: `format`, the input's, or .png."""
    if format is not None:
        return "." + format.lower().removeprefix(".")
    try:
        imagefile.output_format(source)
    except InputError:
        return ".png"
    return source.suffix
