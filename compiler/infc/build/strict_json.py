"""Strict reading of JSON that another machine or a person wrote: every problem at once, each with its path and a fix.

A getter of `Fields` that meets a problem notes it and returns a placeholder of the right type; the caller builds its
value and drops it when `problems` is not empty.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from infc.diag.nearest import did_you_mean

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, kw_only=True)
class FieldProblem:
    """One thing that is wrong: where (`$.shapes[0].minimum`), what, and what to do."""

    path: str
    message: str
    fix: str


class Fields:
    """One JSON object that is being read. Every getter marks its field as known; `finish` reports the others."""

    def __init__(self, value: object, path: str, problems: list[FieldProblem]) -> None:
        self._fields: dict[str, object] = value if isinstance(value, dict) else {}
        self._is_object = isinstance(value, dict)
        self._path = path
        self._known: set[str] = set()
        self.problems = problems
        if not self._is_object:
            self._note(path, "is not an object", "write it as {...}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None, rule: str = "") -> str:
        """A string without control characters that matches `pattern`, which `rule` says in words."""
        value = self._get(key)
        if not isinstance(value, str):
            return self._wrong(key, value, "text", "")
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            self._note(self._at(key), "holds control characters", "write it without them")
            return ""
        if pattern is not None and not pattern.fullmatch(value):
            self._note(self._at(key), f"is {_shown(value)}, not {rule}", f"write {rule}")
            return ""
        return value

    def integer(self, key: str, minimum: int, maximum: int | None = None) -> int:
        """A whole number in the range."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            return self._wrong(key, value, "a whole number", minimum)
        return self._in_range(key, value, minimum, maximum)

    def seconds(self, key: str, *, is_zero_allowed: bool) -> float:
        """A finite number of seconds, above zero or from zero on."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return self._wrong(key, value, "a number of seconds", 1.0)
        if value < 0 or (value == 0 and not is_zero_allowed):
            self._note(self._at(key), f"is {value:g}", "write seconds above zero")
        return float(value)

    def number(self, key: str, minimum: float | None = None, maximum: float | None = None) -> float:
        """A finite number in the range."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return self._wrong(key, value, "a number", minimum or 0.0)
        is_low = minimum is not None and value < minimum
        if is_low or (maximum is not None and value > maximum):
            allowed = f"{minimum:g} or more" if is_low else f"{maximum:g} or less"
            self._note(self._at(key), f"is {value:g}", f"write {allowed}")
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._get(key)
        return value if isinstance(value, bool) else self._wrong(key, value, "true or false", False)

    def choice(self, key: str, options: Sequence[T]) -> T:
        """One of the texts."""
        value = self._get(key)
        for option in options:
            if value == option and isinstance(value, str):
                return option
        words = [str(option) for option in options]
        near = did_you_mean(value, words) if isinstance(value, str) else ""
        self._wrong(key, value, "one of " + ", ".join(words), None, near)
        return options[0]

    def member(self, key: str, kind: type[E]) -> E:
        """A member of an enumeration, by its value."""
        return kind(self.choice(key, [member.value for member in kind]))

    def nullable(self, key: str, read: Callable[[str], T]) -> T | None:
        """`read(key)`, or None where it says null."""
        return None if key in self._fields and self._get(key) is None else read(key)

    def has(self, key: str) -> bool:
        """Whether the field is there; for those that only some objects have."""
        return key in self._fields

    def keys(self) -> tuple[str, ...]:
        """The names that are there, for an object that maps names to values."""
        return tuple(self._fields)

    def nested(self, key: str) -> "Fields":
        """A nested object."""
        if key not in self._fields:
            self._get(key)
            nested = Fields({}, self._at(key), [])
            nested._is_object = False
            return nested
        return Fields(self._get(key), self._at(key), self.problems)

    def objects(self, key: str) -> tuple["Fields", ...]:
        """A list of objects."""
        rows = self._list(key)
        return tuple(Fields(row, f"{self._at(key)}[{index}]", self.problems) for index, row in enumerate(rows))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = []
        for index, item in enumerate(self._list(key)):
            if isinstance(item, str):
                found.append(item)
            else:
                self._note(f"{self._at(key)}[{index}]", "is not text", "write it in quotes")
        return tuple(found)

    def integers(self, key: str, minimum: int) -> tuple[int, ...]:
        """A list of whole numbers from `minimum` on."""
        found = []
        for index, item in enumerate(self._list(key)):
            if isinstance(item, bool) or not isinstance(item, int) or item < minimum:
                self._note(f"{self._at(key)}[{index}]", f"is {_shown(item)}", f"write a whole number from {minimum} on")
            else:
                found.append(item)
        return tuple(found)

    def texts_by_name(self, key: str, pattern: re.Pattern[str], rule: str) -> Mapping[str, str]:
        """An object of texts whose names and values all match `pattern`."""
        value = self._get(key)
        if not isinstance(value, dict):
            return self._wrong(key, value, "an object of texts", {})
        found = {}
        for name, text in value.items():
            if isinstance(text, str) and pattern.fullmatch(name) and pattern.fullmatch(text):
                found[name] = text
            else:
                shown = f"{_shown(name)}: {_shown(text)}"
                self._note(self._at(key), f"holds {shown}, which is not {rule}", f"write {rule}")
        return found

    def finish(self) -> None:
        """Report the fields that nothing asked for."""
        for name in self._fields:
            if name not in self._known:
                near = did_you_mean(name, self._known - set(self._fields))
                self._note(self._at(name), "is not a field of this format", near or "remove it")

    def note(self, key: str, message: str, fix: str) -> None:
        """Report a problem that this class does not look for."""
        self._note(self._at(key), message, fix)

    def _get(self, key: str) -> object:
        self._known.add(key)
        if key not in self._fields:
            if self._is_object:
                self._note(self._at(key), "is missing", "write the file with this version of infc")
            return None
        return self._fields[key]

    def _wrong(self, key: str, value: object, expected: str, placeholder: T, near: str = "") -> T:
        if key in self._fields:
            self._note(self._at(key), f"is {_shown(value)}, not {expected}", near or f"write {expected}")
        return placeholder

    def _in_range(self, key: str, value: int, minimum: int, maximum: int | None) -> int:
        if value < minimum or (maximum is not None and value > maximum):
            allowed = f"from {minimum} on" if maximum is None else f"from {minimum} to {maximum}"
            self._note(self._at(key), f"is {value}", f"write a whole number {allowed}")
            return minimum
        return value

    def _list(self, key: str) -> Sequence[object]:
        value = self._get(key)
        return value if isinstance(value, list) else self._wrong(key, value, "a list", [])

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if re.fullmatch(r"\w+", key) else f"{self._path}[{_shown(key)}]"

    def _note(self, path: str, message: str, fix: str) -> None:
        self.problems.append(FieldProblem(path=path, message=message, fix=fix))


def object_from_bytes(content: bytes, major: str) -> Fields:
    """The object that `content` holds, which must be of format version `major`.x; problems are in its `problems`."""
    problems: list[FieldProblem] = []
    try:
        value = json.loads(content, object_pairs_hook=lambda pairs: _without_repeats(pairs, problems))
    except (ValueError, RecursionError) as error:
        problems.append(FieldProblem(path="$", message=f"is not JSON: {error}", fix="write the file again with infc"))
        fields = Fields({}, "$", [])
        fields.problems = problems
        return fields
    fields = Fields(value, "$", problems)
    version = fields.text("format_version", re.compile(r"\d+\.\d+"), "a version such as 1.0")
    if version and version.split(".")[0] != major:
        fields.note("format_version", f"is {version}", f"this version of infc reads {major}.x")
    return fields


def _without_repeats(pairs: Iterable[tuple[str, object]], problems: list[FieldProblem]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            problems.append(FieldProblem(path=f"$..{name}", message="is there twice", fix="keep one of them"))
        found[name] = value
    return found


def canonical_bytes(value: Mapping[str, object]) -> bytes:
    """JSON with sorted keys and one indent: equal values are equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
