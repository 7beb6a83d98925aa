"""The JSON Schema of `infc compile --format json`."""

from typing import Any, get_args

from infc.ir.engine_kind import EngineKind
from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision
from infc.report.accuracy_json import accuracy_schema
from infc.report.llm_measurement_schema import llm_measurement_schema
from infc.report.measurement_schema import measurement_schema
from infc.report.plan_schema import decision_schema, estimate_schema, nullable

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def compile_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the report: one entry per bundle."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infc compile",
        "description": "What `infc compile --format json` prints: one entry per bundle that was written.",
        **object_schema(
            {
                "format_version": {"type": "string", "pattern": r"^1\.\d+$"},
                "exit_code": _COUNT,
                "bundles": {"type": "array", "items": _bundle()},
            }
        ),
    }


def _bundle() -> dict[str, Any]:
    return object_schema(
        {
            **dict.fromkeys(("name", "path", "folder"), _TEXT),
            "target": {"type": ["string", "null"], "description": "A deploy.targets entry; null is the free choice."},
            "change": {"enum": ["added", "changed", "rebuilt", "removed", "unchanged"]},
            "decision": decision_schema(),
            "estimate": estimate_schema(),
            "lowered": _lowered(),
            "accuracy": nullable(accuracy_schema()),
            "engine": {
                "anyOf": [_engine(), _pending_engine(), _device_engine(), {"type": "null"}],
                "description": "Null for a language model: its server loads the checkpoint.",
            },
            "checkpoint": nullable(_checkpoint()),
            "files": {"type": "array", "items": _TEXT, "description": "What the bundle holds."},
            "release": nullable(_release()),
            "measurement": {
                "anyOf": [*map(_inner, (measurement_schema(), llm_measurement_schema())), {"type": "null"}]
            },
        }
    )


def _inner(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as a part of another."""
    return {key: value for key, value in schema.items() if not key.startswith("$")}


def _lowered() -> dict[str, Any]:
    each = object_schema({"name": _TEXT, "changed": _COUNT, "notes": {"type": "array", "items": _TEXT}})
    return object_schema(
        {
            "precision": {"enum": [precision.value for precision in Precision]},
            "digest": _SHA256,
            "recipe": {
                "type": ["string", "null"],
                "pattern": "^[0-9a-f]{64}$",
                "description": "Null where a checkpoint is served as it is.",
            },
            "passes": {"type": "array", "items": each},
        }
    )


def _checkpoint() -> dict[str, Any]:
    digest = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
    optional = {"type": ["string", "null"]}
    return object_schema(
        {
            "folder": {**optional, "description": "Where the bundle holds it; null where the server fetches it."},
            "repo": optional,
            "revision": optional,
            "pending": {"type": "boolean", "description": "Whether the bundle waits for the weights."},
            "quantization": {**optional, "description": "What the server converts the weights to when it loads them."},
            "files": {"type": "object", "additionalProperties": digest},
            "toolchain": {"type": "object", "additionalProperties": _TEXT},
        }
    )


def _pending_engine() -> dict[str, Any]:
    reason = {**_TEXT, "description": "What it waits for: the bundle has no engine yet."}
    return object_schema({"kind": {"enum": list(get_args(EngineKind))}, "key": _SHA256, "pending": reason})


def _device_engine() -> dict[str, Any]:
    place = {"const": "device", "description": "Each device builds its own."}
    return object_schema({"kind": {"enum": list(get_args(EngineKind))}, "key": _SHA256, "built_on": place})


def _release() -> dict[str, Any]:
    return {
        "description": "What edge devices install; decisions that it serves have one bundle.",
        **object_schema(
            {
                "version": _TEXT,
                "content_digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                "archives": {"type": "array", "items": _TEXT, "description": "The release, then a delta if any."},
                "targets": {"type": "array", "items": _TEXT},
            }
        ),
    }


def _engine() -> dict[str, Any]:
    size = {"type": ["integer", "null"], "minimum": 0}
    return object_schema(
        {
            "kind": {"enum": list(get_args(EngineKind))},
            "key": _SHA256,
            "digest": _SHA256,
            "size_bytes": _COUNT,
            "activation_bytes": size,
            "weight_bytes": size,
            "toolchain": {"type": "object", "additionalProperties": _TEXT},
            "layers": {
                "type": "array",
                "items": object_schema(
                    {
                        **dict.fromkeys(("name", "kind"), _TEXT),
                        "dtype": {**_TEXT, "description": "Types of its outputs, joined by +."},
                        "input_dtype": {**_TEXT, "description": "Types of its inputs, joined by +; empty: not said."},
                        "operators": {"type": "array", "items": _TEXT, "description": "The model's own, fused here."},
                    }
                ),
            },
            "fallbacks": {
                "type": "array",
                "items": _TEXT,
                "description": "Operators that did not run where or in what they were asked, in words.",
            },
        }
    )
