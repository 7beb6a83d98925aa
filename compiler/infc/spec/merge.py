"""Documents laid over each other: mappings merge deep, everything else replaces, null takes an inherited key away.

Each value keeps the place in the file that wrote it.
"""

from collections.abc import Mapping

from infc.ir.spec.model_source import SOURCE_KEYS
from infc.ir.spec.model_storage import STORAGE_KEYS
from infc.ir.spec.workload import ARRIVAL_KEYS
from infc.spec.document import Document, YamlValue
from infc.spec.source_map import Location, SourceMap, child_path

_ONE_OF: Mapping[str, tuple[str, ...]] = {
    "model": SOURCE_KEYS,
    "workload.arrival": ARRIVAL_KEYS,
    "deploy.kubernetes": ("model", "model_volume"),
    "deploy.kubernetes.model": STORAGE_KEYS,
}
"""Mappings that hold one of these keys: writing one takes the place of another below."""


def laid_over(lower: Document, upper: Document) -> Document:
    """`upper` over `lower`, as one document; the root and the path of its source map are those of `upper`.

    A null that has nothing to take away stays, so that it is found. An empty document changes nothing.
    """
    entries: dict[str, Location] = {}
    below = {} if lower.value is None else lower.value
    above = {} if upper.value is None else upper.value
    value = _Merge(lower.source, upper.source, entries).merged(below, above, "")
    source = SourceMap(path=upper.source.path, entries=entries)
    return Document(value=value, source=source, diagnostics=(*lower.diagnostics, *upper.diagnostics))


def without_key(value: YamlValue, *keys: str) -> YamlValue:
    """The value without the key at that path; the very same value where there is none.

    >>> without_key({"metadata": {"name": "a", "owner": "b"}}, "metadata", "name")
    {'metadata': {'owner': 'b'}}
    """
    if not isinstance(value, dict) or keys[0] not in value:
        return value
    if len(keys) == 1:
        return {key: child for key, child in value.items() if key != keys[0]}
    inner = without_key(value[keys[0]], *keys[1:])
    return value if inner is value[keys[0]] else {**value, keys[0]: inner}


class _Merge:
    """Walks two values side by side and collects where the result stands."""

    def __init__(self, lower: SourceMap, upper: SourceMap, entries: dict[str, Location]) -> None:
        self._lower = lower
        self._upper = upper
        self._entries = entries

    def merged(self, lower: YamlValue, upper: YamlValue, path: str) -> YamlValue:
        if not isinstance(lower, dict) or not isinstance(upper, dict):
            return self._copied(upper, self._upper, path)
        self._entries[path] = self._upper.location(path)
        replaced = _replaced(lower, upper, path)
        result: dict[str, YamlValue] = {}
        for key, value in lower.items():
            if key not in upper and key not in replaced:
                result[key] = self._copied(value, self._lower, child_path(path, key))
        for key, value in upper.items():
            below = child_path(path, key)
            if key not in lower:
                result[key] = self._copied(value, self._upper, below)
            elif value is not None:
                result[key] = self.merged(lower[key], value, below)
        return result

    def _copied(self, value: YamlValue, source: SourceMap, path: str) -> YamlValue:
        self._entries[path] = source.location(path)
        if isinstance(value, dict):
            for key, child in value.items():
                self._copied(child, source, child_path(path, key))
        elif isinstance(value, list):
            for index, child in enumerate(value):
                self._copied(child, source, child_path(path, index))
        return value


def _replaced(lower: dict[str, YamlValue], upper: dict[str, YamlValue], path: str) -> frozenset[str]:
    """The keys of `lower` that a choice in `upper` rules out."""
    choices = _ONE_OF.get(path, ())
    if not any(upper.get(key) is not None for key in choices):
        return frozenset()
    return frozenset(key for key in choices if key in lower and key not in upper)
