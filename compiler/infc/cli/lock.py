"""`infc lock`: write infc.lock without building, or check it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import LOCK_STALE, OK, SLO_NOT_MET, SPEC_INVALID

if TYPE_CHECKING:
    from infc.diag import Diagnostic
    from infc.pipeline.locking import CheckedLock, Relocked
    from infc.spec import Workspace

_EVERY = "*"


@click.command(name="lock")
@click.argument("specs", nargs=-1, metavar="[SPEC|DIR...]", type=click.Path(path_type=Path, exists=True))
@click.option("--check", "is_check", is_flag=True, help="Write nothing; exit 4 when the lock no longer holds.")
@click.option(
    "--upgrade",
    metavar="[NAME]",
    is_flag=False,
    flag_value=_EVERY,
    default=None,
    help="Plan again although nothing changed: with newer measurements and prices. NAME limits it to one spec.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written.")
@click.option("--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True)
def command(specs: tuple[Path, ...], is_check: bool, upgrade: str | None, dry_run: bool, format: str) -> int:
    r"""Write infc.lock from the specs without building anything, or check that it still holds.

    Deployments whose inputs are unchanged keep their entry. The others are planned again; an engine stays as long as
    what it is made from is the same, else it is marked pending until `infc compile` builds it. Without SPEC, every
    spec of the workspace is looked at, and deployments whose spec is gone are removed.

    Exits 0 when the lock holds or was written, 3 when the SLO of a spec cannot be met, 4 when --check finds a stale,
    missing or orphaned deployment or the lock cannot be read, 5 when a spec is invalid. Merely outdated deployments
    (newer measurements or prices exist) never fail.

    \b
    Examples:
      infc lock --check
      infc lock specs/encoder.infc.yaml
      infc lock --upgrade product-encoder --dry-run
    """
    if upgrade not in (None, _EVERY) and Path(str(upgrade)).exists():
        # `--upgrade specs/` means every spec in there: click cannot know that it is no name.
        specs, upgrade = (*specs, Path(str(upgrade))), _EVERY
    if is_check and (upgrade is not None or dry_run):
        raise click.UsageError("--check writes nothing: it goes with neither --upgrade nor --dry-run")
    if is_check:
        return _check(specs, format)
    names = None if upgrade is None else frozenset(() if upgrade == _EVERY else (upgrade,))
    return _write(specs, names, format, is_dry=dry_run)


def workspaces_of(specs: tuple[Path, ...]) -> "Iterator[tuple[Workspace, tuple[Path, ...] | None]]":
    """Each workspace with its specs among the given ones; None: all of them, when none is given."""
    from infc.cli.check import find_specs
    from infc.spec import find_workspace

    if not specs:
        yield find_workspace(Path.cwd() / "infc.lock"), None
        return
    grouped: dict[Path, tuple[Workspace, list[Path]]] = {}
    for path in find_specs(specs):
        workspace = find_workspace(path)
        grouped.setdefault(workspace.root, (workspace, []))[1].append(path)
    for workspace, paths in grouped.values():
        yield workspace, tuple(paths)


def _check(specs: tuple[Path, ...], format: str) -> int:
    from infc.lock.check import FAILING
    from infc.pipeline.locking import check_lock
    from infc.report.lock_check import lock_check_json, render_lock_check_text

    checked = [check_lock(workspace, paths) for workspace, paths in workspaces_of(specs)]
    diagnostics = tuple(d for one in checked for d in one.diagnostics)
    if format == "json":
        click.echo(lock_check_json([(one.path, one.statuses) for one in checked], diagnostics))
    else:
        show(diagnostics)
        for one in checked:
            if one.lock is not None and not _is_invalid(one):
                click.echo(render_lock_check_text(one.path, one.statuses))
    if any(one.lock is None for one in checked):
        return LOCK_STALE
    if any(_is_invalid(one) for one in checked):
        return SPEC_INVALID
    return LOCK_STALE if any(s.status in FAILING for one in checked for s in one.statuses) else OK


def _write(specs: tuple[Path, ...], upgrade: frozenset[str] | None, format: str, *, is_dry: bool) -> int:
    from infc.lock import diff_locks
    from infc.pipeline.locking import relock, write_relocked
    from infc.report.diff_json import diff_json
    from infc.report.diff_text import render_diff_text

    todo = [(workspace, relock(workspace, paths, upgrade=upgrade)) for workspace, paths in workspaces_of(specs)]
    show(tuple(d for _, relocked in todo for d in relocked.diagnostics))
    code = refusal([relocked for _, relocked in todo])
    if code != OK:
        click.echo("error: nothing was written", err=True)
        return code
    diffs = tuple(diff for _, relocked in todo for diff in diff_locks(relocked.before, relocked.after))
    if not is_dry:
        for workspace, relocked in todo:
            problems = write_relocked(workspace, relocked)
            if problems:
                show(problems)
                return LOCK_STALE
    click.echo(diff_json(diffs) if format == "json" else render_diff_text(diffs, color=_has_color()))
    return OK


def refusal(relocked: "list[Relocked]") -> int:
    """The exit code of what stands in the way of a new lock, OK when nothing does."""
    if any(d.id.startswith("lock-") and d.id != "lock-duplicate-name" for one in relocked for d in one.diagnostics):
        return LOCK_STALE
    if any(one.has_errors for one in relocked):
        return SPEC_INVALID
    infeasible = [name for one in relocked for name in one.infeasible]
    for name in infeasible:
        click.echo(f"error: {name} has no plan that meets its SLO; `infc plan` says why", err=True)
    return SLO_NOT_MET if infeasible else OK


def _is_invalid(checked: "CheckedLock") -> bool:
    from infc.diag import has_errors

    return has_errors(checked.diagnostics)


def show(diagnostics: "tuple[Diagnostic, ...]") -> None:
    """Print the errors among the diagnostics to stderr: warnings about a spec are for `infc check` and `infc plan`."""
    from infc.cli.terminal import has_color
    from infc.diag import has_errors
    from infc.report.diagnostics_text import render_diagnostics

    errors = tuple(diagnostic for diagnostic in diagnostics if has_errors((diagnostic,)))
    if errors:
        click.echo(render_diagnostics(errors, color=has_color(stderr=True)), err=True)


def _has_color() -> bool:
    from infc.cli.terminal import has_color

    return has_color()
