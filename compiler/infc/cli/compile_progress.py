"""Progress of a compile on standard error: one line a step, and a bar while data runs through a model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Announce = Callable[[str], None]
ProgressBar = Callable[[str, int, int], None]


@contextmanager
def compile_progress() -> Iterator[tuple[Announce, ProgressBar]]:
    """Two callbacks for the block: one takes a line about a step, one takes what runs, how much is done, of how much.

    Without a terminal there is no bar: steps are lines.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _line, _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, visible=done < total)

        yield lambda line: bars.console.print(line, style="dim", markup=False), update


def _line(text: str) -> None:
    click.echo(text, err=True)


def _nothing(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""
