"""The shape that every JSON Schema of infc is made of."""

from collections.abc import Collection, Mapping
from typing import Any


def object_schema(properties: Mapping[str, Any], optional: Collection[str] = ()) -> dict[str, Any]:
    """A closed object: these properties and no others, all required but the `optional` ones.

    >>> object_schema({"name": {"type": "string"}})["required"]
    ['name']
    """
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
