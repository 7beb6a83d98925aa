"""What `infc compile` says of options that had nothing to act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from infc.build.builders.address import Address
    from infc.pipeline.compile import CompiledTarget
    from infc.pipeline.compile_many import SpecOutcome
    from infc.pipeline.saved_plan import SavedPlan


def show_unasked(builders: tuple[Address, ...], delta_from: Path | None, outcomes: list[SpecOutcome]) -> None:
    """Say which options had nothing to act on."""
    from infc.build.builders.address import LocalAddress
    from infc.pipeline.settled import SettledLlm

    compiled = [each for outcome in outcomes if outcome.result is not None for each in outcome.result.compiled]
    edge = _names(each for each in compiled if each.release is not None)
    if builders != (LocalAddress(),):
        names = _names(each for each in compiled if isinstance(each.settled, SettledLlm))
        if names:
            _note(f"--builder does not apply to {names}: a language model has no engine, and its checkpoint is "
                  "quantised on this machine")  # fmt: skip
        if edge:
            _note(f"--builder does not apply to {edge}: Jetson modules build their engines themselves")
    if delta_from is not None and compiled and not edge:
        _note("--delta-from has no effect: the spec is for no edge device")


def show_saved(saved_plan: SavedPlan, paths: Sequence[Path]) -> None:
    """Say what of a saved plan a compile does not do."""
    if not paths:
        _note(f"{saved_plan.name} changes no deployment: there is nothing to compile")
    removed = saved_plan.removed()
    if removed:
        _note(f"the plan removes {', '.join(removed)}: `infc lock` takes that out of infc.lock")


def show_unvalidated(outcomes: list[SpecOutcome]) -> None:
    """Say where a load test runs that needs the device itself."""
    compiled = [each for outcome in outcomes if outcome.result is not None for each in outcome.result.compiled]
    for folder in dict.fromkeys(each.folder.as_posix() for each in compiled if each.release is not None):
        _note(f"{folder} is validated on a device: infc sign, then infc validate {folder} ssh://USER@DEVICE")


def _names(compiled: Iterable[CompiledTarget]) -> str:
    return ", ".join(dict.fromkeys(each.entry.name for each in compiled))


def _note(text: str) -> None:
    click.echo(f"note: {text}", err=True)
