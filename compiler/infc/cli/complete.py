"""What a shell offers for arguments that are neither files nor a fixed choice."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def hardware_ids(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Devices of the catalogue and of the user's own `targets/`, by their file names: nothing is read."""
    from infc.resolve.targets import data_directory

    folders = (data_directory("targets") / "hardware", Path("targets") / "hardware")
    ids = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    return sorted(id for id in ids if id.startswith(incomplete))


def diagnostic_ids(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Every id that `infc explain` knows, with its title."""
    from click.shell_completion import CompletionItem

    from infc.diag.catalogue import CATALOGUE

    return [CompletionItem(kind.id, help=kind.title) for kind in CATALOGUE if kind.id.startswith(incomplete)]
