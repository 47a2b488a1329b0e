"""The command `inr-sr`.

Exit codes: 0 all done, 1 some pictures failed, 2 a mistake in the request, 130 interrupted.
Messages go to stderr, results to stdout: the path of each picture written, or the JSON summary.
JAX is imported once the request is known to be right, so that mistakes are answered at once.
"""

import argparse
import functools
import json
import math
import os
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from inr_sr import imagefile, weights
from inr_sr.errors import InputError

if TYPE_CHECKING:
    from inr_sr.upscaling import StripUpscaler

_DESCRIPTION = """\
Enlarges a picture, or all pictures of a folder, to any size.

Without OUT the result lies beside IN and is named after the request: photo_x3.7.jpg,
photo_1920x1080.jpg, photo_w1920.jpg, photos_x3.7/. Where OUT is a folder, results keep the names of
their pictures. What is not written here (GIF, AVIF, ...) becomes PNG. Earlier results are replaced,
pictures that are read never are.
"""
_EPILOG = """\
exit codes: 0 all done, 1 some pictures of a folder failed, 2 a mistake in the request

An axis that shrinks is antialiased bicubic resampling of the network's x1 result. Alpha is
resampled (bicubic, or as --method says). Compiled programs are kept in JAX_COMPILATION_CACHE_DIR,
by default a folder inr_sr in the user's cache folder.
"""
_RESAMPLERS = ("bicubic", "lanczos", "nearest", "box")
_DEFAULT_WEIGHTS = "compact"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
      argv: arguments without the program's name; by default those of the process.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
            arguments = _parser().parse_args(_join_json(sys.argv[1:] if argv is None else argv))
            return int(arguments.run(arguments))
    except InputError as error:
        _say(f"error: {error}")
        return 2
    except MemoryError as error:
        _say(f"error: out of memory: {error}")
        return 1
    except OSError as error:  # a name too long, a folder that may not be read
        _say(f"error: {error.filename or 'output'}: {error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        _say("interrupted")
        return 130


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- the request ---------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Reports mistakes in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="inr-sr", description="Super-resolution at any scale.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
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
    add("input", metavar="IN", type=Path, help="picture or folder")
    add("output", metavar="OUT", type=Path, nargs="?", help="picture or folder")
    sizes = upscale.add_mutually_exclusive_group(required=True)
    sizes.add_argument(
        "--scale", metavar="S", type=_scale, help="such as 4, 3.7, or 2x3.5: rows x columns"
    )
    sizes.add_argument("--size", metavar="WxH", type=_size, help="width x height in pixels")
    sizes.add_argument("--width", metavar="N", type=_count, help="in pixels; height to match")
    sizes.add_argument("--height", metavar="N", type=_count, help="in pixels; width to match")
    add(
        "--weights",
        metavar="NAME|FILE",
        help=f"weights of the package, or a {weights.SUFFIX} file (default: {_DEFAULT_WEIGHTS})",
    )
    add("--method", metavar="NAME", help=f"{', '.join(_RESAMPLERS)}, or a name of weights")
    add("--ensemble", action="store_true", help="mean of 8 flips and rotations: 8 times as long")
    add(
        "--tile",
        metavar="auto|N|0",
        type=_tile,
        default="auto",
        help="longest side of a tile in pixels of IN, to save memory; 0: the whole picture",
    )
    add("--format", metavar="EXT", help="format of results whose names are not given, such as png")
    add("--recursive", action="store_true", help="subfolders too; OUT is given the same ones")
    add("--resume", action="store_true", help="skip pictures whose result is there and complete")
    add("--yes", action="store_true", help="allow results above 1 gigapixel")
    add(
        "--json",
        metavar="FILE|-",
        help="write a summary to a file, or (also --json alone) to stdout in place of the paths",
    )
    return parser


def _join_json(argv: Sequence[str]) -> list[str]:
    """`--json` alone means `--json=-`: it takes the next argument only if that is `-` or .json."""
    joined: list[str] = []
    for argument in argv:
        if joined and joined[-1] == "--json":
            takes = argument == "-" or argument.endswith(".json")
            joined[-1] = f"--json={argument}" if takes else "--json=-"
            if takes:
                continue
        joined.append(argument)
    return ["--json=-" if argument == "--json" else argument for argument in joined]


def _allowed(text: str, value: Any, allowed: bool, expected: str) -> Any:
    if not allowed:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected {expected}")
    return value


def _scale(text: str) -> tuple[float, float]:
    try:
        parts = [float(part) for part in text.lower().split("x")]
    except ValueError:
        parts = []
    allowed = len(parts) in (1, 2) and all(math.isfinite(s) and s > 0 for s in parts)
    return _allowed(text, (*parts, *parts)[:2], allowed, "a scale above 0 such as 4, 3.7 or 2x3.5")


def _count(text: str) -> int:
    allowed = bool(re.fullmatch(r"0*[1-9][0-9]{0,9}", text))
    return _allowed(text, int(text) if allowed else 0, allowed, "a whole number of pixels above 0")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"0*([1-9][0-9]{0,9})[xX]0*([1-9][0-9]{0,9})", text)
    rows, cols = (int(match[2]), int(match[1])) if match else (0, 0)
    return _allowed(text, (rows, cols), match is not None, "WxH in pixels, such as 1920x1080")


