"""Progress of a compile on standard error: a live table of the specs at work, or one line a step where none watches."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from infc.pipeline.compile_many import Watcher


@contextmanager
def compile_progress(names: Sequence[str]) -> Iterator[Watcher]:
    """What `compile_many` tells its progress to, for the block. `names` are the specs in order."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _Lines(names)
        return
    from rich.console import Console
    from rich.live import Live

    table = _LiveTable(names)
    with Live(console=Console(stderr=True, highlight=False), get_renderable=table.render, transient=True):
        yield table


class _Lines:
    """A line for each step, with the spec's name where there are several."""

    def __init__(self, names: Sequence[str]) -> None:
        self._prefixes = [f"{name}: " for name in names] if len(names) > 1 else [""]
        self._left = len(names)
        self._guard = threading.Lock()

    def announce(self, index: int, line: str) -> None:
        """Print it."""
        click.echo(self._prefixes[index] + line, err=True)

    def progress(self, index: int, what: str, done: int, total: int) -> None:
        """Nothing: a bar needs a terminal."""

    def finished(self, index: int, exit_code: int) -> None:
        """Say so where there are several."""
        with self._guard:
            self._left -= 1
            if len(self._prefixes) > 1:
                how = "done" if exit_code == 0 else f"failed (exit code {exit_code})"
                click.echo(f"{self._prefixes[index]}{how}, {self._left} to go", err=True)


class _LiveTable:
    """A row for each spec at work, and below it how many are done."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._steps: dict[int, str] = {}
        self._shares: dict[int, str] = {}
        self._started_s: dict[int, float] = {}
        self._done = 0
        self._failed = 0
        self._guard = threading.Lock()

    def announce(self, index: int, line: str) -> None:
        """Show it as what the spec does now."""
        with self._guard:
            self._started_s.setdefault(index, time.monotonic())
            self._steps[index] = line
            self._shares.pop(index, None)

    def progress(self, index: int, what: str, done: int, total: int) -> None:
        """Show the share beside the step."""
        with self._guard:
            self._started_s.setdefault(index, time.monotonic())
            self._shares[index] = f"{what} {done:,} of {total:,}" if done < total else ""

    def finished(self, index: int, exit_code: int) -> None:
        """Take its row away."""
        with self._guard:
            self._done += 1
            self._failed += exit_code != 0
            for known in (self._steps, self._shares, self._started_s):
                known.pop(index, None)

    def render(self) -> Table:
        """The table as it is now; rich asks for it several times a second."""
        from rich.table import Table
        from rich.text import Text

        now_s = time.monotonic()
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
        table.add_column(no_wrap=True, justify="right")
        with self._guard:
            for index, started_s in sorted(self._started_s.items()):
                step = self._shares.get(index) or self._steps.get(index, "")
                table.add_row(Text(self._names[index]), Text(step), f"{now_s - started_s:.0f} s")
            if len(self._names) > 1:
                failed = f", {self._failed} failed" if self._failed else ""
                table.add_row("", Text(f"{self._done} of {len(self._names)} specs done{failed}"), "")
        return table
