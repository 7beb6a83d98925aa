"""`infc diff`: what differs between two locks, or between the lock and what a plan would lock now."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import CHANGES, LOCK_STALE, OK

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.lock import Lock


@click.command(name="diff")
@click.argument("a", required=False, metavar="[A]")
@click.argument("b", required=False, metavar="[B]")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when anything differs.")
@click.option("--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True)
def command(a: str | None, b: str | None, detailed_exitcode: bool, format: str) -> int:
    r"""Compare locks: added, changed in place, rebuilt, removed; which input changed, and old -> new of what follows.

    A and B are lock files, git revisions (the lock of this workspace as it was then) or REV:path. With A alone, it is
    compared with the lock of this workspace; with neither, this lock is compared with what a fresh plan would lock.

    Exits 0; with --detailed-exitcode 2 when anything differs; 4 when a lock cannot be read.

    \b
    Examples:
      infc diff
      infc diff main
      infc diff v1.2:infc.lock infc.lock --format json
    """
    from infc.lock import diff_locks
    from infc.report.diff_json import diff_json
    from infc.report.diff_text import render_diff_text

    code, old, new = _sides(a, b)
    if old is None or new is None:
        return code
    diffs = diff_locks(old, new)
    click.echo(diff_json(diffs) if format == "json" else render_diff_text(diffs, color=_has_color()))
    return CHANGES if detailed_exitcode and any(diff.kind != "unchanged" for diff in diffs) else OK


def _sides(a: str | None, b: str | None) -> "tuple[int, Lock | None, Lock | None]":
    from infc.cli.lock import refusal, show
    from infc.lock import read_lock
    from infc.pipeline.locking import relock, shown_path
    from infc.pipeline.revision import lock_at
    from infc.spec import find_workspace

    workspace = find_workspace(Path.cwd() / "infc.lock")
    if a is None:
        relocked = relock(workspace, None, upgrade=frozenset())
        show(relocked.diagnostics)
        code = refusal([relocked])
        return (code, None, None) if code != OK else (OK, relocked.before, relocked.after)
    old, problems = lock_at(a, workspace)
    new, more = lock_at(b, workspace) if b is not None else read_lock(shown_path(workspace.lock))
    found: tuple[Diagnostic, ...] = (*problems, *more)
    show(found)
    return LOCK_STALE, old, new


def _has_color() -> bool:
    from infc.cli.terminal import has_color

    return has_color()
