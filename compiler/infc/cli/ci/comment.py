"""`infc ci comment`: a saved plan as the comment of its pull or merge request."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from infc.cli.edge import OK
from infc.cli.report import marker_option

if TYPE_CHECKING:
    from infc.ir.change import ChangeSet
    from infc.pipeline.review_comment import Behavior, Outcome
    from infc.pipeline.review_comment.post import Place

PLAN_FILE = "plan.json"
_DONE = {
    "created": "a new comment",
    "updated": "updated the comment",
    "unchanged": "the comment says it already",
    "replaced": "a new comment in place of the old one",
    "silent": "nothing changes and no comment says otherwise: none",
}


@click.command(name="comment", short_help="Write a saved plan as the comment of its pull request.")
@click.argument(
    "plan", metavar="[PLAN.json]", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--provider", type=click.Choice(["github", "gitlab"]), required=True)
@click.option("--pr", "number", metavar="N", type=click.IntRange(1), help="Default: that of this run.")
@marker_option
@click.option(
    "--behavior", type=click.Choice(["update", "new", "delete-and-new"]), default="update", show_default=True,
    help="update: one comment for all runs, changed in place.",
)  # fmt: skip
@click.option(
    "--from-run", is_flag=True,
    help="GitHub, on: workflow_run: read the plan from the artifact of the run that started this one.",
)  # fmt: skip
@click.option("--artifact", metavar="NAME", default="infc-plan", show_default=True, help="Its name, for --from-run.")
@click.option("--dry-run", is_flag=True, help="Print the comment and what would be done with it; write nothing.")
def command(
    plan: Path | None,
    provider: Literal["github", "gitlab"],
    number: int | None,
    marker: str,
    behavior: "Behavior",
    from_run: bool,
    artifact: str,
    dry_run: bool,
) -> int:
    r"""Write what a saved plan changes as a comment of its pull or merge request.

    The comment is found again by its hidden first line, among those of the token's own author, and changed in place.
    Where nothing changes, only a comment that is there already is brought up to date.

    Where it has to go comes from the environment of GitHub Actions or GitLab CI, enterprise servers included
    (GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_EVENT_PATH; CI_API_V4_URL, CI_PROJECT_ID, CI_MERGE_REQUEST_IID), the
    token from INFC_COMMENT_TOKEN, else GITHUB_TOKEN or CI_JOB_TOKEN. It is never printed. Where there is no pull
    request, no token, or the token may not write (that of a fork is read-only), the comment goes to the job's summary
    ($GITHUB_STEP_SUMMARY, else standard output).

    With --from-run nothing of the other run is executed or unpacked: plan.json of its artifact is read as data, and the
    pull request is the one whose head GitHub's event names.

    Exits 0 when the comment stands or went to the summary, 1 when the provider fails or the file is no saved plan.

    \b
    Examples:
      infc ci comment plan.json --provider github
      infc ci comment --from-run --provider github
      infc ci comment plan.json --provider gitlab --marker production --dry-run
    """
    from infc.pipeline.review_comment import NotAllowedError, post_comment
    from infc.report.change_markdown import render_comment

    if from_run == (plan is not None):
        raise click.UsageError("give either PLAN.json or --from-run")
    if from_run and provider != "github":
        raise click.UsageError("--from-run reads the artifact of another run of GitHub Actions")
    environment = dict(os.environ)
    changes, url = _from_run(environment, artifact) if plan is None else (_read(plan), _job_url(environment))
    if changes is None:
        click.echo("the run that started this one left no plan: nothing to comment", err=True)
        return OK
    body = render_comment((changes,), marker=marker, details_url=url or None)
    try:
        place = _place(provider, environment, number)
        if place is None:
            return _summarise(body, environment, "no pull request, or no token to write to it with", is_dry=dry_run)
        is_news = changes.has_changes or any(change.status != "feasible" for change in changes.changes)
        outcome = post_comment(place, body, behavior=behavior, is_news=is_news, is_dry=dry_run)
    except NotAllowedError as error:
        return _summarise(body, environment, str(error), is_dry=dry_run)
    _say(outcome, place.label, body, is_dry=dry_run)
    return OK


def _read(plan: Path) -> "ChangeSet":
    from infc.report.plan_file import read_changes

    return read_changes(plan)


def _from_run(environment: Mapping[str, str], artifact: str) -> "tuple[ChangeSet | None, str]":
    """The plan that the run before this one saved, and the address of that run."""
    from infc.diag import ToolError
    from infc.pipeline.review_comment.artifact import artifact_file
    from infc.pipeline.review_comment.github import event_run, github_api, github_repository
    from infc.report.plan_file import changes_from

    run, api = event_run(environment), github_api(environment)
    if run is None:
        raise ToolError("this is no run after another", help="--from-run is for workflows with on: workflow_run")
    if api is None:
        raise ToolError("there is no token to read the artifact with", help="set GITHUB_TOKEN: ${{ github.token }}")
    data = artifact_file(api, github_repository(environment), run.id, artifact=artifact, file=PLAN_FILE)
    return (None if data is None else changes_from(data, name=f"{PLAN_FILE} of the run")), run.url


def _place(provider: Literal["github", "gitlab"], environment: Mapping[str, str], number: int | None) -> "Place | None":
    if provider == "gitlab":
        from infc.pipeline.review_comment import gitlab_place

        return gitlab_place(environment, number)
    from infc.pipeline.review_comment import github_place
    from infc.pipeline.review_comment.github import github_api

    api = github_api(environment)
    return None if api is None else github_place(environment, api, number)


def _job_url(environment: Mapping[str, str]) -> str:
    """Where this job's artifacts are."""
    if "CI_JOB_URL" in environment:
        return environment["CI_JOB_URL"]
    parts = [environment.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")]
    return f"{parts[0]}/{parts[1]}/actions/runs/{parts[2]}" if all(parts) else ""


def _say(outcome: "Outcome", label: str, body: str, *, is_dry: bool) -> None:
    if is_dry:
        click.echo(body, nl=False)
    number = "" if outcome.comment is None else f" ({outcome.comment})"
    click.echo(
        f"{'dry run, nothing written; it would be ' if is_dry else ''}{_DONE[outcome.action]}{number} on {label}",
        err=True,
    )


def _summarise(body: str, environment: Mapping[str, str], reason: str, *, is_dry: bool) -> int:
    """The comment where everybody with access to the job sees it."""
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if not summary or is_dry:
        click.echo(body, nl=False)
        click.echo(f"note: no comment was written: {reason}", err=True)
        return OK
    with Path(summary).open("a", encoding="utf-8") as stream:
        stream.write(body)
    click.echo(f"note: no comment was written, it is in the job's summary: {reason}", err=True)
    return OK
