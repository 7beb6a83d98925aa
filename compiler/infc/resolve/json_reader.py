"""Strict reading of infc's own JSON files: every field must be there and of its type; the error names the path."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeVar

T = TypeVar("T")


class ProfileFormatError(ValueError):
    """A stored profile is not what infc wrote; the text names the field."""


class JsonObject:
    """One JSON object of a profile. Every getter raises ProfileFormatError for an absent or mistyped field."""

    def __init__(self, fields: Mapping[str, object], where: str) -> None:
        self._fields = fields
        self._where = where

    def text(self, key: str) -> str:
        """A string."""
        value = self._get(key)
        if not isinstance(value, str):
            self._fail(key, "text")
        return value

    def integer(self, key: str) -> int:
        """A whole number."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            self._fail(key, "a whole number")
        return value

    def number(self, key: str) -> float:
        """A number."""
        return number_from(self._get(key), f"{self._where}.{key}")

    def boolean(self, key: str) -> bool:
        """True or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            self._fail(key, "true or false")
        return value

    def optional(self, key: str, read: Callable[[str], T]) -> T | None:
        """`read(key)`, or None where the file says null."""
        return None if self._get(key) is None else read(key)

    def items(self, key: str) -> Sequence[object]:
        """A list of anything."""
        value = self._get(key)
        if not isinstance(value, list):
            self._fail(key, "a list")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        values = tuple(value for value in self.items(key) if isinstance(value, str))
        if len(values) != len(self.items(key)):
            self._fail(key, "a list of texts")
        return values

    def nested(self, key: str) -> "JsonObject":
        """A nested object."""
        return object_from(self._get(key), f"{self._where}.{key}")

    def nested_list(self, key: str) -> tuple["JsonObject", ...]:
        """A list of objects."""
        return tuple(object_from(item, f"{self._where}.{key}[{i}]") for i, item in enumerate(self.items(key)))

    def names(self) -> tuple[str, ...]:
        """The names of all fields."""
        return tuple(self._fields)

    def _get(self, key: str) -> object:
        if key not in self._fields:
            raise ProfileFormatError(f"{self._where} has no {key!r}")
        return self._fields[key]

    def _fail(self, key: str, expected: str) -> NoReturn:
        raise ProfileFormatError(f"{self._where}.{key} is not {expected}")


def object_from(value: object, where: str) -> JsonObject:
    """`value` as an object; ProfileFormatError when it is none."""
    if not isinstance(value, dict):
        raise ProfileFormatError(f"{where} is not an object")
    return JsonObject(value, where)


def number_from(value: object, where: str) -> float:
    """`value` as a finite number; ProfileFormatError when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == float("inf"):
        raise ProfileFormatError(f"{where} is not a number")
    return float(value)


def object_of_text(text: str) -> JsonObject:
    """The object that a JSON file holds; ProfileFormatError when it is no JSON or no object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProfileFormatError(f"it is not JSON: {error}") from error
    return object_from(value, "profile")


def canonical_json(value: Mapping[str, object]) -> str:
    """JSON as infc stores it: sorted keys, one line for each item of a top-level list, a newline at the end."""
    lines = []
    for key in sorted(value):
        field = value[key]
        if isinstance(field, list) and field and isinstance(field[0], list | dict):
            rows = ",\n".join(f"  {_compact(item)}" for item in field)
            lines.append(f" {_compact(key)}: [\n{rows}\n ]")
        else:
            lines.append(f" {_compact(key)}: {_compact(field)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def plain_number(value: float) -> int | float:
    """Whole numbers without a fraction, so that equal values are equal text.

    >>> plain_number(3.0), plain_number(0.5)
    (3, 0.5)
    """
    return int(value) if value == int(value) and abs(value) < 2**53 else value
