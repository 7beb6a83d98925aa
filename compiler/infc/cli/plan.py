"""`infc plan`: the decision for every spec, explained."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import CHANGES, FAILURE, OK, SLO_NOT_MET, SPEC_INVALID, USAGE_ERROR

if TYPE_CHECKING:
    from infc.pipeline.locks import Locks
    from infc.pipeline.plan import PlannedSpec
    from infc.report.planned import PlannedEntry

FORMATS = ("text", "json", "markdown", "html")


@click.command(name="plan")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC|DIR...", type=click.Path(path_type=Path))
@click.option("--format", "format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file instead.")
@click.option(
    "--why",
    "why",
    metavar="CANDIDATE",
    help="Explain one candidate instead: int8/l4, or in full int8/l4/b8/i2/d500us.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when a plan differs from the lock.")
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Your own hardware and prices. Default: targets/ beside infc.lock, if any.",
)
def command(
    specs: tuple[Path, ...],
    format: str,
    out: Path | None,
    why: str | None,
    detailed_exitcode: bool,
    overlay: Path | None,
) -> int:
    r"""Choose hardware, precision, batching and replicas for each spec, and explain the choice.

    A DIR is searched for *.infc.yaml files. Needs no GPU, no network and no server, and no model file when a
    stored profile stands in for it. Nothing is written but --out.

    Exits 0 when every spec has a plan, 2 with --detailed-exitcode when a plan differs from the lock, 3 when the SLO of
    one cannot be met, 5 when a spec is invalid, 1 when a valid spec cannot be planned by this version.

    \b
    Examples:
      infc plan specs/encoder.infc.yaml
      infc plan specs/ --format json --out plan.json
      infc plan specs/ --format html --out plan.html
      infc plan specs/encoder.infc.yaml --why int8/l4
    """
    import gc

    gc.disable()  # imports leave no garbage, and looking for it takes a tenth of a cold start
    from infc.cli.check import find_specs
    from infc.pipeline.locks import Locks
    from infc.pipeline.plan import plan_specs

    gc.freeze()
    gc.enable()
    locks = Locks()
    planned = list(plan_specs(find_specs(specs), overlay=overlay, locked_digest=locks.model_digest))
    _show_diagnostics(planned, locks)
    if why is not None:
        return _explain(planned, why, out)
    entries = [entry for spec in planned for entry in _entries(spec, locks)]
    _write(_rendered(entries, format, color=out is None), out)
    has_changes = any(entry.changes for entry in entries)
    return _exit_code(planned, has_changes=detailed_exitcode and has_changes)


def _entries(planned: "PlannedSpec", locks: "Locks") -> "list[PlannedEntry]":
    from infc.ir.plan import Plan
    from infc.report.planned import PlannedEntry

    name, path = planned.loaded.name, planned.loaded.path.as_posix()
    if not planned.decisions:
        return [
            PlannedEntry(
                name=name,
                path=path,
                target=None,
                status="invalid",
                problem=None,
                decision=None,
                changes=(),
                diagnostics=planned.diagnostics,
            )
        ]
    changes = locks.changes(planned)
    return [
        PlannedEntry(
            name=name,
            path=path,
            target=decided.target,
            status="feasible" if isinstance(decided.decision, Plan) else "infeasible",
            problem=decided.problem,
            decision=decided.decision,
            changes=changes.get(decided.target, ()),
            diagnostics=planned.diagnostics if index == 0 else (),
        )
        for index, decided in enumerate(planned.decisions)
    ]


def _rendered(entries: "list[PlannedEntry]", format: str, *, color: bool) -> str:
    match format:
        case "json":
            from infc.report.plan_json import render_plan_json

            return render_plan_json(entries)
        case "markdown":
            from infc.report.plan_markdown import render_plan_markdown

            return render_plan_markdown(entries)
        case "html":
            from infc.report.plan_html import render_plan_html

            return render_plan_html(entries)
        case _:
            from infc.cli.terminal import has_color
            from infc.report.plan_text import render_plan_text

            return render_plan_text(entries, color=color and has_color())


def _explain(planned: "list[PlannedSpec]", label: str, out: Path | None) -> int:
    from infc.cli.terminal import has_color
    from infc.plan.why import why
    from infc.report.plan_text import render_why_text

    answers = [
        answer for spec in planned for decided in spec.decisions if (answer := why(decided.problem, label)) is not None
    ]
    if not answers:
        shown = ", ".join(
            dict.fromkeys(c for spec in planned for d in spec.decisions for c in _some_labels(d.decision.rejections))
        )
        hint = f" (candidates here: {shown})" if shown else ""
        click.echo(f"error: no spec considers {label}{hint}", err=True)
        return USAGE_ERROR if any(spec.decisions for spec in planned) else _exit_code(planned, has_changes=False)
    _write(render_why_text(answers, color=out is None and has_color()), out)
    return OK


def _some_labels(rejections: "tuple[object, ...]") -> list[str]:
    return [str(getattr(rejection, "candidate", "")) for rejection in rejections[:4]]


def _show_diagnostics(planned: "list[PlannedSpec]", locks: "Locks") -> None:
    found = [d for spec in planned for d in spec.diagnostics]
    diagnostics = tuple(dict.fromkeys((*found, *locks.diagnostics)))
    if not diagnostics:
        return
    from infc.cli.terminal import has_color
    from infc.report.diagnostics_text import render_diagnostics

    click.echo(render_diagnostics(diagnostics, color=has_color(stderr=True)), err=True)


def _write(text: str, out: Path | None) -> None:
    if not text:
        return
    if out is None:
        click.echo(text)
        return
    from infc.resolve.atomic_write import write_text_atomically

    write_text_atomically(out, text + "\n")


def _exit_code(planned: "list[PlannedSpec]", *, has_changes: bool) -> int:
    """The worst of all specs: invalid, then infeasible, then not plannable, then changed."""
    if any(spec.status == "invalid" and spec.is_spec_invalid for spec in planned):
        return SPEC_INVALID
    if any(spec.status == "infeasible" for spec in planned):
        return SLO_NOT_MET
    if any(spec.status == "invalid" for spec in planned):
        return FAILURE
    return CHANGES if has_changes else OK
