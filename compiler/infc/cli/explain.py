"""`infc explain`: what a diagnostic id means."""

import click

from infc.cli.complete import diagnostic_ids
from infc.cli.edge import OK


@click.command(name="explain")
@click.argument("id", required=False, metavar="[ID]", shell_complete=diagnostic_ids)
@click.option(
    "--format", "format", type=click.Choice(("text", "json")), default="text", show_default=True, help="Output."
)
def command(id: str | None, format: str) -> int:
    r"""Explain a diagnostic id: what is wrong, why it matters, an example and the fix. Without ID, list all of them.

    \b
    Examples:
      infc explain spec-quantity
      infc explain
    """
    from infc.diag.catalogue import CATALOGUE, find_kind
    from infc.report.explanations import explanation_text, explanations_json, listing_text

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
