"""How an evaluation shows itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def evaluation_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error where that is a terminal: yields an `evaluate.Progress`."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("evaluating")

        def show(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=f"evaluating {what}")

        yield show
