"""Evidence of built engines <-> JSON, as stored in `infc-profiles/engine-*.json`. Equal values give equal bytes."""

from collections.abc import Mapping

from infc.ir.engine_evidence import EngineEvidence
from infc.ir.engine_kind import ENGINE_KINDS, EngineKind
from infc.ir.precision import Precision
from infc.resolve.json_reader import ProfileFormatError, canonical_json
from infc.resolve.profile_json import FORMAT_VERSION, member, opened_profile

_COUNT: Mapping[str, object] = {"type": "integer", "minimum": 0}


def text_from_engine(evidence: EngineEvidence) -> str:
    """The stored form."""
    return canonical_json(
        {
            "format_version": FORMAT_VERSION,
            "kind": "engine",
            "model_digest": evidence.model_digest,
            "precision": str(evidence.precision),
            "recipe_digest": evidence.recipe_digest,
            "engine_kind": evidence.kind,
            "compute_capability": evidence.compute_capability,
            "max_batch_size": evidence.max_batch_size,
            "maximum_elements": evidence.maximum_elements,
            "activation_bytes": evidence.activation_bytes,
            "weight_bytes": evidence.weight_bytes,
            "moved_bytes": evidence.moved_bytes,
            "layer_types": dict(evidence.layer_types),
            "refusal": evidence.refusal,
        }
    )


def engine_from_text(text: str) -> EngineEvidence:
    """The evidence of a stored text; ProfileFormatError when it is none."""
    fields = opened_profile(text, "engine")
    layers = fields.nested("layer_types")
    return EngineEvidence(
        model_digest=fields.text("model_digest"),
        precision=member(Precision, fields.text("precision")),
        recipe_digest=fields.text("recipe_digest"),
        kind=_kind(fields.text("engine_kind")),
        compute_capability=fields.text("compute_capability"),
        max_batch_size=fields.integer("max_batch_size"),
        maximum_elements=fields.integer("maximum_elements"),
        activation_bytes=fields.integer("activation_bytes"),
        weight_bytes=fields.integer("weight_bytes"),
        moved_bytes=fields.optional("moved_bytes", fields.integer),
        refusal=fields.text("refusal"),
        layer_types=tuple((name, layers.integer(name)) for name in sorted(layers.names())),
    )


def _kind(text: str) -> EngineKind:
    for kind in ENGINE_KINDS:
        if kind == text:
            return kind
    raise ProfileFormatError(f"{text!r} is not one of {', '.join(ENGINE_KINDS)}")


def engine_properties() -> dict[str, object]:
    """The fields of the JSON Schema."""
    return {
        "model_digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "precision": {"enum": [str(value) for value in Precision]},
        "recipe_digest": {"type": "string"},
        "engine_kind": {"enum": list(ENGINE_KINDS)},
        "compute_capability": {"type": "string"},
        "max_batch_size": {"type": "integer", "minimum": 1},
        "maximum_elements": {**_COUNT, "description": "of the largest shapes it accepts, over all inputs"},
        "activation_bytes": _COUNT,
        "weight_bytes": _COUNT,
        "moved_bytes": {
            "anyOf": [_COUNT, {"type": "null"}],
            "description": "activations that its layers read and write at the largest shapes, added up",
        },
        "refusal": {"type": "string", "description": "why no such engine was made; empty when it was"},
        "layer_types": {"type": "object", "additionalProperties": _COUNT, "description": "layers by type of output"},
    }
