"""YAML text -> plain values with a source map: YAML 1.2 core, nothing executed, every problem with line and column.

Built from parser events, so that aliases are never expanded and depth is bounded before any recursion.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

import yaml

from infc.diag import Diagnostic, Span
from infc.spec.source_map import Location, SourceMap, child_path
from infc.spec.source_text import file_start
from infc.spec.syntax_errors import syntax_error
from infc.spec.yaml_core import CORE_TAGS, Scalar, scalar_value

YamlValue: TypeAlias = "Scalar | list[YamlValue] | dict[str, YamlValue]"

MAX_DEPTH = 40
MAX_VALUES = 20_000
"""Values of a document with its aliases written out; a spec has about a hundred."""

_LOADER: type[yaml.CSafeLoader] | type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A parsed document: `value` is None when there is none, or when it could not be parsed."""

    value: YamlValue
    source: SourceMap
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class _Node:
    value: YamlValue
    span: Span
    size: int
    children: Mapping[str | int, tuple[Span | None, "_Node"]] = field(default_factory=dict)


class _Stop(Exception):  # noqa: N818 - control flow inside this file, never seen outside it
    """The rest of the document cannot be read."""


def parse_document(text: str, shown: str) -> Document:
    """Parse one YAML document; `shown` is the path in messages. Never raises on any text."""
    builder = _Builder(text, shown)
    root: _Node | None = None
    try:
        root = builder.read_stream()
    except _Stop:
        pass
    except yaml.YAMLError as error:
        builder.diagnostics.append(syntax_error(error, text, shown))
    start = file_start(shown)
    entries: dict[str, Location] = {"": Location(value=start, key=None, is_scalar=False)}
    if root is not None:
        _flatten(root, "", None, entries)
    source = SourceMap(path=shown, entries=entries)
    return Document(value=None if root is None else root.value, source=source, diagnostics=tuple(builder.diagnostics))


