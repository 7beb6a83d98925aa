"""The JSON Schema of the spec language, as editors use it."""

from typing import cast

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

from infc.ir.spec import Spec
from infc.ir.spec.base import SpecModel
from infc.spec.part_schema import part_schema

SCHEMA_ID = "https://infc.dev/schemas/spec.schema.json"
_EXTENDS: dict[str, object] = {
    "type": "string",
    "minLength": 1,
    "description": "A file of shared keys, relative to this spec, that this spec lies over: mappings merge, everything "
    "else replaces, null takes an inherited key away. One level.",
    "examples": ["../base.yaml"],
}


def spec_schema() -> dict[str, object]:
    """The schema that `infc schema spec` prints; for the `# yaml-language-server: $schema=` line.

    It accepts what the loader accepts up to rules across fields, so an editor never marks a valid spec. (One that
    leaves a required key of a block to shared defaults, or takes a default away, names the schema of parts instead.)
    """
    whole = editor_schema(Spec)
    part = part_schema(whole)
    definitions: dict[str, object] = {}
    for schema in (whole, part):
        definitions |= cast("dict[str, object]", schema.pop("$defs"))
        properties = cast("dict[str, object]", schema["properties"])
        schema["properties"] = {"extends": _EXTENDS, **properties}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "infc inference spec",
        "description": whole["description"],
        "type": "object",
        "if": {"required": ["extends"]},
        "then": {"$ref": "#/$defs/Overlay"},
        "else": {"$ref": "#/$defs/Spec"},
        "$defs": {"Spec": whole, "Overlay": part, **definitions},
    }


def spec_part_schema() -> dict[str, object]:
    """The schema of what specs share, for editors: a base that specs extend, and `infc-defaults.yaml`."""
    part = part_schema(editor_schema(Spec))
    return {**part, "description": "Keys of inference specs that several share; nothing is required."}


def editor_schema(model: type[SpecModel]) -> dict[str, object]:
    """The schema of what people write, without what only clutters an editor."""
    return model.model_json_schema(by_alias=True, schema_generator=_EditorSchema)


class _EditorSchema(GenerateJsonSchema):
    """Leaves out what only clutters an editor: generated titles, null for absent keys and internal defaults."""

    def generate(self, schema: object, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        """The whole schema."""
        full = super().generate(schema, mode)  # type: ignore[arg-type]
        return cast("JsonSchemaValue", _cleaned(full, is_schema=True))


def _cleaned(value: object, *, is_schema: bool) -> object:
    """Without titles, null alternatives and null defaults. Schemas are cleaned, not maps of names to schemas."""
    if isinstance(value, list):
        return [_cleaned(item, is_schema=is_schema) for item in value]
    if not isinstance(value, dict):
        return value
    if not is_schema:
        return {key: _cleaned(item, is_schema=True) for key, item in value.items()}
    cleaned: dict[str, object] = {}
    for key, item in value.items():
        if key == "default" and isinstance(item, float) and value.get("type") == "string":
            cleaned[key] = f"{item * 100:g}%"  # a fraction; people write it as a percentage
            continue
        if key == "title" or (key == "default" and (item is None or isinstance(item, dict | list))):
            continue
        if key in {"enum", "examples", "const", "default", "required"}:
            cleaned[key] = item
            continue
        cleaned[key] = _cleaned(item, is_schema=key not in {"properties", "$defs", "patternProperties"})
    return _without_null(cleaned)


def _without_null(schema: dict[str, object]) -> dict[str, object]:
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return schema
    rest = [choice for choice in choices if choice != {"type": "null"}]
    outer = {key: item for key, item in schema.items() if key != "anyOf"}
    return {**rest[0], **outer} if len(rest) == 1 else {**outer, "anyOf": rest}
