"""The part of the profiles' JSON Schema that is about language models."""

from collections.abc import Mapping

from infc.ir.json_schema import object_schema
from infc.ir.llm_profile import AttentionKind, LayerPart
from infc.ir.precision import Precision
from infc.resolve.llm_json import AROUND_STEPS, POINT_COLUMNS

_TEXT: Mapping[str, object] = {"type": "string"}
_COUNT: Mapping[str, object] = {"type": "integer", "minimum": 0}
_POSITIVE: Mapping[str, object] = {"type": "integer", "minimum": 1}
_PRECISION: Mapping[str, object] = {"enum": [str(value) for value in Precision]}
_DIGEST: Mapping[str, object] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def llm_properties() -> dict[str, object]:
    """The properties of a stored language model."""
    return {
        "name": _TEXT,
        "digest": {**_DIGEST, "description": "sha256 of the canonical config.json"},
        "architecture": _TEXT,
        "hidden": _POSITIVE,
        "vocabulary": _POSITIVE,
        "embedding_parameters": _COUNT,
        "head_parameters": _COUNT,
        "other_parameters": {**_COUNT, "description": "final norm, learned positions"},
        "is_tied": {"type": "boolean"},
        "dtype": _PRECISION,
        "max_context_tokens": _POSITIVE,
        "quantization": _nullable(_quantization()),
        "groups": {"type": "array", "items": _group(), "minItems": 1, "description": "decoder layers in order"},
        "caveats": {"type": "array", "items": object_schema({"id": _TEXT, "message": _TEXT, "help": _TEXT})},
    }


def step_time_properties() -> dict[str, object]:
    """The properties of stored step times."""
    columns = {"seconds": {"type": "number", "exclusiveMinimum": 0}}
    return {
        "model_digest": _DIGEST,
        "precision": _PRECISION,
        "hardware_id": _TEXT,
        "tensor_parallel": _POSITIVE,
        "kv_precision": _nullable(_PRECISION),
        **{key: _nullable({"type": "number", "minimum": 0}) for key in AROUND_STEPS},
        "environment": {"type": "object", "additionalProperties": _TEXT},
        "load_s": {"type": "number", "exclusiveMinimum": 0},
        "pace_spread": {"type": "number", "minimum": 1},
        "point_columns": {"const": list(POINT_COLUMNS)},
        "points": {
            "type": "array",
            "items": {
                "type": "array",
                "prefixItems": [columns.get(column, _COUNT) for column in POINT_COLUMNS],
                "items": False,
                "minItems": len(POINT_COLUMNS),
            },
        },
    }


def _group() -> dict[str, object]:
    attention = {
        "kind": {"enum": [str(kind) for kind in AttentionKind]},
        **dict.fromkeys(("query_heads", "kv_heads", "head_dim", "value_head_dim"), _POSITIVE),
        "parameters": _COUNT,
        "window_tokens": _nullable(_COUNT),
        **dict.fromkeys(("latent_dim", "state_elements", "state_bytes"), _COUNT),
        "attended_tokens": _nullable(_COUNT),
        **dict.fromkeys(("index_bytes", "replicated_parameters"), _COUNT),
    }
    feed_forward = dict.fromkeys(
        (
            *("intermediate", "matrices", "parameters", "experts", "experts_per_token"),
            *("shared_intermediate", "expert_parameters"),
        ),
        _COUNT,
    )
    return object_schema(
        {"count": _POSITIVE, "attention": object_schema(attention), "feed_forward": object_schema(feed_forward)}
    )


def _quantization() -> dict[str, object]:
    return object_schema(
        {
            "method": _TEXT,
            "weight_precision": _PRECISION,
            "activation_precision": _nullable(_PRECISION),
            "group_size": _nullable(_COUNT),
            "kv_precision": _nullable(_PRECISION),
            "unquantized": {"type": "array", "items": {"enum": [str(part) for part in LayerPart]}},
            "scale_bytes": {"type": "number", "minimum": 0},
        }
    )


def _nullable(schema: Mapping[str, object]) -> dict[str, object]:
    return {"anyOf": [schema, {"type": "null"}]}
