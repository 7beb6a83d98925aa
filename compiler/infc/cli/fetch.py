"""`--fetch`, for every command that plans: ask the hub first what the models of the specs look like."""

from collections.abc import Sequence
from pathlib import Path

import click

fetch_option = click.option(
    "--fetch",
    "has_fetch",
    is_flag=True,
    help="First ask the Hugging Face hub for the config.json of models that nothing here describes.",
)


def fetched(paths: Sequence[Path]) -> bool:
    """Fetch what hub models look like and say so; whether all of it is known now."""
    from infc.cli.terminal import has_color
    from infc.diag import has_errors
    from infc.pipeline.fetch import fetch_models
    from infc.report.diagnostics_text import render_diagnostics

    found = fetch_models(paths, announce=lambda line: click.echo(line, err=True))
    if found:
        click.echo(render_diagnostics(found, color=has_color(stderr=True)), err=True)
    return not has_errors(found)
