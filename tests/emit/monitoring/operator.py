"""What the Prometheus operator takes: its two kinds as far as anything here uses them, strictly.

Source: prometheus-operator, Documentation/api-reference/api.md: PodMonitorSpec, PodMetricsEndpoint, RuleGroup, Rule.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema

_DURATION = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA = {
    "type": "object",
    "required": ["name", "namespace"],
    "properties": {
        "name": {"type": "string", "maxLength": 253},
        "namespace": {"type": "string"},
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
    "additionalProperties": False,
}


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


_RULE = _closed(
    ["expr"],
    record={"type": "string", "pattern": r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"},
    alert={"type": "string"},
    expr={"type": "string", "minLength": 1},
    **{"for": _DURATION, "keep_firing_for": _DURATION},
    labels=_TEXTS,
    annotations=_TEXTS,
)
_GROUP = _closed(
    ["name"], name={"type": "string", "minLength": 1}, interval=_DURATION, rules={"type": "array", "items": _RULE}
)
_ENDPOINT = _closed(
    [], port={"type": "string", "maxLength": 63}, path={"type": "string"}, interval=_DURATION, scrapeTimeout=_DURATION
)
_SPECS = {
    "PodMonitor": _closed(
        ["selector", "podMetricsEndpoints"],
        jobLabel={"type": "string"},
        selector=_closed(["matchLabels"], matchLabels=_TEXTS),
        podMetricsEndpoints={"type": "array", "items": _ENDPOINT, "minItems": 1},
    ),
    "PrometheusRule": _closed(["groups"], groups={"type": "array", "items": _GROUP}),
}


def operator_faults(manifest: Mapping[str, Any]) -> list[str]:
    """What the operator would refuse."""
    schema = _closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind={"const": manifest["kind"]},
        metadata=_METADATA,
        spec=_SPECS[manifest["kind"]],
    )
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in jsonschema.Draft7Validator(schema).iter_errors(manifest)
    ]
