"""`inr-sr upscale`: one picture, or all of a folder."""

import argparse
import functools
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inr_sr import imagefile, weights
from inr_sr.cli import arguments as types
from inr_sr.cli.jobs import Job, file_job, folder_jobs
from inr_sr.cli.output import check_summary_path, progress, show_path, write_summary
from inr_sr.errors import FAILED, InputError, say
from inr_sr.files import check_folder
from inr_sr.sizes import MAX_OUTPUT_PIXELS, TooManyPixels, target_size

if TYPE_CHECKING:
    from inr_sr.upscaling import StripUpscaler

_DESCRIPTION = """\
Enlarges a picture, or all pictures of a folder, to any size.

Without OUT the result lies beside IN and is named after the request: photo_x3.7.jpg,
photo_1920x1080.jpg, photo_w1920.jpg, photos_x3.7/. Where OUT is a folder, results keep the names of
their pictures. What is not written here (GIF, AVIF, ...) becomes PNG. Earlier results are replaced,
pictures that are read never are; where OUT lies in IN, or IN in OUT, nothing else is either.
"""
_EPILOG = """\
exit codes: 0 all done, 1 some pictures of a folder failed, 2 a mistake in the request

An axis that shrinks is antialiased bicubic resampling of the network's x1 result. Alpha is
resampled (bicubic, or as --method says). Compiled programs are kept in JAX_COMPILATION_CACHE_DIR,
by default a folder inr_sr in the user's cache folder.
"""
_RESAMPLERS = ("bicubic", "lanczos", "nearest", "box")


