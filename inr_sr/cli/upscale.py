"""`inr-sr upscale`: one image, or all of a folder."""

import argparse
import functools
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inr_sr import imagefile, weights
from inr_sr.cli import arguments as types
from inr_sr.cli.request import RESAMPLERS, Job, OutputSize, UpscaleRequest, make_request
from inr_sr.cli.summary import Outcome, progress, show_path, write_summary
from inr_sr.errors import FAILED, InputError, Parser, say
from inr_sr.sizes import MAX_OUTPUT_PIXELS, Size

if TYPE_CHECKING:
    from inr_sr.upscaling import StripUpscaler

_DESCRIPTION = """\
Enlarges an image, or all images of a folder, to any size.

Without OUT the result lies beside IN and is named after the request: photo_x3.7.jpg,
photo_1920x1080.jpg, photo_w1920.jpg, photos_x3.7/. Where OUT is a folder, results keep the names of
their images. Formats that cannot be written (GIF, AVIF, ...) become PNG. Earlier results are
replaced, the images of IN never; where OUT lies in IN, or IN in OUT, no other file is either.
"""
_EPILOG = """\
exit codes: 0 all done, 1 some images of a folder failed, 2 a mistake in the request

An axis that shrinks is antialiased bicubic resampling of the network's x1 result. Alpha is
resampled (bicubic, or as --method says). Compiled programs are kept in JAX_COMPILATION_CACHE_DIR,
by default a folder inr_sr in the user's cache folder.
"""


def add_command(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the command to argparse's subparsers."""
    upscale = commands.add_parser(
        "upscale",
        help="enlarge an image or a folder of images",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    upscale.set_defaults(run=_upscale)
    add = upscale.add_argument
    add("input", metavar="IN", type=types.path, help="image or folder")
    add("output", metavar="OUT", type=types.path, nargs="?", help="image or folder")
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
    add("--method", metavar="NAME", help=f"{', '.join(RESAMPLERS)}, or a name of weights")
    add("--ensemble", action="store_true", help="mean of 8 flips and rotations: 8 times as long")
    add(
        "--tile",
        metavar="auto|N|0",
        type=types.tile,
        default="auto",
        help="longest side of a tile in pixels of IN, to save memory; 0: the whole image",
    )
    add("--format", metavar="EXT", help="format of results whose names are not given, such as png")
    add("--recursive", action="store_true", help="subfolders too; OUT is given the same ones")
    add("--resume", action="store_true", help="skip images whose result is there and complete")
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
    request = _request(arguments)
    upscaler = _upscaler(request)
    if request.smallest is not None:  # too large for one pixel is too large for all
        upscaler.check_size((1, 1), request.smallest)
    outcomes = []
    with progress(request.jobs) as show:
        for number, job in enumerate(request.jobs):
            outcomes.append(_attempt(job, request, upscaler, functools.partial(show, number)))
            if outcomes[-1].status == "written" and request.json != "-":
                show_path(job.output)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        name = str(outcome.job.input)
        say(f"failed: {'' if name in str(outcome.error) else f'{name}: '}{outcome.error}")
    if failed:
        say(f"{len(failed)} of {len(outcomes)} images failed")
    if request.json is not None:
        write_summary(request.json, outcomes, upscaler.name, time.perf_counter() - start)
    return FAILED if failed else 0


def _request(arguments: argparse.Namespace) -> UpscaleRequest:
    return make_request(
        arguments.input,
        arguments.output,
        OutputSize(
            arguments.scale,
            arguments.size,
            arguments.width,
            arguments.height,
            None if arguments.yes else MAX_OUTPUT_PIXELS,
        ),
        method=arguments.method,
        weights_name=arguments.weights,
        tile=arguments.tile,
        ensemble=arguments.ensemble,
        format=arguments.format,
        recursive=arguments.recursive,
        max_input_pixels=sys.maxsize if arguments.yes else imagefile.MAX_PIXELS,
        resume=arguments.resume,
        json=arguments.json,
    )


def _upscaler(request: UpscaleRequest) -> "StripUpscaler":
    with _without_collecting():
        from inr_sr import devices, upscaling
    if not request.is_network:
        return upscaling.ResampleUpscaler(request.method)
    devices.keep_compiled_programs()
    return upscaling.load(request.method, tile=request.tile, ensemble=request.ensemble)


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
    job: Job, request: UpscaleRequest, upscaler: "StripUpscaler", show: Callable[[float], None]
) -> Outcome:
    """Upscales one image; of a folder, an image that fails does not end the run."""
    start = time.perf_counter()
    outcome = Outcome(job)
    show(0.0)
    try:
        _run(outcome, request, upscaler, show)
    except (InputError, MemoryError, OSError) as error:
        if not request.is_folder:
            raise
        outcome.error = " ".join(str(error).split()) or type(error).__name__
    outcome.seconds = time.perf_counter() - start
    return outcome


def _run(
    outcome: Outcome,
    request: UpscaleRequest,
    upscaler: "StripUpscaler",
    show: Callable[[float], None],
) -> None:
    from inr_sr.upscaling import enlarged_blocks

    job = outcome.job
    outcome.sizes = request.sizes_of(job)
    _, size = outcome.sizes
    if request.resume and imagefile.is_result(job.output, size):
        outcome.status = "skipped"
        return
    if job.guarded:
        _check_replaceable(job.output, size)
    image = imagefile.read(job.input, max_pixels=request.max_input_pixels)
    if request.is_folder:
        job.output.parent.mkdir(parents=True, exist_ok=True)  # OUT of a folder need not exist
        imagefile.check_writable(job.output, size=size)
    try:
        blocks = enlarged_blocks(upscaler, image, size, lambda done: show(done / size[0]))
    except InputError as error:
        raise InputError(f"{job.input}: {error}") from error
    with closing(blocks), imagefile.writer(job.output, image, size) as file:
        for block in blocks:
            file.write(block)
    outcome.status = "written"


def _check_replaceable(output: Path, size: Size) -> None:
    """Raises InputError where the output is there and does not look like a result before."""
    if output.exists() and imagefile.read_size(output, max_pixels=sys.maxsize) != size:
        raise InputError(f"{output} is there and is no earlier result; name another OUT")
