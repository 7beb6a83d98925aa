"""`EngineFacts` <-> JSON: the `facts` of attestations and of a worker's result."""

import re
from dataclasses import asdict

from infc.build.strict_json import Fields
from infc.ir.engine import EngineFacts, EngineLayer
from infc.ir.json_schema import object_schema

_SETTING = re.compile(r"[ -~]{1,200}")


def json_from_facts(facts: EngineFacts) -> dict[str, object]:
    """Facts as JSON types."""
    return {
        "activation_bytes": facts.activation_bytes,
        "weight_bytes": facts.weight_bytes,
        "moved_bytes": facts.moved_bytes,
        "layers": [{**asdict(layer), "operators": list(layer.operators)} for layer in facts.layers],
        "toolchain": dict(facts.toolchain),
        "settings": dict(facts.settings),
        "fallbacks": list(facts.fallbacks),
    }


def facts_from_json(fields: Fields) -> EngineFacts:
    """Facts from a JSON object; problems go to `fields.problems`."""
    facts = EngineFacts(
        activation_bytes=fields.nullable("activation_bytes", lambda key: fields.integer(key, 0)),
        weight_bytes=fields.nullable("weight_bytes", lambda key: fields.integer(key, 0)),
        moved_bytes=fields.nullable("moved_bytes", lambda key: fields.integer(key, 0)),
        layers=tuple(_layer(layer) for layer in fields.objects("layers")),
        toolchain=fields.texts_by_name("toolchain", _SETTING, "plain text"),
        settings=fields.texts_by_name("settings", _SETTING, "plain text"),
        fallbacks=fields.texts("fallbacks"),
    )
    fields.finish()
    return facts


def _layer(fields: Fields) -> EngineLayer:
    layer = EngineLayer(
        name=fields.text("name"),
        kind=fields.text("kind"),
        dtype=fields.text("dtype"),
        input_dtype=fields.text("input_dtype"),
        operators=fields.texts("operators"),
    )
    fields.finish()
    return layer


def facts_schema() -> dict[str, object]:
    """The JSON Schema of facts."""
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    bytes_or_null = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}
    text = {"type": "string"}
    layer = {
        "name": {**text, "description": "the model's operators, joined by +, where the builder says them"},
        "kind": text,
        "dtype": {**text, "description": "types of its outputs, joined by +"},
        "input_dtype": {**text, "description": "types of its inputs, joined by +; empty: not said"},
        "operators": {"type": "array", "items": text, "description": "the model's operators that it does"},
    }
    return object_schema(
        {
            "activation_bytes": {**bytes_or_null, "description": "scratch memory of one execution"},
            "weight_bytes": bytes_or_null,
            "moved_bytes": {**bytes_or_null, "description": "activations that layers read and write, added up"},
            "layers": {"type": "array", "items": object_schema(layer), "description": "as the builder reports them"},
            "toolchain": texts,
            "settings": {**texts, "description": "what a server must set to run the engine as it was tested"},
            "fallbacks": {
                "type": "array",
                "items": text,
                "description": "operators that did not go where they were sent, in words",
            },
        }
    )
