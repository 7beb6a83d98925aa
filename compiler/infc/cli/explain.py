"""`infc explain`: what a diagnostic id means."""

from typing import TYPE_CHECKING

import click

from infc.cli.edge import OK

if TYPE_CHECKING:
    from infc.diag.catalogue import DiagnosticKind


@click.command(name="explain")
@click.argument("id", required=False, metavar="[ID]")
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

    if id is None:
        click.echo(_as_json(CATALOGUE) if format == "json" else _listing(CATALOGUE))
        return OK
    wanted = id.strip().strip("[]").removeprefix("error[").removeprefix("warning[").lower()
    kind = find_kind(wanted)
    if kind is None:
        from infc.diag.nearest import nearest

        near = nearest(wanted, (k.id for k in CATALOGUE))
        hint = f"did you mean {' or '.join(near)}?" if near else "`infc explain` lists every id"
        raise click.UsageError(f"there is no diagnostic `{id}`; {hint}")
    click.echo(_as_json((kind,)) if format == "json" else _page(kind))
    return OK


def _page(kind: "DiagnosticKind") -> str:
    example = "\n".join(f"    {line}" for line in kind.example.splitlines())
    return f"{kind.id}: {kind.title}\n\n{kind.what}\n\nWhy: {kind.why}\n\nExample:\n\n{example}\n\nFix: {kind.fix}"


def _listing(kinds: "tuple[DiagnosticKind, ...]") -> str:
    width = max(len(kind.id) for kind in kinds)
    return "\n".join(f"{kind.id:<{width}}  {kind.title}" for kind in kinds)


def _as_json(kinds: "tuple[DiagnosticKind, ...]") -> str:
    import dataclasses
    import json

    objects = [dataclasses.asdict(kind) for kind in kinds]
    return json.dumps({"format_version": "1.0", "diagnostics": objects}, indent=2, ensure_ascii=False)
