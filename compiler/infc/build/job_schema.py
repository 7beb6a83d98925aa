"""The JSON Schemas of `job.json`, `attestation.json` and of what `infc worker probe` prints."""

from collections.abc import Mapping

from infc.build.facts_json import facts_schema
from infc.build.job_json import CAPABILITY, COMPATIBILITIES, DIGEST, HARDWARE, MAJOR, PLAIN_NAME, STATUSES
from infc.ir.engine_kind import ENGINE_KINDS
from infc.ir.json_schema import object_schema
from infc.ir.precision import Precision


def job_schema() -> dict[str, object]:
    """The JSON Schema of `job.json`."""
    return {
        "description": "What `infc worker build` gets, beside the model.",
        **object_schema(
            {
                "format_version": _version_schema(),
                "key": {**_digest_schema(), "description": "the engine key: of all fields but timeout_s and names"},
                "kind": {"enum": list(ENGINE_KINDS)},
                "model": _content_schema("the lowered ONNX file"),
                "source_digest": _digest_schema(),
                "recipe_digest": _digest_schema(),
                "precision": {"enum": [precision.value for precision in Precision]},
                "shapes": {"type": "array", "items": shape_schema()},
                "hardware_id": {"type": "string", "pattern": f"^{HARDWARE.pattern}$"},
                "compute_capability": nullable({"type": "string", "pattern": f"^{CAPABILITY.pattern}$"}),
                "options": options_schema(),
                "toolchain": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "what must build it, with exact versions",
                },
                "timeout_s": {"type": "number", "exclusiveMinimum": 0},
            }
        ),
    }


def attestation_schema() -> dict[str, object]:
    """The JSON Schema of `attestation.json`."""
    texts = {"type": "array", "items": {"type": "string"}}
    return {
        "description": "What a builder says of a finished job, beside the engine.",
        **object_schema(
            {
                "format_version": _version_schema(),
                "key": _digest_schema(),
                "job_digest": {**_digest_schema(), "description": "sha256 of job.json as the builder read it"},
                "status": {"enum": list(STATUSES)},
                "engine": nullable(_content_schema("the engine")),
                "facts": nullable(facts_schema()),
                "environment": environment_schema(),
                "errors": {**texts, "description": "the library's own words for a refusal"},
                "parse_errors": texts,
                "seconds": {"type": "number", "minimum": 0},
            }
        ),
    }


def shape_schema() -> dict[str, object]:
    """The JSON Schema of the shapes of one input."""
    sizes = {"type": "array", "items": {"type": "integer", "minimum": 1}}
    text = {"type": "string", "minLength": 1}
    return object_schema({"input": text, "minimum": sizes, "optimum": sizes, "maximum": sizes})


def options_schema() -> dict[str, object]:
    """The JSON Schema of how a builder is asked to build."""
    return object_schema(
        {
            "optimization_level": nullable({"type": "integer", "minimum": 0, "maximum": 5}),
            "workspace_bytes": nullable({"type": "integer", "minimum": 1}),
            "is_version_compatible": {"type": "boolean"},
            "hardware_compatibility": {"enum": list(COMPATIBILITIES)},
            "is_weight_streaming": {"type": "boolean"},
            "is_refittable": {"type": "boolean"},
            "dla_core": nullable({"type": "integer", "minimum": 0, "maximum": 15}),
        }
    )


def environment_schema() -> dict[str, object]:
    """The JSON Schema of the machine that built, or that could build."""
    text = {"type": "string"}
    return object_schema(
        {
            "gpu": nullable(text),
            "compute_capability": nullable(text),
            "driver": nullable(text),
            "cuda": {**nullable(text), "description": "the newest CUDA version that the driver supports"},
            "machine": text,
            "system": text,
            "python": text,
            "versions": {"type": "object", "additionalProperties": text},
        }
    )


def nullable(schema: Mapping[str, object]) -> dict[str, object]:
    """What the schema says, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def _digest_schema() -> dict[str, object]:
    return {"type": "string", "pattern": f"^{DIGEST.pattern}$"}


def _version_schema() -> dict[str, object]:
    return {"type": "string", "pattern": f"^{MAJOR}\\."}


def _content_schema(description: str) -> dict[str, object]:
    name = {"type": "string", "pattern": f"^{PLAIN_NAME.pattern}$"}
    size = {"type": "integer", "minimum": 0}
    return {"description": description, **object_schema({"name": name, "digest": _digest_schema(), "size_bytes": size})}
