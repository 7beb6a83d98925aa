"""`infc plan`: the decision for every spec, explained."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.cli.edge import CHANGES, FAILURE, OK, SLO_NOT_MET, SPEC_INVALID, USAGE_ERROR
from infc.cli.fetch import fetch_option, fetched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infc.diag import Diagnostic
    from infc.pipeline.changes import Review
    from infc.pipeline.plan import PlannedSpec
    from infc.pipeline.plan_inputs import PlanOptions
    from infc.pipeline.plan_record import PlanRecord

FORMATS = ("text", "json", "markdown", "sarif", "github", "codequality", "html")


@click.command(name="plan")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC|DIR...", type=click.Path(path_type=Path))
@click.option("--format", "format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "--base",
    "revision",
    metavar="REF",
    help="Compare with lock and specs where HEAD left this branch, tag or commit. Default: with infc.lock.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to this file instead; with --format json a saved plan for infc compile --plan.",
)
@click.option(
    "--why",
    "why",
    metavar="CANDIDATE",
    help="Explain one candidate instead: int8/l4, or in full int8/l4/b8/i2/d500us.",
)
@click.option(
    "--ladder",
    "has_ladder",
    is_flag=True,
    help="Also show what compilation, precision, batching and replicas each buy, and what each constraint costs.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when anything differs from the base.")
@fetch_option
@click.option("--no-cache", is_flag=True, help="Plan every spec again, also those whose inputs have not changed.")
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Your own hardware and prices. Default: targets/ beside infc.lock, if any.",
)
def command(
    specs: tuple[Path, ...],
    format: str,
    revision: str | None,
    out: Path | None,
    why: str | None,
    has_ladder: bool,
    detailed_exitcode: bool,
    has_fetch: bool,
    no_cache: bool,
    overlay: Path | None,
) -> int:
    r"""Choose hardware, precision, batching and replicas for each spec, and explain the choice.

    What changes is told beside it: which deployments are added, changed, rebuilt or removed, by which input, and to
    what effect. It is compared with infc.lock; with --base, as a pull request needs it, with lock and specs as they
    were where HEAD left that branch, and then only specs that the change can concern are planned. Where there is
    nothing to compare with, every plan is shown in full; else, of several specs, those that differ.

    A DIR is searched for *.infc.yaml files. Needs no GPU, no network and no server, and no model file when a stored
    profile stands in for it. Nothing is written but --out. Several specs are planned on all cores, and their plans
    remembered in .infc/ until something that entered them changes. With --fetch the network is used once for each
    model of the hub (HF_ENDPOINT, HF_TOKEN), and a profile stored in infc-profiles/ for all later plans.

    Exits 0 when every spec has a plan, 2 with --detailed-exitcode when anything differs from the base, 3 when the SLO
    of one cannot be met, 4 when infc.lock cannot be read, 5 when a spec or infc-policy.yaml is invalid, 1 when a
    valid spec cannot be planned by this version, there is no such base, or a plan is beyond a threshold of
    infc-policy.yaml whose action is fail.

    \b
    Examples:
      infc plan specs/encoder.infc.yaml
      infc plan specs/ --base origin/main --detailed-exitcode
      infc plan specs/ --base origin/main --format json --out plan.json
      infc plan specs/ --base origin/main --format markdown --out comment.md
      infc plan specs/ --format html --out plan.html
      infc plan specs/encoder.infc.yaml --ladder
      infc plan specs/encoder.infc.yaml --why int8/l4
      infc plan specs/chat.infc.yaml --fetch
    """
    import gc

    from infc.cli.check import find_specs

    paths = find_specs(specs)
    if has_fetch and not fetched(paths):
        return FAILURE
    gc.disable()  # imports leave no garbage, and looking for it takes a tenth of a cold start
    from infc.pipeline.plan_inputs import PlanOptions

    options = PlanOptions(overlay=overlay, has_ladder=has_ladder)
    if why is not None:
        return _explain(paths, options, why, out)
    folders = tuple(each for each in specs if each.is_dir())
    review = _review(paths, revision, options, folders, has_cache=not no_cache)
    records = review.records
    _show_diagnostics(records, [d for record in records for d in record.shared])
    if format == "html":
        from infc.pipeline.plan_page import plan_page

        _write(plan_page(review, options), out)
    else:
        _write(_rendered(review, format, is_one=len(paths) == 1 and not folders, color=out is None), out)
    if any(record.is_policy_invalid for record in records):
        return SPEC_INVALID
    has_changes = detailed_exitcode and review.is_based and review.changes.has_changes
    return _exit_code(records, has_changes=has_changes, is_refused=any(record.is_refused for record in records))


def _review(
    paths: "Sequence[Path]",
    revision: str | None,
    options: "PlanOptions",
    folders: "Sequence[Path]",
    *,
    has_cache: bool,
) -> "Review":
    import gc

    from infc.cli.plan_progress import plan_progress
    from infc.pipeline.base import Base
    from infc.pipeline.changes import review
    from infc.pipeline.plan_many import COLLECTED_AFTER, cores

    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)
    gc.enable()
    with plan_progress(len(paths)) as progress:
        return review(
            paths,
            Base(revision=revision),
            options,
            folders=folders,
            is_whole=len(paths) == 1 and not folders,
            has_cache=has_cache,
            processes=cores(),
            progress=progress,
        )


def _rendered(review: "Review", format: str, *, is_one: bool, color: bool) -> str:
    from infc.cli.terminal import has_color
    from infc.report.plan_fragments import joined_json, joined_markdown, joined_text

    fragments = [record.fragments for record in review.records]
    match format:
        case "json":
            from infc.pipeline.saved_plan import saved_document

            return joined_json(fragments, saved_document(review))
        case "markdown" if not review.is_based:
            return joined_markdown(fragments)
        case "markdown" | "sarif" | "github" | "codequality":
            from infc.report.change_reports import render_changes

            return render_changes((review.changes,), format)
    color = color and has_color()
    if not review.is_based:
        return joined_text(fragments, color=color)
    from infc.report.change_text import is_shown, render_changes_text

    changes = render_changes_text(review.changes, color=color)
    if is_one:
        return "\n\n".join(filter(None, (joined_text(fragments, color=color), changes)))
    shown = [record.fragments for record in review.records if any(map(is_shown, record.changes))]
    return "\n\n".join(filter(None, (changes, joined_text(shown, color=color))))


def _explain(paths: "Sequence[Path]", options: "PlanOptions", label: str, out: Path | None) -> int:
    from infc.cli.terminal import has_color
    from infc.pipeline.locks import Locks
    from infc.pipeline.plan import plan_specs, why_of
    from infc.report.plan_text import render_why_text

    locks = Locks()
    planned = list(plan_specs(paths, overlay=options.overlay, locked_digest=locks.model_digest))
    _show_diagnostics(planned, locks.diagnostics)
    answers = [
        answer for spec in planned for decided in spec.decisions if (answer := why_of(decided, label)) is not None
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


def _show_diagnostics(planned: "Sequence[PlannedSpec] | Sequence[PlanRecord]", others: "Sequence[Diagnostic]") -> None:
    found = [d for spec in planned for d in spec.diagnostics]
    diagnostics = tuple(dict.fromkeys((*found, *others)))
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


def _exit_code(
    planned: "Sequence[PlannedSpec] | Sequence[PlanRecord]", *, has_changes: bool, is_refused: bool = False
) -> int:
    """The worst of all specs: invalid, then infeasible, then not plannable or refused by policy, then changed."""
    if any(spec.status == "invalid" and spec.is_spec_invalid for spec in planned):
        return SPEC_INVALID
    if any(spec.status == "infeasible" for spec in planned):
        return SLO_NOT_MET
    if is_refused or any(spec.status == "invalid" for spec in planned):
        return FAILURE
    return CHANGES if has_changes else OK
