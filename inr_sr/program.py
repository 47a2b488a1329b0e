"""What train.py and eval.py share: flags, and one-line errors on stderr."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import jax
from absl import flags
from ml_collections import ConfigDict

import __main__
from inr_sr.config import MOVED, RENAMED, default, renamed
from inr_sr.errors import EXPECTED, MISTAKE, InputError, explain
from inr_sr.studies import controls  # noqa: F401 - runs of before may be controls

REPORT_TIMEOUT = 24 * 3600  # seconds that other hosts wait while the first one evaluates


def define_host_flags() -> None:
    """Flags of a job over several hosts; see jax.distributed.initialize."""
    flags.DEFINE_bool("distributed", False, "Join the other hosts of this job before starting.")
    flags.DEFINE_string(
        "coordinator_address", None, "HOST:PORT of process 0; found by itself on known clusters."
    )
    flags.DEFINE_integer("num_processes", None, "Processes of the job, with coordinator_address.")
    flags.DEFINE_integer("process_id", None, "Number of this process, from 0.")


def join_hosts() -> None:
    """Joins the other hosts of the job if the flags say so.

    Raises:
      InputError: flags that contradict each other, or hosts that cannot be reached.
    """
    given = [
        n for n in ("coordinator_address", "num_processes", "process_id") if flags.FLAGS[n].present
    ]
    if not flags.FLAGS.distributed:
        if given:
            raise InputError(f"--{given[0]} needs --distributed")
        return
    try:
        jax.distributed.initialize(
            flags.FLAGS.coordinator_address,
            flags.FLAGS.num_processes,
            flags.FLAGS.process_id,
            shutdown_timeout_seconds=REPORT_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(f"--distributed: {str(error).splitlines()[0]}") from error


def _parse(argv: list[str]) -> None:
    """Parses the flags, config overrides included.

    Raises:
      InputError: an unknown flag or field (with a suggestion), a bad value, a missing file.
    """
    if {"-h", "-help", "--help"} & set(argv):
        own, shared = flags.FLAGS.main_module_help(), flags.FLAGS.module_help(__name__)
        print(__main__.__doc__, own, shared, sep="\n")
        sys.exit(0)
    try:
        rest = flags.FLAGS(argv)[1:]
        if "config" in flags.FLAGS and flags.FLAGS["config"].present:
            # A file that could not be loaded raises only on access.
            if not isinstance(flags.FLAGS.config, ConfigDict):
                raise TypeError("get_config must return a ConfigDict")
            _ = flags.FLAGS.config.model
    except flags.Error as error:
        raise InputError(_line(error)) from error
    except (AttributeError, KeyError) as error:
        # What ml_collections raises for a field that a locked config does not have.
        # The name, in up to two layers of quotes, then a line break that may be escaped.
        field = re.match(r"""[\\'"]*(\w+)[\\'"]*(?:\\n|\n|$)""", str(error.args[0]))
        if field is None:
            raise InputError(f"--config: {_line(error)}") from error
        _refuse_renamed(argv, field[1])
        hint = re.search(r'Did you mean "(\w+)"', str(error.args[0]))
        question = f"; did you mean {hint[1]!r}?" if hint else _siblings(argv, field[1])
        raise InputError(f"unknown config field {field[1]!r}{question}") from error
    except OSError as error:
        given = [(arg.partition("="), after) for arg, after in zip(argv, [*argv[1:], ""])]
        paths = [v or after for (name, _, v), after in given if name.lstrip("-") == "config"]
        path = error.filename or (paths or ["the file"])[-1]
        reason = error.strerror or "no such file"
        raise InputError(f"--config: cannot read {path!r}: {reason}") from error
    except Exception as error:  # a configuration is a program, and may fail in any way
        unknown = re.search(r'Key "(\w+)" does not exist', str(error))
        if unknown:
            _refuse_renamed_key(unknown[1])
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise InputError(f"--config: {reason.strip()}") from error
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; all arguments are --name=value")


def _refuse_renamed(argv: list[str], field: str) -> None:
    """Raises InputError, with the new name, for an argument of an earlier version's field."""
    for argument in argv:
        name = argument.lstrip("-").partition("=")[0].removeprefix("config.")
        current = renamed(name)
        if current is not None and name.split(".")[-1] == field:
            raise InputError(f"config field {name!r} is gone; set {current}")


def _refuse_renamed_key(key: str) -> None:
    """The same for a configuration file, of whose unknown field only the last part is known."""
    for name in (*RENAMED, *MOVED):
        if name.split(".")[-1] == key:
            raise InputError(f"config field {name!r} is gone; set {renamed(name)}")


def _siblings(argv: list[str], field: str) -> str:
    """A note of the fields in the section of an unknown field; "" if the section is unclear."""
    for name in (argument.lstrip("-").partition("=")[0].split(".") for argument in argv):
        if name[0] == "config" and field in name[1:]:
            section = default()
            for part in name[1 : name.index(field)]:
                section = section[part]
            return f"; there are: {', '.join(section)}" if isinstance(section, ConfigDict) else ""
    return ""


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if "Traceback" in str(error):  # quoted by ml_collections; its last line is the reason
        return f"--config: {lines[-1].strip()}"
    return " ".join(" ".join(lines).split())


def command() -> str:
    """The command line as it was given."""
    return shlex.join(["python", *sys.argv])


@contextmanager
def command_line() -> Iterator[None]:
    """Parses the flags before its block; a mistake, there or in the block, becomes one line.

    The process then ends with the mistake's exit code.
    """
    try:
        _parse(sys.argv)
        yield
    except EXPECTED as error:
        code, line = explain(error)
        print(line, file=sys.stderr)
        if code == MISTAKE:  # Orbax leaves threads that would print stack traces of their own
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        sys.exit(code)
