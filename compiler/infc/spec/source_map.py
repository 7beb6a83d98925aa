"""Where every key and value of a YAML document stands in its text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infc.diag import Span


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where a value stands, and the key that names it (None for the root and for list items)."""

    value: Span
    key: Span | None
    is_scalar: bool

    @property
    def narrowest(self) -> Span:
        """What a caret points at: the value when it is on one line, else its key."""
        if self.key is not None and not self.is_scalar and self.value.end_line != self.value.line:
            return self.key
        return self.value


@dataclass(frozen=True, kw_only=True)
class SourceMap:
    """Path -> location. Paths read as `slo.latency.p99.9`, `constraints.hardware[1]`; the root is the empty path.

    `entries` always holds the root.
    """

    path: str
    entries: Mapping[str, Location]

    def locate(self, segments: Iterable[str | int]) -> str:
        """The deepest known path along `segments`; unknown segments (union tags, absent keys) are skipped."""
        known = ""
        for segment in segments:
            candidate = child_path(known, segment)
            if candidate in self.entries:
                known = candidate
        return known

    def location(self, path: str) -> Location:
        """Where `path` stands, or its nearest known ancestor."""
        while path not in self.entries:
            path = parent_path(path)
        return self.entries[path]

    def span(self, path: str) -> Span:
        """The span of the value at `path`; of its key when it is a block or absent (then of the nearest ancestor)."""
        if path in self.entries:
            return self.entries[path].narrowest
        return self.key_span(parent_path(path))

    def key_span(self, path: str) -> Span:
        """The span of the key at `path` (of the value for list items and the root), or of the nearest ancestor's."""
        location = self.location(path)
        return location.key if location.key is not None else location.narrowest


def child_path(parent: str, segment: str | int) -> str:
    """The path of a child.

    >>> child_path(child_path("constraints", "hardware"), 0)
    'constraints.hardware[0]'
    """
    if isinstance(segment, int):
        return f"{parent}[{segment}]"
    return f"{parent}.{segment}" if parent else segment


def parent_path(path: str) -> str:
    """The path one level up; of the root, the root.

    >>> parent_path("constraints.hardware[0]"), parent_path("slo"), parent_path("slo.latency.p99.9")
    ('constraints.hardware', '', 'slo.latency.p99')
    """
    if path.endswith("]"):
        return path[: path.rindex("[")]
    return path.rpartition(".")[0]


def is_related(path: str, other: str) -> bool:
    """Whether one of the two paths holds the other."""
    return _holds(path, other) or _holds(other, path)


def _holds(outer: str, inner: str) -> bool:
    return not outer or inner == outer or inner.startswith((outer + ".", outer + "["))
