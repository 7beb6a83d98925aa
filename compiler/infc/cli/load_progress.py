"""Progress of a load test on standard error: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from infc.validate.load import LoadProgress

_LINE_EVERY_S = 5.0


@contextmanager
def load_progress() -> Iterator[Callable[[LoadProgress], None]]:
    """A callback that shows progress while the block runs."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _bar() as update:
            yield update
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[LoadProgress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.fields[phase]:<9}"), BarColumn(bar_width=24), TextColumn("{task.description}"))
    # Drawn only when told to: a drawing thread would take processor time from what is measured.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=1.0, phase="")

        def update(state: LoadProgress) -> None:
            progress.update(
                task,
                total=state.budget_s,
                completed=min(state.elapsed_s, state.budget_s),
                description=_words(state),
                phase=state.phase.value,
                refresh=True,
            )

        yield update


def _lines() -> Callable[[LoadProgress], None]:
    next_s = 0.0

    def update(state: LoadProgress) -> None:
        nonlocal next_s
        if state.elapsed_s >= next_s:
            next_s = state.elapsed_s + _LINE_EVERY_S
            click.echo(f"{state.phase.value}: {_words(state)}", err=True)

    return update


def _words(state: LoadProgress) -> str:
    parts = [f"{state.elapsed_s:.0f} of at most {state.budget_s:.0f} s", f"{state.answered} answered"]
    if state.outstanding > 0:
        parts.append(f"{state.outstanding} waiting")
    if state.errors:
        parts.append(f"{state.errors} errors")
    for label, seconds in state.now_s.items():
        verdict = state.verdicts.get(label)
        settled = f" ({verdict.value})" if verdict is not None and verdict.value != "inconclusive" else ""
        parts.append(f"{label} {seconds * 1e3:.1f} ms{settled}")
    return ", ".join(parts)
