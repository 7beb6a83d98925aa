"""Options of `infc simulate vllm`: lengths, shares, times and measured steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.ir.quantity import QuantityError, parse_duration_s, parse_fraction, parse_percentile

if TYPE_CHECKING:
    from infc.ir.problem import AxisDistribution
    from infc.resolve.step_profile import StepProfile

MAX_LENGTH = 10_000_000
_EXAMPLE = "512, or p50:512,p90:1800,max:4096"


def lengths_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> AxisDistribution | None:
    """Lengths from text: one number for all, or percentiles and the maximum."""
    from infc.ir.problem import AxisDistribution

    if value is None:
        return None
    if value.strip().isdecimal():
        return AxisDistribution(percentiles={}, maximum=_length(value))
    percentiles: dict[float, int] = {}
    maximum = None
    for part in value.split(","):
        name, colon, number = part.strip().partition(":")
        if not colon:
            raise click.BadParameter(f"{part!r} is no length; write {_EXAMPLE}")
        if name == "max":
            maximum = _length(number)
            continue
        try:
            percentiles[parse_percentile(name)] = _length(number)
        except QuantityError as error:
            raise click.BadParameter(f"{error.message}: {error.help}") from None
    ordered = [percentiles[each] for each in sorted(percentiles)]
    if maximum is None:
        raise click.BadParameter(f"{value!r} has no max; write {_EXAMPLE}")
    if [*ordered, maximum] != sorted([*ordered, maximum]):
        raise click.BadParameter(f"{value!r} must not fall from one percentile to the next, and none exceed max")
    return AxisDistribution(percentiles=percentiles, maximum=maximum)


def _length(text: str) -> int:
    stripped = text.strip()
    if not stripped.isdecimal() or not 1 <= int(stripped) <= MAX_LENGTH:
        raise click.BadParameter(f"{text!r} is not a number of tokens from 1 on; write {_EXAMPLE}")
    return int(stripped)


def share_option(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    """A share from text such as 30%."""
    try:
        return parse_fraction(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None


def duration_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Seconds from text such as 20ms; 0 needs no unit."""
    try:
        return None if value is None else 0.0 if value.strip() == "0" else parse_duration_s(value)
    except QuantityError as error:
        raise click.BadParameter(f"{error.message}: {error.help}") from None


def step_profile_option(_ctx: click.Context, _param: click.Parameter, value: Path) -> StepProfile:
    """The measured steps of a file."""
    from infc.resolve.step_profile import step_profile_from_text

    try:
        text = value.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise click.BadParameter(f"{value} is not UTF-8 text") from None
    except OSError as error:
        raise click.BadParameter(f"cannot read {value}: {error.strerror or error}") from None
    profile, problems = step_profile_from_text(text)
    if profile is None:
        raise click.BadParameter(f"{value}: " + "; ".join(problems))
    return profile