def add_command(commands: Any) -> None:
    """Adds the command to argparse's subparsers."""
    upscale = commands.add_parser(
        "upscale",
        help="enlarge a picture or a folder of pictures",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    upscale.set_defaults(run=_upscale)
    add = upscale.add_argument
    add("input", metavar="IN", type=types.path, help="picture or folder")
    add("output", metavar="OUT", type=types.path, nargs="?", help="picture or folder")
    sizes = upscale.add_mutually_exclusive_group(required=True)
    sizes.add_argument(
        "--scale", metavar="S", type=types.scale, help="such as 4, 3.7, or 2x3.5: rows x columns"
    )
    sizes.add_argument("--size", metavar="WxH", type=types.size, help="width x height in pixels")
    sizes.add_argument("--width", metavar="N", type=types.count, help="in pixels; height to match")
    sizes.add_argument("--height", metavar="N", type=types.count, help="in pixels; width to match")
    add(
        "--weights",
        metavar="NAME|FILE",
        help=f"weights of the package, or a {weights.SUFFIX} file (default: {weights.DEFAULT})",
    )
    add("--method", metavar="NAME", help=f"{', '.join(_RESAMPLERS)}, or a name of weights")
    add("--ensemble", action="store_true", help="mean of 8 flips and rotations: 8 times as long")
    add(
        "--tile",
        metavar="auto|N|0",
        type=types.tile,
        default="auto",
        help="longest side of a tile in pixels of IN, to save memory; 0: the whole picture",
    )
    add("--format", metavar="EXT", help="format of results whose names are not given, such as png")
    add("--recursive", action="store_true", help="subfolders too; OUT is given the same ones")
    add("--resume", action="store_true", help="skip pictures whose result is there and complete")
    add(
        "--yes",
        action="store_true",
        help="allow results above 1 gigapixel, and IN above 250 megapixels",
    )
    add(
        "--json",
        metavar="FILE|-",
        help="write a summary to a file named ....json, or (also --json alone) to stdout in place "
        "of the paths",
    )


def _upscale(arguments: argparse.Namespace) -> int:
    start = time.perf_counter()
    if not arguments.input.exists():
        raise InputError(f"there is no file or folder {arguments.input}")
    method = _method(arguments)
    if arguments.input.is_dir():
        jobs = folder_jobs(arguments)
        if arguments.size or arguments.scale:  # too large for one pixel is too large for all
            _target_size((1, 1), arguments)
    else:
        jobs = [file_job(arguments)]
        _plan(jobs[0], arguments)
        imagefile.check_writable(jobs[0].output, size=jobs[0].size_out)
    if arguments.json not in (None, "-"):
        check_summary_path(Path(arguments.json), jobs)
    upscaler = _upscaler(method, arguments)
    if arguments.input.is_dir():
        if arguments.scale:
            upscaler.check_size((1, 1), _target_size((1, 1), arguments))
        check_folder(jobs[0].output.parent)
    with progress(jobs) as show:
        for number, job in enumerate(jobs):
            _attempt(job, arguments, upscaler, functools.partial(show, number))
            if job.status == "written" and arguments.json != "-":
                show_path(job.output)
    failed = [job for job in jobs if job.status == "failed"]
    for job in failed:
        prefix = "" if str(job.input) in str(job.error) else f"{job.input}: "
        say(f"failed: {prefix}{job.error}")
    if failed:
        say(f"{len(failed)} of {len(jobs)} pictures failed")
    if arguments.json is not None:
        write_summary(arguments.json, jobs, upscaler.name, time.perf_counter() - start)
    return FAILED if failed else 0


def _method(arguments: argparse.Namespace) -> str:
    """The name of a resampling method, or the name or file of weights."""
    method, chosen = arguments.method, arguments.weights
    if method is not None and chosen is not None:
        raise InputError(f"--method {method} and --weights {chosen} exclude each other")
    if method in _RESAMPLERS:
        if arguments.ensemble:
            raise InputError(f"--ensemble is for networks, not for --method {method}")
        return str(method)
    if method is not None and method not in weights.names():
        known = ", ".join((*_RESAMPLERS, *weights.names()))
        raise InputError(f"unknown method {method!r}; there are: {known}")
    name = next(name for name in (method, chosen, weights.DEFAULT) if name is not None)
    weights.find(name)
    return name


def _plan(job: Job, arguments: argparse.Namespace) -> None:
    """Reads the picture's size and works out the result's."""
    size_in = imagefile.read_size(job.input, max_pixels=_most_read(arguments))
    try:
        job.size_out = _target_size(size_in, arguments)
    except InputError as error:
        raise InputError(f"{job.input}: {error}") from error
    job.size_in = size_in


def _target_size(size_in: tuple[int, int], arguments: argparse.Namespace) -> tuple[int, int]:
    try:
        return target_size(
            size_in,
            size=arguments.size,
            scale=arguments.scale,
            width=arguments.width,
            height=arguments.height,
            max_pixels=None if arguments.yes else MAX_OUTPUT_PIXELS,
        )
    except TooManyPixels as error:
        raise InputError(f"{error}; --yes allows it") from error


def _most_read(arguments: argparse.Namespace) -> int:
    return sys.maxsize if arguments.yes else imagefile.MAX_PIXELS


def _upscaler(method: str, arguments: argparse.Namespace) -> "StripUpscaler":
    with _without_collecting():
        from inr_sr import devices, upscaling
    if method in _RESAMPLERS:
        return upscaling.ResampleUpscaler(method)
    devices.keep_compiled_programs()
    return upscaling.load(method, tile=arguments.tile, ensemble=arguments.ensemble)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """For imports, which make very many objects and no garbage (docs/startup.md)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor is it looked for among them later, or at the end
        gc.enable()


def _attempt(
    job: Job,
    arguments: argparse.Namespace,
    upscaler: "StripUpscaler",
    show: Callable[[float], None],
) -> None:
    """Enlarges one picture; in a folder run a failure is noted and does not end the run."""
    start = time.perf_counter()
    show(0.0)
    try:
        _run(job, arguments, upscaler, show)
    except (InputError, MemoryError, OSError) as error:
        if not arguments.input.is_dir():
            raise
        job.error = " ".join(str(error).split()) or type(error).__name__
    job.seconds = time.perf_counter() - start


def _run(
    job: Job,
    arguments: argparse.Namespace,
    upscaler: "StripUpscaler",
    show: Callable[[float], None],
) -> None:
    from inr_sr.upscaling import enlarged_blocks

    _plan(job, arguments)
    assert job.size_out is not None
    if arguments.resume and imagefile.is_result(job.output, job.size_out):
        job.status = "skipped"
        return
    if job.guarded:
        _check_replaceable(job)
    rows = job.size_out[0]
    picture = imagefile.read(job.input, max_pixels=_most_read(arguments))
    job.output.parent.mkdir(parents=True, exist_ok=True)  # OUT of a folder need not exist
    imagefile.check_writable(job.output, size=job.size_out)
    try:
        blocks = enlarged_blocks(upscaler, picture, job.size_out, lambda done: show(done / rows))
    except InputError as error:
        raise InputError(f"{job.input}: {error}") from error
    imagefile.write_blocks(job.output, picture, job.size_out, blocks)
    job.status = "written"


def _check_replaceable(job: Job) -> None:
    """Raises InputError where the output is there and does not look like a result before."""
    if not job.output.exists():
        return
    if imagefile.read_size(job.output, max_pixels=sys.maxsize) != job.size_out:
        raise InputError(f"{job.output} is there and is no earlier result; name another OUT")
