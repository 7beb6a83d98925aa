"""`infc compile`: specs to bundles and a lock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.compile_notes import show_saved, show_unasked, show_unvalidated
from infc.cli.edge import FAILURE, INCONCLUSIVE, LOCK_STALE, OK, SLO_NOT_MET, SPEC_INVALID
from infc.cli.fetch import fetch_option, fetched
from infc.ir.quantity import QuantityError, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infc.build.builders.address import Address
    from infc.diag import Diagnostic
    from infc.pipeline.compile import CompiledSpec, CompiledTarget
    from infc.pipeline.compile_many import SpecOutcome
    from infc.pipeline.saved_plan import SavedPlan
    from infc.report.compiled import CompiledEntry

_SEVERITY = (SPEC_INVALID, SLO_NOT_MET, LOCK_STALE, FAILURE, INCONCLUSIVE, OK)
"""Exit codes, worst first: the code of a run over several specs is the worst of theirs."""


def _builders(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[Address, ...]:
    from infc.build.builders.address import AddressError
    from infc.pipeline.builders import parse_builders

    try:
        return parse_builders(values)
    except AddressError as error:
        raise click.BadParameter(str(error)) from None


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        return parse_duration_s(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None


@click.command(name="compile")
@click.argument("specs", nargs=-1, metavar="SPEC|DIR...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default=Path("dist"),
    show_default=True, help="Where the bundles go, one folder each.",
)  # fmt: skip
@click.option("--locked", is_flag=True, help="Refuse unless the result is what infc.lock says; leave the lock alone.")
@click.option(
    "--plan", "plan_file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Refuse unless inputs and decisions are those of this saved plan (infc plan --format json --out FILE).",
)  # fmt: skip
@click.option(
    "--validate",
    "is_validated",
    is_flag=True,
    help="Load-test each bundle (GPU bundles are rehearsed where there is no GPU).",
)
@click.option(
    "--builder", "builders", metavar="PLACE", multiple=True, default=("local",), show_default=True, callback=_builders,
    help="Where engines of ONNX models are built; several make a pool. local, job[:DIR], ssh://[user@]host[:port], "
    "k8s://[context/]namespace?image=..&pvc=.., ray://host:port",
)  # fmt: skip
@click.option(
    "--builder-wait", "wait_s", metavar="TIME", default="5min", show_default=True, callback=_seconds,
    help="How long to wait for a builder of a type that none has now.",
)  # fmt: skip
@click.option(
    "--build-timeout", "build_timeout_s", metavar="TIME", default="1h", show_default=True, callback=_seconds,
    help="Longest time for one engine.",
)  # fmt: skip
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), metavar="N",
    help="How many specs work on this machine at once. Default: one for each core, at most 4.",
)  # fmt: skip
@click.option(
    "--delta-from", metavar="OLD.tar.zst", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Also pack what an older archive for edge devices lacks.",
)  # fmt: skip
@click.option("--allow-code", is_flag=True, help="Let a python: metric of the spec run.")
@fetch_option
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Your own hardware and prices. Default: targets/ beside infc.lock, if any.",
)
@click.option("--format", "format", type=click.Choice(["text", "json", "html"]), default="text", show_default=True)
def command(
    specs: tuple[Path, ...],
    output: Path,
    locked: bool,
    plan_file: Path | None,
    is_validated: bool,
    builders: tuple[Address, ...],
    wait_s: float,
    build_timeout_s: float,
    jobs: int | None,
    delta_from: Path | None,
    allow_code: bool,
    has_fetch: bool,
    overlay: Path | None,
    format: str,
) -> int:
    r"""Plan, lower, gate accuracy, build, emit and lock.

    For the best hardware, and for each of the spec's deploy.targets: the model is lowered to the planned precision,
    its accuracy is tested against the spec, the engine is built, and a Triton model repository is written to
    DIR/<spec name> (DIR/<spec name>@<target> for the others). A quantised precision that misses its accuracy gets the
    operators that lose most raised back. One that still misses, gains nothing over an unquantised engine or is refused
    by the builder is left, and the plan made again. infc.lock gets one block for each. Outputs are replaced whole, or
    not at all.

    Jetson modules build their engines themselves: for all of them DIR/<spec name> holds one archive, which carries the
    lowered models, what they must achieve and the program that installs them, to be signed with infc sign. Its number
    counts up when its content changed (deploy.jetson.version). --delta-from also packs what changed since an older one.

    A language model has no engine: its checkpoint is quantised here where the plan's precision is not its own, tested,
    and written for vLLM with serve.yaml, a compose file and, on request, Kubernetes manifests. Where the folder holds
    no weights, everything else is written and the deployment is marked pending.

    Several specs are compiled in parallel. One that fails does not stop the others; the exit code is the worst of
    theirs. Finished engines are kept by key: after an interruption, the same command builds only what is missing.

    With --plan only what was reviewed is compiled: everything is planned again, and refused as a whole where an input
    or a decision is not that of the saved plan. Without SPEC the specs that it lists are compiled.

    Exits 0 when everything was written (and met its SLO, with --validate), 3 when the SLO cannot be or was not met,
    4 with --locked when the lock does not hold, and with --plan when the saved plan does not, 5 when a spec or
    infc-policy.yaml is invalid, 6 when the evidence is inconclusive, 1 on other failures: a plan beyond a threshold of
    infc-policy.yaml whose action is fail is one.

    \b
    Examples:
      infc compile specs/encoder.infc.yaml
      infc compile specs/ --locked
      infc compile --plan plan.json
      infc compile specs/encoder.infc.yaml --validate -o out
      infc compile specs/chat.infc.yaml --validate
      infc compile specs/ --format html > compile.html
      infc compile specs/dock.infc.yaml --delta-from archive/dock-camera-jetson-7.tar.zst
      infc compile specs/ --builder ssh://ci@l4-box --builder ray://farm:10001
    """
    from infc.cli.check import find_specs
    from infc.cli.compile_progress import compile_progress
    from infc.pipeline.builders import open_builder
    from infc.pipeline.compile import CompileOptions
    from infc.pipeline.compile_many import compile_many
    from infc.pipeline.plan_many import cores
    from infc.spec import SPEC_SUFFIX, find_workspace

    saved_plan = _saved_plan(plan_file, specs)
    paths = find_specs(specs) if specs or saved_plan is None else saved_plan.specs()
    if saved_plan is not None and not _is_as_reviewed(saved_plan, paths, overlay):
        return LOCK_STALE
    _check_delta(delta_from, paths)
    if has_fetch and not fetched(paths):
        return FAILURE
    workspace = find_workspace(paths[0] if paths else Path("infc.lock"))
    own_targets = overlay or (workspace.targets if workspace.targets.is_dir() else None)
    builder = open_builder(
        builders,
        workspace=workspace,
        overlay=own_targets,
        wait_s=wait_s,
        announce=lambda line: click.echo(line, err=True),
    )
    options = CompileOptions(
        output=output,
        is_locked=locked,
        overlay=overlay,
        allow_code=allow_code,
        builder=builder,
        build_timeout_s=build_timeout_s,
        delta_from=delta_from,
        saved_plan=saved_plan,
    )
    try:
        with compile_progress([path.name.removesuffix(SPEC_SUFFIX) for path in paths]) as watcher:
            outcomes = list(compile_many(paths, options, jobs=jobs or min(cores(), 4), watcher=watcher))
    finally:
        builder.close()
    _show_diagnostics(tuple(dict.fromkeys(d for outcome in outcomes for d in outcome.diagnostics)))
    show_unasked(builders, delta_from, outcomes)
    codes: list[int] = []
    entries: list[CompiledEntry] = []
    for outcome in outcomes:
        _show_error(outcome)
        codes.append(outcome.exit_code)
        if outcome.result is None:
            continue
        if format == "text":
            _show_undecided(outcome.result)
        for compiled in outcome.result.compiled:
            entry = _entry(compiled, outcome.path)
            if format == "text":
                _show(entry)
            if is_validated and compiled.release is None:
                entry, outcome_code = _validated(entry, compiled, outcome.result, is_stored=not locked, format=format)
                codes.append(outcome_code)
            entries.append(entry)
    if is_validated:
        show_unvalidated(outcomes)
    code = min(codes, key=_SEVERITY.index, default=OK)
    if format == "json":
        from infc.report.compile_json import render_compile_json

        click.echo(render_compile_json(entries, exit_code=code))
    elif format == "html":
        from infc.report.compile_html import render_compile_html

        click.echo(render_compile_html(entries))
    return code


def _saved_plan(plan_file: Path | None, specs: tuple[Path, ...]) -> SavedPlan | None:
    """The plan to hold to, if any. Raises UsageError, DiagnosticError."""
    if plan_file is not None:
        from infc.pipeline.saved_plan import read_saved_plan

        return read_saved_plan(plan_file)
    if not specs:
        raise click.UsageError("Missing argument 'SPEC|DIR...': name what to compile, or a saved plan with --plan.")
    return None


def _is_as_reviewed(saved_plan: SavedPlan, paths: Sequence[Path], overlay: Path | None) -> bool:
    from infc.pipeline.saved_plan import refusals

    show_saved(saved_plan, paths)
    refused = refusals(saved_plan, paths, overlay)
    _show_diagnostics(refused)
    return not refused


def _check_delta(delta_from: Path | None, paths: Sequence[Path]) -> None:
    """Say what is wrong with an older archive before the work is done. Raises UsageError, ToolError."""
    if delta_from is None:
        return
    from infc.pipeline.edge_bundle import read_edge_bundle

    if len(paths) != 1:
        raise click.UsageError(f"--delta-from is of one spec, and {len(paths)} are given")
    read_edge_bundle(delta_from)


def _show_error(outcome: SpecOutcome) -> None:
    if outcome.error is not None:
        click.echo(f"error: {outcome.path.as_posix()}: {outcome.error}", err=True)
        if outcome.help:
            click.echo(f"help: {outcome.help}", err=True)


def _show_diagnostics(diagnostics: tuple[Diagnostic, ...]) -> None:
    if not diagnostics:
        return
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(diagnostics, color=has_color(stderr=True)), err=True)


def _entry(compiled: CompiledTarget, path: Path) -> CompiledEntry:
    from infc.pipeline.settled import SettledOnnx
    from infc.report.compiled import CompiledEntry

    settled = compiled.settled
    return CompiledEntry(
        path=path.as_posix(),
        target=compiled.target,
        folder=compiled.folder.as_posix(),
        change=compiled.change.kind,
        problem=settled.problem,
        plan=settled.plan,
        lowered=settled.lowered if isinstance(settled, SettledOnnx) else settled.checkpoint,
        engine=settled.engine if isinstance(settled, SettledOnnx) else None,
        evidence=settled.evidence,
        measurement=None,
        files=compiled.files,
        release=compiled.release,
    )


def _show(entry: CompiledEntry) -> None:
    from infc.cli.terminal import has_color
    from infc.report.compile_text import render_compile_text

    click.echo(render_compile_text(entry, color=has_color()) + "\n")


def _show_undecided(result: CompiledSpec) -> None:
    """The decisions that stopped the compile, as `infc plan` shows them."""
    from infc.ir.plan import Infeasible
    from infc.report.planned import PlannedEntry

    name, path = result.planned.loaded.name, result.planned.loaded.path.as_posix()
    refused = [(d.target, d.problem, d.decision) for d in result.planned.decisions]
    refused += [(None, u.problem, u.decision) for u in result.unsettled]
    entries = [
        PlannedEntry(
            name=name,
            path=path,
            target=target,
            status="infeasible",
            problem=problem,
            decision=decision,
            changes=(),
            diagnostics=(),
        )
        for target, problem, decision in refused
        if isinstance(decision, Infeasible)
    ]
    if entries:
        from infc.cli.terminal import has_color
        from infc.report.plan_text import render_plan_text

        click.echo(render_plan_text(entries, color=has_color()))


def _validated(
    entry: CompiledEntry, compiled: CompiledTarget, result: CompiledSpec, *, is_stored: bool, format: str
) -> tuple[CompiledEntry, int]:
    """The entry with what its load test measured, and what that makes the command exit with."""
    from infc.cli.compile_validation import exit_code, render, validated
    from infc.cli.terminal import has_color

    entry = validated(entry, compiled.folder, result.planned.loaded.workspace, is_stored=is_stored)
    assert entry.measurement is not None  # noqa: S101 - it was just measured
    if format == "text":
        click.echo(render(entry.measurement, color=has_color()) + "\n")
    return entry, exit_code(entry.measurement)
