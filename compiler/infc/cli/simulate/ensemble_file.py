"""The file of `infc simulate triton --ensemble`: the steps of an ensemble, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infc.resolve.json_reader import JsonObject, ProfileFormatError, number_from, object_of_text

if TYPE_CHECKING:
    from infc.sim.queue_policy import QueueRules
    from infc.sim.step import Step

EXAMPLE = """{"host_cores": 4, "steps": [
  {"name": "pre", "service_ms": [1.5], "instances": 4, "on": "host"},
  {"name": "model", "service_ms": [4.5, 5, 5.5, 6], "max_batch_size": 4, "max_queue_delay_us": 500},
  {"name": "post", "service_ms": [0.8], "instances": 2, "on": "host"}]}"""
_STEP_KEYS = (
    "name",
    "service_ms",
    "instances",
    "on",
    "after",
    "max_batch_size",
    "max_queue_delay_us",
    "preferred",
    "prefetch",
    "priority_levels",
    "default_priority",
    "queue_timeout_us",
    "timeout_action",
    "max_queue_size",
)


def ensemble_option(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[tuple[Step, ...], int | None] | None:
    """Steps and host cores from a file."""
    if value is None:
        return None
    try:
        text = Path(value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"cannot read {value}: {error}") from None
    try:
        return _ensemble(object_of_text(text))
    except (ProfileFormatError, ValueError) as error:
        told = str(error).replace("profile", "the ensemble", 1)
        raise click.BadParameter(f"{value}: {told}. An ensemble is written so:\n{EXAMPLE}") from None


def _ensemble(document: JsonObject) -> tuple[tuple[Step, ...], int | None]:
    _require_known(document, ("host_cores", "steps"), "the ensemble")
    steps: list[Step] = []
    for each in document.nested_list("steps"):
        steps.append(_step(each, steps[-1].name if steps else None))
    if not steps:
        raise ValueError("an ensemble has at least one step")
    cores = document.integer("host_cores") if "host_cores" in document.names() else None
    if cores is not None and cores < 1:
        raise ValueError("host_cores is the number of the host's cores, from 1 on")
    return tuple(steps), cores


def _step(fields: JsonObject, before: str | None) -> Step:
    """One step; without `after` it follows the step that is written before it."""
    from infc.ir.candidate import DynamicBatching
    from infc.sim.service_times import ServiceTable
    from infc.sim.step import InstanceGroup, Step

    given = fields.names()
    name = fields.text("name")
    _require_known(fields, _STEP_KEYS, f"step {name}")
    service_s = tuple(number_from(each, "service_ms") * 1e-3 for each in fields.items("service_ms"))
    maximum = fields.integer("max_batch_size") if "max_batch_size" in given else len(service_s)
    place = fields.text("on") if "on" in given else "device"
    if place not in ("host", "device"):
        raise ValueError(f"step {name} is on the host or on a device, not {place!r}")
    preferred = (
        tuple(int(number_from(each, "preferred")) for each in fields.items("preferred")) if "preferred" in given else ()
    )
    batching = DynamicBatching(
        max_batch_size=maximum,
        max_queue_delay_s=_number(fields, "max_queue_delay_us") * 1e-6,
        preferred_batch_sizes=preferred,
        has_prefetch=fields.boolean("prefetch") if "prefetch" in given else True,
    )
    rules = _rules(fields)
    after = fields.texts("after") if "after" in given else () if before is None else (before,)
    return Step(
        name=name,
        groups=(InstanceGroup(service=ServiceTable.of_batch(service_s), count=int(_number(fields, "instances", 1))),),
        batching=batching if maximum > 1 or not rules.allows_prefetch else None,
        rules=rules,
        after=after,
        shares_host=place == "host",
    )


def _rules(fields: JsonObject) -> QueueRules:
    from infc.sim.queue_policy import QueuePolicy, QueueRules

    levels = int(_number(fields, "priority_levels"))
    action = fields.text("timeout_action") if "timeout_action" in fields.names() else "reject"
    if action not in ("reject", "delay"):
        raise ValueError(f"a timeout_action is reject or delay, not {action!r}")
    policy = QueuePolicy(
        timeout_s=_number(fields, "queue_timeout_us") * 1e-6,
        timeout_action="delay" if action == "delay" else "reject",
        max_queue_size=int(_number(fields, "max_queue_size")),
    )
    return QueueRules(policy=policy, levels=levels, default_level=int(_number(fields, "default_priority", levels)))


def _number(fields: JsonObject, key: str, default: float = 0.0) -> float:
    value = fields.number(key) if key in fields.names() else default
    if value < 0.0:
        raise ValueError(f"{key} must not be negative")
    return value


def _require_known(fields: JsonObject, known: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(fields.names()) - set(known))
    if unknown:
        raise ValueError(f"{where} has no field {unknown[0]!r}; there are {', '.join(known)}")