class _Builder:
    """Turns the event stream into nodes; collects diagnostics."""

    def __init__(self, text: str, shown: str) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._shown = shown
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=_LOADER))
        self._anchors: dict[str, _Node | None] = {}

    def read_stream(self) -> _Node | None:
        """The root node, or None when the stream holds no document."""
        root: _Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(
                        "spec-multiple-documents", "a file holds one spec", self._span(event), "one file per spec"
                    )
            elif not isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentEndEvent):
                root = self._node(event, 0)
        return root

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            self._stop("spec-too-deep", message, self._span(event), "a spec is about five levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = None
        node = self._content(event, depth)
        if anchor is not None:
            self._anchors[anchor] = node
        if node.size > MAX_VALUES:
            if not self._anchors:
                message = f"the spec holds more than {MAX_VALUES} values"
                self._stop(
                    "spec-too-large", message, self._span(event), "keep data in files, and name them in the spec"
                )
            message = f"aliases expand this document to more than {MAX_VALUES} values"
            self._stop("spec-alias-bomb", message, self._span(event), "write the values out, without nested aliases")
        return node

    def _content(self, event: yaml.Event, depth: int) -> _Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event.tag, "seq", event)
            return self._sequence(event, depth)
        if not isinstance(event, yaml.MappingStartEvent):
            self._stop("spec-syntax", "unexpected YAML", self._span(event), "check the indentation of this line")
        self._check_tag(event.tag, "map", event)
        return self._mapping(event, depth)

    def _alias(self, event: yaml.AliasEvent) -> _Node:
        span = self._span(event)
        if event.anchor not in self._anchors:
            self._stop(
                "spec-syntax", f"there is no anchor `&{event.anchor}` above this alias", span, "write the value out"
            )
        node = self._anchors[event.anchor]
        if node is None:
            message = f"alias `*{event.anchor}` stands inside its own anchor"
            self._stop("spec-alias-cycle", message, span, "write the value out")
        return _Node(value=node.value, span=span, size=node.size, children=node.children)

    def _scalar(self, event: yaml.ScalarEvent) -> _Node:
        span = self._span(event)
        is_plain = event.style is None or event.style == ""
        if event.tag is None:
            value = scalar_value(event.value) if is_plain else event.value
            return _Node(value=value, span=span, size=1)
        kind = CORE_TAGS.get(event.tag)
        value = event.value if kind == "str" else scalar_value(event.value)
        types: dict[str, type | tuple[type, ...]] = {
            "int": int,
            "float": (int, float),
            "bool": bool,
            "null": type(None),
        }
        expected = types.get(kind or "", str)
        if kind is None or kind in {"map", "seq"} or not isinstance(value, expected):
            self._add("spec-tag", f"tag `{_shown_tag(event.tag)}` cannot be used here", span, "remove the tag")
            return _Node(value=event.value, span=span, size=1)
        return _Node(value=value, span=span, size=1)

    def _sequence(self, start: yaml.SequenceStartEvent, depth: int) -> _Node:
        values: list[YamlValue] = []
        children: dict[str | int, tuple[Span | None, _Node]] = {}
        size = 1
        last: Span | None = None
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                return _Node(value=values, span=self._collection_span(start, event, last), size=size, children=children)
            child = self._node(event, depth + 1)
            children[len(values)] = (None, child)
            values.append(child.value)
            size += child.size
            last = child.span
        raise _Stop

    def _mapping(self, start: yaml.MappingStartEvent, depth: int) -> _Node:
        values: dict[str, YamlValue] = {}
        children: dict[str | int, tuple[Span | None, _Node]] = {}
        size = 1
        last: Span | None = None
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                return _Node(value=values, span=self._collection_span(start, event, last), size=size, children=children)
            key_span = self._span(event)
            key = self._key(event, depth)
            child = self._node(next(self._events), depth + 1)
            size += 1 + child.size
            last = child.span
            if key is None:
                continue
            if key in values:
                first = children[key][0]
                note = f"`{key}` is first set at line {first.line}" if first else ""
                self._add("spec-duplicate-key", f"`{key}` is set twice", key_span, "keep one of the two", note)
                continue
            values[key] = child.value
            children[key] = (key_span, child)
        raise _Stop

    def _key(self, event: yaml.Event, depth: int) -> str | None:
        span = self._span(event)
        node = self._node(event, depth + 1)
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and not event.style:
            help = "repeat the keys: merge keys are not part of YAML 1.2"
            self._add("spec-unknown-key", "merge keys (`<<`) are not read", span, help)
            return None
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if isinstance(node.value, str):
            return node.value
        self._add("spec-key", "a key must be text", span, "write `key: value`; quote the key if it starts with [ or {")
        return None

    def _check_tag(self, tag: str | None, kind: str, event: yaml.Event) -> None:
        if tag is not None and CORE_TAGS.get(tag) != kind:
            self._add("spec-tag", f"tag `{_shown_tag(tag)}` cannot be used here", self._span(event), "remove the tag")

    def _collection_span(self, start: yaml.CollectionStartEvent, end: yaml.Event, last: Span | None) -> Span:
        first = self._span(start)
        if start.flow_style or last is None:
            last = self._span(end)
            end_line, end_column = last.end_line, last.end_column
        else:  # the end mark of a block is at the next token, lines below it
            end_line, end_column = last.end_line, last.end_column
        return Span(path=first.path, line=first.line, column=first.column, end_line=end_line, end_column=end_column)

    def _span(self, event: yaml.Event) -> Span:
        start, end = event.start_mark, event.end_mark
        if start is None or end is None:
            return file_start(self._shown)
        line, column, end_line, end_column = start.line + 1, start.column + 1, end.line + 1, end.column + 1
        if end_line == line:
            end_column = max(end_column, column + 1)
        return Span(path=self._shown, line=line, column=column, end_line=end_line, end_column=end_column)

    def _add(self, id: str, message: str, span: Span, help: str, note: str = "") -> None:
        notes = (note,) if note else ()
        self.diagnostics.append(Diagnostic(id=id, message=message, span=span, help=help, notes=notes))

    def _stop(self, id: str, message: str, span: Span, help: str) -> NoReturn:
        self._add(id, message, span, help)
        raise _Stop


def _flatten(node: _Node, path: str, key: Span | None, entries: dict[str, Location]) -> None:
    entries[path] = Location(value=node.span, key=key, is_scalar=not isinstance(node.value, dict | list))
    for segment, (key_span, child) in node.children.items():
        _flatten(child, child_path(path, segment), key_span, entries)


def _shown_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")[:40]
