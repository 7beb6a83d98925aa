"""The JSON Schema of a part of a document: nothing is required, and null takes an inherited key away."""

from collections.abc import Mapping
from typing import cast

_REFERENCE = "#/$defs/"
_PART = "Part"


def part_schema(whole: Mapping[str, object]) -> dict[str, object]:
    """The schema of parts of what `whole` describes. Items of lists stay whole: a list replaces a list."""
    definitions = cast("Mapping[str, Mapping[str, object]]", whole.get("$defs", {}))
    parts = {f"{name}{_PART}": _part(schema) for name, schema in definitions.items()}
    root = _part({key: value for key, value in whole.items() if key != "$defs"})
    return {**root, "$defs": _used(root, {**definitions, **parts})}


def _part(schema: Mapping[str, object]) -> dict[str, object]:
    part: dict[str, object] = {}
    for key, value in schema.items():
        match key:
            case "required" | "minProperties":
                continue
            case "$ref":
                part[key] = f"{value}{_PART}"
            case "properties" | "patternProperties":
                part[key] = {name: _removable(child) for name, child in cast("Mapping[str, object]", value).items()}
            case "additionalProperties" if isinstance(value, dict):
                part[key] = _removable(value)
            case "anyOf" | "oneOf":  # a part may fit several of them
                part["anyOf"] = [_part(child) for child in cast("list[Mapping[str, object]]", value)]
            case _:
                part[key] = value
    return part


def _removable(schema: object) -> dict[str, object]:
    """The schema of the value of an inherited key: what it may be, or null; the description stays outside."""
    part = _part(cast("Mapping[str, object]", schema))
    outer: dict[str, object] = {key: part.pop(key) for key in ("description", "examples") if key in part}
    return {**outer, "anyOf": [part, {"type": "null"}]}


def _used(root: Mapping[str, object], definitions: Mapping[str, object]) -> dict[str, object]:
    """The definitions that the root needs, by name."""
    used: dict[str, object] = {}
    waiting: list[object] = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            reference = value.get("$ref")
            name = reference.removeprefix(_REFERENCE) if isinstance(reference, str) else ""
            if name in definitions and name not in used:
                used[name] = definitions[name]
                waiting.append(definitions[name])
            waiting += value.values()
    return dict(sorted(used.items()))