def _tile(text: str) -> int | str:
    number = bool(re.fullmatch("[0-9]{1,6}", text))
    allowed = number or text == "auto"
    return _allowed(text, int(text) if number else text, allowed, "auto, 0 or a number of pixels")


def _label(arguments: argparse.Namespace) -> str:
    """What a result's name says about the request: x3.7, 1920x1080, w1920 or h1080."""
    if arguments.scale is not None:
        by_row, by_col = (f"{s:.10g}" for s in arguments.scale)
        return f"x{by_row}" if by_row == by_col else f"x{by_row}x{by_col}"
    if arguments.size is not None:
        return f"{arguments.size[1]}x{arguments.size[0]}"
    return f"w{arguments.width}" if arguments.width is not None else f"h{arguments.height}"


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
    name = str(method or chosen or _DEFAULT_WEIGHTS)
    weights.find(name)
    return name


# --- what is to be done --------------------------------------------------------------------------


@dataclass
class _Job:
    """One picture to enlarge, and how it went."""

    input: Path
    output: Path
    status: str = "failed"
    size_in: tuple[int, int] | None = None  # (rows, cols)
    size_out: tuple[int, int] | None = None
    seconds: float = 0.0
    error: str | None = None

    def summary(self) -> dict[str, Any]:
        """For JSON; sizes are [width, height] and the scale is as `eval.py` writes it."""
        fields: dict[str, Any] = {
            "input": str(self.input),
            "output": str(self.output),
            "status": self.status,
        }
        if self.size_in and self.size_out:
            by_row, by_col = (
                f"{n_out / n_in:.6g}"
                for n_in, n_out in zip(self.size_in, self.size_out, strict=True)
            )
            fields["size_in"], fields["size_out"] = self.size_in[::-1], self.size_out[::-1]
            fields["scale"] = by_row if by_row == by_col else f"{by_row}x{by_col}"
        fields["seconds"] = round(self.seconds, 3)
        return fields if self.error is None else fields | {"error": self.error}


def _file_job(arguments: argparse.Namespace) -> _Job:
    source, target = arguments.input, arguments.output
    suffix = _suffix(source, arguments.format)
    if target is None:
        target = source.with_name(f"{source.stem}_{_label(arguments)}{suffix}")
    elif target.is_dir():
        target = target / f"{source.stem}{suffix}"
    elif arguments.format is not None:
        kind = imagefile.output_format(target, arguments.format)
        if imagefile.output_format(target) != kind:
            raise InputError(f"--format {arguments.format} contradicts the name {target}")
    if target.exists() and target.samefile(source):
        raise InputError(f"the output {target} is the input; name another")
    return _Job(source, target)


def _folder_jobs(arguments: argparse.Namespace) -> list[_Job]:
    source, target = arguments.input, arguments.output
    if target is None:
        whole = source if source.name not in ("", "..") else source.resolve()
        target = whole.with_name(f"{whole.name}_{_label(arguments)}")
    if target.exists() and not target.is_dir():
        raise InputError(f"{source} is a folder, so the output must be one; {target} is a file")
    if target.resolve() == source.resolve():
        raise InputError(f"the output {target} is the input folder; name another")
    pictures = imagefile.find_images(source, arguments.recursive)
    # Results of an earlier run into a folder inside IN are no pictures to enlarge.
    pictures = [p for p in pictures if target.resolve() not in p.resolve().parents]
    if not pictures:
        raise InputError(f"no pictures in {source} but those in the output folder {target}")
    names = [p.relative_to(source).with_suffix(_suffix(p, arguments.format)) for p in pictures]
    count = Counter(str(name).lower() for name in names)
    jobs = []
    for picture, name in zip(pictures, names, strict=True):
        if count[str(name).lower()] > 1:  # a.jpg and a.tif, both to become a.png
            name = name.with_stem(f"{name.stem}_{picture.suffix[1:]}")
        jobs.append(_Job(picture, target / name))
    inputs = {os.path.realpath(job.input) for job in jobs}
    for job in jobs:
        if os.path.realpath(job.output) in inputs:
            raise InputError(f"the output {job.output} is one of the inputs; name another folder")
    return jobs


def _suffix(source: Path, format: str | None) -> str:
    """The extension of a result whose name is not given: as asked, as the input, or .png."""
    if format is not None:
        imagefile.output_format(source, format)
        return "." + format.lower().removeprefix(".")
    try:
        imagefile.output_format(source)
    except InputError:
        return ".png"
    return source.suffix


# --- doing it ------------------------------------------------------------------------------------


