"""The JSON Schema of `infc-profiles/*.json`."""

from collections.abc import Mapping

from infc.ir.json_schema import object_schema
from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision
from infc.resolve.accuracy_json import accuracy_properties
from infc.resolve.device_usage_json import usage_schema
from infc.resolve.engine_json import engine_properties
from infc.resolve.llm_schema import llm_properties, step_time_properties
from infc.resolve.profile_json import FORMAT_VERSION, OPERATOR_COLUMNS

_TEXT: Mapping[str, object] = {"type": "string"}
_COUNT: Mapping[str, object] = {"type": "integer", "minimum": 0}
_POSITIVE: Mapping[str, object] = {"type": "integer", "minimum": 1}
_NUMBER: Mapping[str, object] = {"type": "number"}
_FLAG: Mapping[str, object] = {"type": "boolean"}
_DIGEST: Mapping[str, object] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_EXPRESSION: Mapping[str, object] = {"$ref": "#/$defs/expression"}
_INTERVAL: Mapping[str, object] = {"$ref": "#/$defs/interval"}


def profile_schema() -> dict[str, object]:
    """One schema for the six kinds of profile, told apart by `kind`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/profile.schema.json",
        "title": "infc profile",
        "description": "What is known of a model: operators or layers, measured times, accuracy, built engines.",
        "oneOf": [
            {"$ref": f"#/$defs/{kind}"} for kind in ("model", "service_time", "accuracy", "engine", "llm", "step_time")
        ],
        "$defs": {
            "model": _model(),
            "service_time": _service_time(),
            "accuracy": _profile(
                "accuracy", "A paired comparison of a lowered model with its reference.", accuracy_properties()
            ),
            "engine": _profile("engine", "What a builder reported of an engine.", engine_properties()),
            "llm": _profile("llm", "A language model: the shapes of its layers.", llm_properties()),
            "step_time": _profile(
                "step-time", "Measured seconds of engine steps.", step_time_properties(), ("load_s", "pace_spread")
            ),
            "tensor": _tensor(),
            "interval": object_schema({"value": _NUMBER, "low": _NUMBER, "high": _NUMBER}),
            "expression": _expression(),
            "factor": _factor(),
        },
    }


def _model() -> dict[str, object]:
    row = {
        "name": _TEXT,
        "op_type": _TEXT,
        "operator_class": {"enum": [str(value) for value in OperatorClass]},
        "is_group_output": _FLAG,
    }
    return _profile(
        "model",
        "A model as the performance models see it. Operators index the table of expressions.",
        {
            "name": _TEXT,
            "digest": {**_DIGEST, "description": "sha256 of the model file, or of the list of its files' digests"},
            "format": {"enum": ["onnx"]},
            "opset": _COUNT,
            "inputs": {"type": "array", "items": {"$ref": "#/$defs/tensor"}},
            "outputs": {"type": "array", "items": {"$ref": "#/$defs/tensor"}},
            "batch_axis": _nullable(_TEXT),
            "fixed_batch": _nullable(_COUNT),
            "axes": {"type": "array", "items": _TEXT},
            "parameter_elements": _COUNT,
            "weight_bytes": _COUNT,
            "peak_activation_elements": {**_COUNT, "description": "index into expressions"},
            "caveats": {"type": "array", "items": object_schema({"id": _TEXT, "message": _TEXT, "help": _TEXT})},
            "operator_columns": {"const": list(OPERATOR_COLUMNS)},
            "operators": {
                "type": "array",
                "items": {
                    "type": "array",
                    "prefixItems": [row.get(column, _COUNT) for column in OPERATOR_COLUMNS],
                    "items": False,
                    "minItems": len(OPERATOR_COLUMNS),
                },
            },
            "expressions": {"type": "array", "items": _EXPRESSION},
        },
    )


def _service_time() -> dict[str, object]:
    point = {
        "batch_size": _POSITIVE,
        "axes": {"type": "object", "additionalProperties": _POSITIVE},
        "seconds": _INTERVAL,
        "executions": _COUNT,
        "device_s": {**_INTERVAL, "description": "Seconds of the execution alone, by the device's own clock."},
        "power_w": {**_NUMBER, "description": "Mean draw of the device meanwhile."},
    }
    return _profile(
        "service-time",
        "Measured seconds of one execution at each batch size.",
        {
            "model_digest": _DIGEST,
            "precision": {"enum": [str(value) for value in Precision]},
            "hardware_id": _TEXT,
            "engine_kind": _TEXT,
            "instances": _POSITIVE,
            "environment": {"type": "object", "additionalProperties": _TEXT},
            "points": {"type": "array", "items": object_schema(point, optional=("device_s", "power_w"))},
            "usage": usage_schema(),
            "load_s": {"type": "number", "exclusiveMinimum": 0},
        },
        optional=("usage", "load_s"),
    )


def _tensor() -> dict[str, object]:
    return object_schema(
        {
            "name": _TEXT,
            "dtype": _TEXT,
            "shape": {"type": "array", "items": {"type": ["integer", "string"]}},
            "elements": _nullable(_EXPRESSION),
        }
    )


def _expression() -> dict[str, object]:
    return {
        "type": "array",
        "description": "a sum of monomials: a coefficient, then its factors",
        "items": {"type": "array", "prefixItems": [_NUMBER], "items": {"$ref": "#/$defs/factor"}, "minItems": 1},
    }


def _factor() -> dict[str, object]:
    options = {"type": "array", "items": _EXPRESSION, "minItems": 1}
    floor = {"type": "array", "prefixItems": [_EXPRESSION, _POSITIVE], "items": False, "minItems": 2}
    return {
        "description": "an axis, floor(expression / number), or the largest or smallest of expressions",
        "oneOf": [
            _TEXT,
            object_schema({"floor": floor}),
            object_schema({"max": options}),
            object_schema({"min": options}),
        ],
    }


def _profile(
    kind: str, description: str, properties: Mapping[str, object], optional: tuple[str, ...] = ()
) -> dict[str, object]:
    version = {"type": "string", "pattern": f"^{FORMAT_VERSION.split('.')[0]}\\."}
    head: dict[str, object] = {"format_version": version, "kind": {"const": kind}}
    return {"description": description, **object_schema({**head, **properties}, optional)}


def _nullable(schema: Mapping[str, object]) -> dict[str, object]:
    return {"anyOf": [schema, {"type": "null"}]}
