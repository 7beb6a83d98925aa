"""`infc report`: a saved plan in other formats, without planning again."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from infc.cli.edge import OK
from infc.report.change_reports import DEFAULT_MARKER, ChangeFormat

if TYPE_CHECKING:
    from infc.ir.change import ChangeSet

FORMATS: tuple[ChangeFormat, ...] = get_args(ChangeFormat)


def _also(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    """`FORMAT=FILE` as a pair."""
    pairs = []
    for value in values:
        format, _, file = value.partition("=")
        if format not in FORMATS or not file:
            raise click.BadParameter(f"{value!r} is not FORMAT=FILE with one of {', '.join(FORMATS)}")
        pairs.append((format, Path(file)))
    return tuple(pairs)


def checked_marker(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """A name that cannot end the comment that it stands in."""
    from infc.report.change_markdown import marker_line

    try:
        marker_line(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}: letters, digits, dots, hyphens and underscores, at most 64") from None
    return value


marker_option = click.option(
    "--marker", metavar="NAME", default=DEFAULT_MARKER, show_default=True, callback=checked_marker,
    help="Names the comment, so that several of them keep apart on one pull request.",
)  # fmt: skip


@click.command(name="report")
@click.argument("plan", metavar="PLAN.json", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--format", "format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file instead.")
@click.option(
    "--also", "others", metavar="FORMAT=FILE", multiple=True, callback=_also,
    help="Write another format to a file as well. Repeatable.",
)  # fmt: skip
@marker_option
@click.option("--details-url", metavar="URL", help="Where the whole plan is, for the Markdown comment.")
def command(
    plan: Path,
    format: ChangeFormat,
    out: Path | None,
    others: "tuple[tuple[ChangeFormat, Path], ...]",
    marker: str,
    details_url: str | None,
) -> int:
    r"""Show what a saved plan changes, in other formats, without planning again.

    PLAN.json is what infc plan --base REF --format json --out PLAN.json wrote, here or elsewhere: nothing else is
    read. markdown is the comment of a pull request, github annotates its lines, sarif is for code scanning and
    codequality for GitLab. Files are replaced whole or not at all.

    Exits 0 when the reports are written, 1 when the file is no saved plan or of another version.

    \b
    Examples:
      infc report plan.json
      infc report plan.json --format github --also sarif=infc.sarif --also markdown=comment.md
    """
    from infc.cli.terminal import has_color
    from infc.report.plan_file import read_changes
    from infc.resolve.atomic_write import write_text_atomically

    changes = read_changes(plan)
    for each, file in others:
        write_text_atomically(file, _text(changes, each, marker, details_url) + "\n")
    if out is not None:
        write_text_atomically(out, _text(changes, format, marker, details_url) + "\n")
        return OK
    text = _text(changes, format, marker, details_url, color=has_color())
    if text:
        click.echo(text)
    return OK


def _text(
    changes: "ChangeSet", format: ChangeFormat, marker: str, details_url: str | None, *, color: bool = False
) -> str:
    from infc.report.change_reports import render_changes

    return render_changes((changes,), format, color=color, marker=marker, details_url=details_url)
