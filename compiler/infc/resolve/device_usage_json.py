"""What a device did while it was measured <-> JSON, as part of stored service times; what is None is left out."""

from typing import Any, get_args

from infc.ir.device_usage import DeviceUsage, UsageSource
from infc.ir.json_schema import object_schema
from infc.resolve.json_reader import JsonObject, ProfileFormatError, plain_number

_NUMBERS = (
    "utilization",
    "memory_utilization",
    "power_w",
    "power_max_w",
    "energy_j",
    "memory_bytes",
    "clock_hz",
    "memory_clock_hz",
    "temperature_max_c",
)


def json_from_usage(usage: DeviceUsage) -> dict[str, object]:
    """The stored form."""
    numbers = {name: getattr(usage, name) for name in _NUMBERS}
    return {
        "source": usage.source,
        "samples": usage.samples,
        "seconds": plain_number(usage.seconds),
        **{name: plain_number(value) for name, value in numbers.items() if value is not None},
        "slowdowns": {reason: plain_number(share) for reason, share in usage.slowdowns.items()},
        "missing": list(usage.missing),
    }


def usage_from_json(fields: JsonObject) -> DeviceUsage:
    """The usage of a stored object; ProfileFormatError when it is none."""
    source = next((name for name in get_args(UsageSource) if name == fields.text("source")), None)
    if source is None:
        raise ProfileFormatError(f"a device is not sampled through {fields.text('source')}")
    numbers = {name: fields.number(name) for name in _NUMBERS if name in fields.names()}
    memory = numbers.pop("memory_bytes", None)
    slowdowns = fields.nested("slowdowns")
    return DeviceUsage(
        source=source,
        samples=fields.integer("samples"),
        seconds=fields.number("seconds"),
        memory_bytes=None if memory is None else int(memory),
        slowdowns={reason: slowdowns.number(reason) for reason in slowdowns.names()},
        missing=fields.texts("missing"),
        **numbers,
    )


def usage_schema() -> dict[str, Any]:
    """JSON Schema of the stored form."""
    number = {"type": "number", "minimum": 0}
    return {
        **object_schema(
            {
                "source": {"enum": list(get_args(UsageSource))},
                "samples": {"type": "integer", "minimum": 0},
                "seconds": number,
                **{name: {"type": "number"} if name == "temperature_max_c" else number for name in _NUMBERS},
                "slowdowns": {"type": "object", "additionalProperties": number},
                "missing": {"type": "array", "items": {"type": "string"}},
            },
            optional=_NUMBERS,
        ),
        "description": "What the device did while instances ran, from its own sensors; absent what it does not tell.",
    }
