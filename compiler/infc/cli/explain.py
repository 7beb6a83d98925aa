"""`infc explain`: what a diagnostic id means."""

from pathlib import Path

import click

from infc.cli.complete import diagnostic_ids
from infc.cli.edge import OK


@click.command(name="explain")
@click.argument("id", required=False, metavar="[ID]", shell_complete=diagnostic_ids)
@click.option(
    "--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True, help="Output."
)
@click.option(
    "--write",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a Markdown page for every id, and an index, to DIR instead.",
)
def command(id: str | None, format: str, directory: Path | None) -> int:
    r"""Explain a diagnostic id: what is wrong, why it matters, an example and the fix. Without ID, list all of them.

    \b
    Examples:
      infc explain spec-quantity
      infc explain
      infc explain --write docs/diagnostics
    """
    from infc.diag.catalogue import CATALOGUE, find_kind
    from infc.report.explanations import explanation_text, explanations_json, listing_text

    if directory is not None:
        if id is not None:
            raise click.UsageError("give either ID or --write DIR, not both")
        return _write(directory)
    if id is None:
        click.echo(explanations_json(CATALOGUE) if format == "json" else listing_text(CATALOGUE))
        return OK
    wanted = id.strip().strip("[]").removeprefix("error[").removeprefix("warning[").lower()
    kind = find_kind(wanted)
    if kind is None:
        from infc.diag.nearest import nearest

        near = nearest(wanted, (k.id for k in CATALOGUE))
        hint = f"did you mean {' or '.join(near)}?" if near else "`infc explain` lists every id"
        raise click.UsageError(f"there is no diagnostic `{id}`; {hint}")
    click.echo(explanations_json((kind,)) if format == "json" else explanation_text(kind))
    return OK


def _write(directory: Path) -> int:
    from infc.report.explanations import explanation_pages
    from infc.resolve.atomic_write import write_text_atomically

    pages = explanation_pages()
    for name, text in pages.items():
        write_text_atomically(directory / name, text)
    click.echo(f"wrote {len(pages)} pages to {directory}", err=True)
    return OK
