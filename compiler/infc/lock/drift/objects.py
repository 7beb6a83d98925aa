"""Objects as they were emitted against objects as they are: the fields that differ, and none that a server fills in.

What was emitted must be there, value by value. What is there besides is a difference, unless an API server puts it
there by default (`defaults`), or it is of those who manage objects: status, and metadata but the emitted labels and
annotations.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from infc.lock.drift.defaults import is_default

ObjectValue: TypeAlias = "Mapping[str, ObjectValue] | Sequence[ObjectValue] | str | int | float | bool | None"
Key: TypeAlias = tuple[str, str, str]
"""API group, kind and name: what an object is found by. The version of the group and the namespace may differ."""

_BUILT_IN = frozenset(
    ("", "apps", "policy", "autoscaling", "networking.k8s.io", "batch", "rbac.authorization.k8s.io", "storage.k8s.io")
)
_LIST_KEYS = ("name", "mountPath", "alert", "record", "containerPort", "key", "topologyKey", "ip")
"""Fields that tell the elements of a list apart, the first that all of them have."""
_MOST_SHOWN = 200
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(m|k|[MGTPE]|[KMGTPE]i|[eE][0-9]+)?")
_SCALES: Mapping[str, Decimal] = {
    "m": Decimal("0.001"),
    "k": Decimal(1000),
    **{letter: Decimal(1000) ** (power + 2) for power, letter in enumerate("MGTPE")},
    **{f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTPE")},
}
_QUANTITY_PLACES = ("resources", "sizeLimit", "storage", "requests", "limits")


@dataclass(frozen=True, kw_only=True)
class FieldDifference:
    """One field that differs; None: it is not there."""

    path: str
    expected: ObjectValue
    found: ObjectValue


def key_of(manifest: Mapping[str, ObjectValue]) -> Key | None:
    """What an object is found by; None for what is no object."""
    version, kind, metadata = manifest.get("apiVersion"), manifest.get("kind"), manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(version, str) or not isinstance(kind, str) or not isinstance(name, str):
        return None
    return (version.rpartition("/")[0], kind, name)


def differences(
    expected: Mapping[str, ObjectValue], found: Mapping[str, ObjectValue], *, is_live: bool
) -> tuple[FieldDifference, ...]:
    """Every field of an object that differs, by path. `is_live`: an API server stored it.

    Of a kind that no Kubernetes has by itself, fields that are there besides are left out: who defined the kind fills
    them in. Additional elements of lists count all the same.
    """
    version = expected.get("apiVersion")
    is_custom = isinstance(version, str) and version.rpartition("/")[0] not in _BUILT_IN
    compared = _Comparison(is_live=is_live, ignores_more=is_live and is_custom)
    return tuple(compared.mappings("", expected, found))


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    is_live: bool
    ignores_more: bool

    def mappings(
        self, path: str, expected: Mapping[str, ObjectValue], found: Mapping[str, ObjectValue]
    ) -> Iterator[FieldDifference]:
        for key in sorted(expected.keys() | found.keys()):
            below = _joined(path, key)
            if key not in expected:
                if not self._may_be_there(path, key, found):
                    yield FieldDifference(path=below, expected=None, found=found[key])
            elif _is_metadata(path) and key == "namespace":
                continue  # where it was looked for
            else:
                yield from self._values(below, expected[key], found.get(key))

    def _may_be_there(self, path: str, key: str, found: Mapping[str, ObjectValue]) -> bool:
        if (
            (not path and key == "status")
            or _is_metadata(path)
            or path.endswith(("metadata.labels", "metadata.annotations"))
        ):
            return True
        if _is_empty(found[key]):
            return True
        return self.is_live and (self.ignores_more or is_default(path, key, found))

    def _values(self, path: str, expected: ObjectValue, found: ObjectValue) -> Iterator[FieldDifference]:
        if _is_empty(expected) and _is_empty(found):
            return
        if isinstance(expected, Mapping) and isinstance(found, Mapping):
            yield from self.mappings(path, expected, found)
        elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
            yield from self._lists(path, expected, found)
        elif not _is_same(path, expected, found):
            yield FieldDifference(path=path, expected=expected, found=found)

    def _lists(
        self, path: str, expected: Sequence[ObjectValue], found: Sequence[ObjectValue]
    ) -> Iterator[FieldDifference]:
        field = _list_key(expected, found)
        if field is None:
            if not all(isinstance(each, Mapping) for each in (*expected, *found)):
                yield from _plain_lists(path, expected, found)
                return
            wanted = {str(index): each for index, each in enumerate(expected)}
            there = {str(index): each for index, each in enumerate(found)}
        else:
            wanted, there = _by(field, expected), _by(field, found)
        for key in [*wanted, *(key for key in there if key not in wanted)]:
            yield from self._values(f"{path}[{key}]", wanted.get(key), there.get(key))


def _plain_lists(path: str, expected: Sequence[ObjectValue], found: Sequence[ObjectValue]) -> Iterator[FieldDifference]:
    """Lists of plain values, such as arguments: what only one of them has, or both whole where the order differs."""
    if list(expected) == list(found):
        return
    gone, more = list(expected), []
    for each in found:
        if each in gone:
            gone.remove(each)
        else:
            more.append(each)
    if gone or more:
        yield FieldDifference(path=path, expected=_alone(gone), found=_alone(more))
    else:
        yield FieldDifference(path=path, expected=expected, found=found)


def _alone(values: list[ObjectValue]) -> ObjectValue:
    """One value by itself, several as a list, none as nothing."""
    return None if not values else values[0] if len(values) == 1 else values


def _by(field: str, values: Sequence[ObjectValue]) -> dict[str, ObjectValue]:
    return {str(each[field]): each for each in values if isinstance(each, Mapping)}


def _list_key(*lists: Sequence[ObjectValue]) -> str | None:
    """The field that tells the elements of each list apart: all have it, as text or a number, no two the same."""
    mappings = [[each for each in values if isinstance(each, Mapping)] for values in lists]
    if not any(mappings) or any(len(own) != len(values) for own, values in zip(mappings, lists, strict=True)):
        return None
    for field in _LIST_KEYS:
        values = [[each.get(field) for each in own] for own in mappings]
        has_all = all(isinstance(each, str | int) for own in values for each in own)
        if has_all and all(len(set(map(str, own))) == len(own) for own in values):
            return field
    return None


def _is_same(path: str, expected: ObjectValue, found: ObjectValue) -> bool:
    if type(expected) is type(found) and expected == found:
        return True
    if isinstance(expected, bool) or isinstance(found, bool):
        return False
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return expected == found
    if any(place in path for place in _QUANTITY_PLACES):
        wanted, there = _quantity(expected), _quantity(found)
        return wanted is not None and wanted == there
    return False


def _quantity(value: ObjectValue) -> Decimal | None:
    """A quantity of Kubernetes as a number.

    >>> _quantity("1500m") == _quantity(1.5), _quantity("1Gi") == _quantity("1024Mi"), _quantity("x")
    (True, True, None)
    """
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if found is None:
        return None
    try:
        number = Decimal(found[1])
    except InvalidOperation:
        return None
    suffix = found[2] or ""
    return number * (_SCALES[suffix] if suffix in _SCALES else Decimal(f"1{suffix}" if suffix else 1))


def _is_empty(value: ObjectValue) -> bool:
    """Whether an API server drops it: nothing, an empty list or mapping."""
    return value is None or (isinstance(value, Mapping | list | tuple) and not value)


def _is_metadata(path: str) -> bool:
    return path == "metadata" or path.endswith(".metadata")


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def shown(value: ObjectValue) -> str:
    """A value in one line, as JSON, for a table; long ones are cut.

    >>> shown({"cpu": "2"}), shown(None), shown("a")
    ('{"cpu": "2"}', 'not there', 'a')
    """
    if value is None:
        return "not there"
    is_plain = isinstance(value, str) and value.isprintable()
    text = str(value)[:_MOST_SHOWN] if is_plain else ""
    for piece in () if is_plain else json.JSONEncoder(default=str).iterencode(value):
        text += piece  # a document that refers to itself many times over is never written out whole
        if len(text) > _MOST_SHOWN:
            break
    return text if len(text) < _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
