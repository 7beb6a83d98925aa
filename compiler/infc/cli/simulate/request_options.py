"""Options of `infc simulate triton`: what requests carry, service times by size, queue policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from infc.sim.queue_policy import QueuePolicy

Shares = dict[int, float]
_MAX_VALUE = 10_000_000
_POLICY_EXAMPLE = "2:timeout-us=5000,action=reject,max-queue-size=64"


def milliseconds_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[float, ...]:
    """Positive milliseconds from text such as 5.4,8.7; empty without any."""
    return () if value is None else _milliseconds(value)


def _milliseconds(value: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers separated by commas") from None
    if not all(0.0 < number < float("inf") for number in numbers):
        raise click.BadParameter(f"{value!r} must hold finite numbers greater than zero")
    return numbers


def sizes_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Ascending sizes from text such as 2,4; empty without any."""
    if value is None:
        return ()
    try:
        sizes = tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers separated by commas") from None
    if sizes[0] < 1:
        raise click.BadParameter(f"{value!r} must hold sizes from 1 on")
    return sizes


def shares_option(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Shares | None:
    """Values with their shares from text such as 1:0.7,4:0.3, or one value for all."""
    if value is None:
        return None
    shares: Shares = {}
    for part in value.split(","):
        number, colon, share_text = part.strip().partition(":")
        try:
            share = float(share_text) if colon else 1.0
        except ValueError:
            share = 0.0
        if not number.isdecimal() or not 1 <= int(number) <= _MAX_VALUE or not 0.0 < share < float("inf"):
            raise click.BadParameter(f"{part!r} is no value with a share; write 1:0.7,4:0.3, or one value")
        if int(number) in shares:
            raise click.BadParameter(f"{number} is named twice in {value!r}")
        shares[int(number)] = share
    return shares


def axis_times_option(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[int, tuple[float, ...]]:
    """Milliseconds by batch size at each axis size, from texts such as 128:5.4,8.7."""
    times: dict[int, tuple[float, ...]] = {}
    for value in values:
        size, colon, listed = value.partition(":")
        if not colon or not size.strip().isdecimal() or not 1 <= int(size) <= _MAX_VALUE:
            raise click.BadParameter(f"{value!r} is no axis size with times; write 128:5.4,8.7,11.9")
        if int(size) in times:
            raise click.BadParameter(f"the axis size {int(size)} is named twice")
        times[int(size)] = _milliseconds(listed)
    return dict(sorted(times.items()))


def groups_option(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[int, float], ...]:
    """Further instance groups as (count, factor) from texts such as 1:2.5."""
    groups = []
    for value in values:
        count, _, factor_text = value.partition(":")
        try:
            factor = float(factor_text)
        except ValueError:
            factor = 0.0
        if not count.strip().isdecimal() or not 1 <= int(count) <= 1024 or not 0.0 < factor < float("inf"):
            raise click.BadParameter(f"{value!r} is no group; write COUNT:FACTOR, such as 1:2.5")
        groups.append((int(count), factor))
    return tuple(groups)


def level_policies_option(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[int, QueuePolicy]:
    """Queue policies by priority level."""
    from infc.sim.queue_policy import QueuePolicy

    policies: dict[int, QueuePolicy] = {}
    for value in values:
        level, colon, listed = value.partition(":")
        fields = dict(part.strip().partition("=")[::2] for part in listed.split(",") if part.strip())
        action = fields.pop("action", "reject")
        timeout, size = fields.pop("timeout-us", "0"), fields.pop("max-queue-size", "0")
        is_number = timeout.isdecimal() and size.isdecimal() and level.strip().isdecimal()
        if not colon or fields or not is_number or action not in ("reject", "delay"):
            raise click.BadParameter(f"{value!r} is no policy of a level; write {_POLICY_EXAMPLE}")
        policies[int(level)] = QueuePolicy(
            timeout_s=int(timeout) * 1e-6,
            timeout_action="delay" if action == "delay" else "reject",
            max_queue_size=int(size),
        )
    return policies
