"""Reads what `edge.py status --format json` prints on a device. Fields that a newer agent adds are not looked at."""

from collections.abc import Callable
from typing import TypeVar

from infc.build.edge_acceptance_json import acceptance_from_fields, device_from_fields
from infc.build.edge_release_json import MAJOR, NAME, PLAIN, POWER_MODE, TEXT
from infc.build.strict_json import FieldProblem, Fields, object_from_bytes
from infc.ir.edge_status import DeviceStatus, EdgeDeployment, InstallJournal, ServiceState

T = TypeVar("T")


def status_from_bytes(content: bytes) -> DeviceStatus | tuple[FieldProblem, ...]:
    """The status that a device printed, or everything that is wrong with it."""
    fields = object_from_bytes(content, MAJOR)
    if any(problem.path == "$" for problem in fields.problems):
        return tuple(fields.problems)
    status = DeviceStatus(
        agent=fields.text("agent", PLAIN, "a version of infc"),
        device=device_from_fields(fields.nested("device")),
        power_mode=fields.nullable("power_mode", lambda key: fields.text(key, POWER_MODE, "an nvpmodel mode")),
        deployments=tuple(_deployment(each) for each in fields.objects("deployments")),
    )
    return tuple(fields.problems) or status


def _deployment(fields: Fields) -> EdgeDeployment:
    def told(key: str) -> str | None:
        return fields.nullable(key, lambda name: fields.text(name, TEXT, "text"))

    return EdgeDeployment(
        name=fields.text("name", NAME, "the name of a spec"),
        release=told("release"),
        previous=told("previous"),
        acceptance=_object(fields, "acceptance", acceptance_from_fields),
        engine_key_now=told("engine_key_now"),
        journal=_object(fields, "journal", _journal),
        service=_object(fields, "service", _service),
        rejected=_object(fields, "rejected", acceptance_from_fields),
    )


def _journal(fields: Fields) -> InstallJournal:
    return InstallJournal(
        step=fields.text("step", PLAIN, "a step"),
        release=fields.nullable("release", lambda key: fields.text(key, PLAIN, "a release")),
        is_under_way=fields.flag("is_under_way"),
    )


def _service(fields: Fields) -> ServiceState:
    return ServiceState(
        unit=fields.text("unit"),
        is_active=fields.nullable("is_active", fields.flag),
        is_ready=fields.nullable("is_ready", fields.flag),
    )


def _object(fields: Fields, key: str, read: Callable[[Fields], T]) -> T | None:
    """What `read` makes of a nested object; None where it says null."""
    return fields.nullable(key, lambda name: read(fields.nested(name)))
