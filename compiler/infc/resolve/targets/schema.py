"""JSON Schemas of the catalogue's files, generated from the field tables; `schemas/` holds them for editors."""

from typing import TypeAlias

from infc.resolve.targets.fields import HARDWARE_FIELDS, PRICE_BOOK_FIELDS, Field, FieldKind

JsonSchema: TypeAlias = dict[str, "str | float | bool | list[str] | JsonSchema"]

DATE_PATTERN = r"^\d{4}(-\d{2}(-\d{2})?)?$"


def hardware_schema() -> JsonSchema:
    """The schema of `targets/hardware/<id>.yaml`."""
    return _document("hardware", "A device of infc's catalogue", HARDWARE_FIELDS)


def prices_schema() -> JsonSchema:
    """The schema of `targets/prices/<provider>.yaml`."""
    return _document("prices", "A price book of infc's catalogue", PRICE_BOOK_FIELDS)


def _document(name: str, title: str, fields: tuple[Field, ...]) -> JsonSchema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://infc.dev/schemas/{name}.schema.json",
        "title": title,
        **_record(fields),
    }


def _record(fields: tuple[Field, ...]) -> JsonSchema:
    required = [field.key for field in fields if field.is_required]
    schema: JsonSchema = {"type": "object", "additionalProperties": False}
    if required:
        schema["required"] = required
    schema["properties"] = {field.key: {"description": field.description, **_value(field)} for field in fields}
    return schema


def _value(field: Field) -> JsonSchema:
    match field.kind:
        case FieldKind.TEXT:
            return (
                {"type": "string", "enum": list(field.choices)} if field.choices else {"type": "string", "minLength": 1}
            )
        case FieldKind.DATE:
            return {"type": "string", "pattern": DATE_PATTERN}
        case FieldKind.NUMBER:
            return {"type": "number", "exclusiveMinimum": 0}
        case FieldKind.FRACTION:
            return {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
        case FieldKind.COUNT:
            return {"type": "integer", "minimum": 1}
        case FieldKind.INDEX:
            return {"type": "integer", "minimum": 0}
        case FieldKind.FLAG:
            return {"type": "boolean"}
        case FieldKind.TEXTS:
            return {"type": "array", "items": {"type": "string", "minLength": 1}}
        case FieldKind.LABELS:
            return {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}}
        case FieldKind.RECORD:
            return _record(field.fields)
        case FieldKind.RECORDS:
            return {"type": "array", "items": _record(field.fields)}
