"""Progress of the plans of many specs, on standard error of a terminal."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_SHOWN_AFTER_S = 1.0
_EVERY_S = 0.1


@contextmanager
def plan_progress(total: int) -> Iterator[Callable[[int], None]]:
    """A callback that takes the number of planned specs; it shows nothing where no one watches, and in short runs."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _: None
        return
    start_s = time.monotonic()
    shown_s = start_s + _SHOWN_AFTER_S - _EVERY_S

    def show(done: int) -> None:
        nonlocal shown_s
        now_s = time.monotonic()
        if now_s - shown_s >= _EVERY_S:
            shown_s = now_s
            click.echo(f"\rplanned {done:,} of {total:,} specs, {now_s - start_s:.0f} s", err=True, nl=False)

    try:
        yield show
    finally:
        if shown_s > start_s + _SHOWN_AFTER_S - _EVERY_S:
            click.echo("\r" + " " * 60 + "\r", err=True, nl=False)
