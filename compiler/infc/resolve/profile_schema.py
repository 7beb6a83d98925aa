"""The JSON Schema of `infc-profiles/*.json`."""

from collections.abc import Mapping

from infc.ir.accuracy import Verdict
from infc.ir.json_schema import object_schema
from infc.ir.model_profile import OperatorClass
from infc.ir.precision import Precision
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
    """One schema for the five kinds of profile, told apart by `kind`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://infc.dev/schemas/profile.schema.json",
        "title": "infc profile",
        "description": "What is known of a model: its operators or layers, measured times, or accuracy evidence.",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in ("model", "service_time", "accuracy", "llm", "step_time")],
        "$defs": {
            "model": _model(),
            "service_time": _service_time(),
            "accuracy": _accuracy(),
            "llm": _profile("llm", "A language model: the shapes of its layers.", llm_properties()),
            "step_time": _profile("step-time", "Measured seconds of engine steps.", step_time_properties()),
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
            "points": {"type": "array", "items": object_schema(point)},
        },
    )


def _accuracy() -> dict[str, object]:
    return _profile(
        "accuracy",
        "A paired comparison of a lowered model with its reference.",
        {
            "model_digest": _DIGEST,
            "precision": {"enum": [str(value) for value in Precision]},
            "recipe_digest": _TEXT,
            "subject": _TEXT,
            "dataset_digest": _TEXT,
            "metric": _TEXT,
            "samples": _COUNT,
            "confidence": _NUMBER,
            "reference": _NUMBER,
            "value": _INTERVAL,
            "drop": _INTERVAL,
            "floor": _nullable(_NUMBER),
            "max_drop": _nullable(_NUMBER),
            "verdict": {"enum": [str(value) for value in Verdict]},
            "samples_needed": _nullable(_COUNT),
            "kept": {"type": "array", "items": _TEXT},
            "slices": {
                "type": "array",
                "items": object_schema(
                    {"name": _TEXT, "samples": _COUNT, "reference": _NUMBER, "value": _NUMBER, "drop": _INTERVAL}
                ),
            },
        },
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


def _profile(kind: str, description: str, properties: Mapping[str, object]) -> dict[str, object]:
    version = {"type": "string", "pattern": f"^{FORMAT_VERSION.split('.')[0]}\\."}
    head: dict[str, object] = {"format_version": version, "kind": {"const": kind}}
    return {"description": description, **object_schema({**head, **properties})}


def _nullable(schema: Mapping[str, object]) -> dict[str, object]:
    return {"anyOf": [schema, {"type": "null"}]}