def _upscale(arguments: argparse.Namespace) -> int:
    start = time.perf_counter()
    if not arguments.input.exists():
        raise InputError(f"there is no file or folder {arguments.input}")
    method = _method(arguments)
    if arguments.input.is_dir():
        jobs = _folder_jobs(arguments)
    else:
        jobs = [_file_job(arguments)]
        _plan(jobs[0], arguments)
        imagefile.check_writable(jobs[0].output, size=jobs[0].size_out)
    if arguments.json not in (None, "-"):
        _check_summary_path(Path(arguments.json), jobs)
    upscaler = _upscaler(method, arguments)
    if arguments.input.is_dir():
        _make_folder(jobs)
    with _progress(jobs) as show:
        for number, job in enumerate(jobs):
            _attempt(job, arguments, upscaler, functools.partial(show, number))
            if job.status == "written" and arguments.json != "-":
                print(job.output, flush=True)
    failed = [job for job in jobs if job.status == "failed"]
    for job in failed:
        prefix = "" if str(job.input) in str(job.error) else f"{job.input}: "
        _say(f"failed: {prefix}{job.error}")
    if failed:
        _say(f"{len(failed)} of {len(jobs)} pictures failed")
    if arguments.json is not None:
        _write_summary(arguments.json, jobs, upscaler.name, time.perf_counter() - start)
    return 1 if failed else 0


def _plan(job: _Job, arguments: argparse.Namespace) -> None:
    """Reads the picture's size and works out the result's."""
    size_in = imagefile.read_size(job.input)
    from inr_sr.upscaling import MAX_OUTPUT_PIXELS, target_size

    try:
        job.size_out = target_size(
            size_in,
            size=arguments.size,
            scale=arguments.scale,
            width=arguments.width,
            height=arguments.height,
            max_pixels=None if arguments.yes else MAX_OUTPUT_PIXELS,
        )
    except InputError as error:
        hint = " (--yes allows it)" if "gigapixels" in str(error) else ""
        raise InputError(f"{job.input}: {error}{hint}") from error
    job.size_in = size_in


def _upscaler(method: str, arguments: argparse.Namespace) -> "StripUpscaler":
    from inr_sr import devices, upscaling

    if method in _RESAMPLERS:
        return upscaling.ResampleUpscaler(method)
    devices.keep_compiled_programs()
    return upscaling.load(method, tile=arguments.tile, ensemble=arguments.ensemble)


def _make_folder(jobs: Sequence[_Job]) -> None:
    for folder in dict.fromkeys(job.output.parent for job in jobs):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror}") from error
    imagefile.check_writable(jobs[0].output)


def _attempt(
    job: _Job,
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
    job: _Job,
    arguments: argparse.Namespace,
    upscaler: "StripUpscaler",
    show: Callable[[float], None],
) -> None:
    from inr_sr.upscaling import enlarge

    _plan(job, arguments)
    assert job.size_out is not None
    if arguments.resume and _complete(job):
        job.status = "skipped"
        return
    rows = job.size_out[0]
    imagefile.check_writable(job.output, size=job.size_out)
    picture = imagefile.read(job.input)
    try:
        larger = enlarge(upscaler, picture, job.size_out, lambda done: show(done / rows))
    except InputError as error:
        raise InputError(f"{job.input}: {error}") from error
    imagefile.write(job.output, larger)
    job.status = "written"


def _complete(job: _Job) -> bool:
    """Whether the result is there, has the size asked for and can be decoded to its end."""
    if not job.output.exists():
        return False
    try:
        return imagefile.read(job.output, max_pixels=sys.maxsize).size == job.size_out
    except InputError:
        return False


@contextmanager
def _progress(jobs: Sequence[_Job]) -> Iterator[Callable[[int, float], None]]:
    """A bar on stderr if that is a terminal; told the picture's number and the fraction done."""
    if not sys.stderr.isatty():
        yield lambda number, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # Only what ends on the same screen may pass through the bar's console, which is stderr.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task("", total=len(jobs))

        def show(number: int, done: float) -> None:
            count = f" ({number + 1} of {len(jobs)})" if len(jobs) > 1 else ""
            name = jobs[number].input.name.replace("[", r"\[")
            bar.update(task, completed=number + done, description=f"{name}{count}")

        yield show


def _check_summary_path(path: Path, jobs: Sequence[_Job]) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"cannot write the summary {path}: it is a folder, or in none")
    taken = {os.path.realpath(p) for job in jobs for p in (job.input, job.output)}
    if os.path.realpath(path) in taken:
        raise InputError(f"the summary {path} is one of the pictures; name another file")


def _write_summary(path: str, jobs: Sequence[_Job], method: str, seconds: float) -> None:
    count = Counter(job.status for job in jobs)
    summary = {
        "method": method,
        **{status: count[status] for status in ("written", "skipped", "failed")},
        "seconds": round(seconds, 3),
        "files": [job.summary() for job in jobs],
    }
    text = json.dumps(summary, indent=2)
    if path == "-":
        print(text)
        return
    try:
        with imagefile.atomic_path(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the summary {path}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
