"""What is to be done: which picture becomes which file."""

import argparse
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inr_sr import imagefile
from inr_sr.errors import InputError
from inr_sr.sizes import scale_label


@dataclass
class Job:
    """One picture to enlarge, and how it went."""

    input: Path
    output: Path
    guarded: bool = False  # where OUT may hold originals, only an earlier result is replaced
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
            scales = [round(o / i, 5) for i, o in zip(self.size_in, self.size_out, strict=True)]
            fields["size_in"], fields["size_out"] = self.size_in[::-1], self.size_out[::-1]
            fields["scale"] = scale_label(*scales)
        fields["seconds"] = round(self.seconds, 3)
        return fields if self.error is None else fields | {"error": self.error}


def file_job(arguments: argparse.Namespace) -> Job:
    """The job of a request for one picture; InputError where OUT cannot be."""
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
    return Job(source, target)


def folder_jobs(arguments: argparse.Namespace) -> list[Job]:
    """The jobs of a request for a folder, in the order of paths; InputError where OUT cannot be."""
    source, target = arguments.input, arguments.output
    if target is None:
        whole = source if source.name not in ("", "..") else source.resolve()
        target = whole.with_name(f"{whole.name}_{_label(arguments)}")
    if target.exists() and not target.is_dir():
        raise InputError(f"{source} is a folder, so the output must be one; {target} is a file")
    origin, into = source.resolve(), target.resolve()
    if into == origin:
        raise InputError(f"the output {target} is the input folder; name another")
    pictures = imagefile.find_images(source, arguments.recursive)
    inside = origin in into.parents
    guarded = inside or into in origin.parents
    if inside:
        # Results of an earlier run into a folder inside IN are no pictures to enlarge.
        pictures = [p for p in pictures if into not in p.resolve().parents]
    if not pictures:
        raise InputError(f"no pictures in {source} but those in the output folder {target}")
    names = [p.relative_to(source).with_suffix(_suffix(p, arguments.format)) for p in pictures]
    count = Counter(str(name).lower() for name in names)
    jobs = []
    for picture, name in zip(pictures, names, strict=True):
        if count[str(name).lower()] > 1:  # a.jpg and a.tif, both to become a.png
            name = name.with_stem(f"{name.stem}_{picture.suffix[1:]}")
        jobs.append(Job(picture, target / name, guarded))
    owners: dict[str, Path] = {}
    for job in jobs:
        other = owners.setdefault(str(job.output).lower(), job.input)
        if other != job.input:
            raise InputError(f"{other} and {job.input} would both become {job.output}; rename one")
    inputs = {os.path.realpath(job.input) for job in jobs}
    for job in jobs:
        if os.path.realpath(job.output) in inputs:
            raise InputError(f"the output {job.output} is one of the inputs; name another folder")
    return jobs


def _label(arguments: argparse.Namespace) -> str:
    """What a result's name says about the request: x3.7, 1920x1080, w1920 or h1080."""
    if arguments.scale is not None:
        return f"x{scale_label(*arguments.scale)}"
    if arguments.size is not None:
        return f"{arguments.size[1]}x{arguments.size[0]}"
    return f"w{arguments.width}" if arguments.width is not None else f"h{arguments.height}"


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
