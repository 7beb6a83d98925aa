"""`EngineFacts` <-> JSON: the `facts` of attestations and of a worker's result."""

import re

from infc.build.strict_json import Fields
from infc.ir.engine import EngineFacts, EngineLayer
from infc.ir.json_schema import object_schema

_SETTING = re.compile(r"[ -~]{1,200}")


def json_from_facts(facts: EngineFacts) -> dict[str, object]:
    """Facts as JSON types; a layer is [name, kind, dtype]."""
    return {
        "activation_bytes": facts.activation_bytes,
        "weight_bytes": facts.weight_bytes,
        "layers": [[layer.name, layer.kind, layer.dtype] for layer in facts.layers],
        "toolchain": dict(facts.toolchain),
        "settings": dict(facts.settings),
    }


def facts_from_json(fields: Fields) -> EngineFacts:
    """Facts from a JSON object; problems go to `fields.problems`."""
    facts = EngineFacts(
        activation_bytes=fields.nullable("activation_bytes", lambda key: fields.integer(key, 0)),
        weight_bytes=fields.nullable("weight_bytes", lambda key: fields.integer(key, 0)),
        layers=tuple(EngineLayer(name=n, kind=k, dtype=d) for n, k, d in fields.rows("layers", 3)),
        toolchain=fields.texts_by_name("toolchain", _SETTING, "plain text"),
        settings=fields.texts_by_name("settings", _SETTING, "plain text"),
    )
    fields.finish()
    return facts


def facts_schema() -> dict[str, object]:
    """The JSON Schema of facts."""
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    bytes_or_null = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}
    row = {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3}
    return object_schema(
        {
            "activation_bytes": {**bytes_or_null, "description": "scratch memory of one execution"},
            "weight_bytes": bytes_or_null,
            "layers": {"type": "array", "items": row, "description": "[name, kind, type] as the builder reports them"},
            "toolchain": texts,
            "settings": {**texts, "description": "what a server must set to run the engine as it was tested"},
        }
    )
