"""Reads one YAML file of the catalogue against its field table: typed values, or every problem with its line.

The built-in files and a user's overlay go through the same code. Scalars stay text until the table says what they
are (libyaml's base loader), so none of YAML's own guesses (`on`, `12:30`, `1_000`) can happen.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from infc.diag import Diagnostic, Span
from infc.diag.nearest import did_you_mean
from infc.ir.spec.names import hidden_character
from infc.resolve.targets.fields import Field, FieldKind
from infc.resolve.targets.schema import DATE_PATTERN

MAXIMUM_BYTES = 1 << 20
MAXIMUM_DEPTH = 32

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_DATE = re.compile(DATE_PATTERN)

Value: TypeAlias = "str | float | bool | tuple[str, ...] | tuple[Record, ...] | Mapping[str, str] | Record"


class _Loader(yaml.CBaseLoader):
    """libyaml's composer with tags left out: the field tables say what a scalar is, and this is twice as fast."""

    def descend_resolver(self, current_node: Node | None, current_index: Node | int | None) -> None:
        """No path resolvers here."""

    def ascend_resolver(self) -> None:
        """No path resolvers here."""

    def resolve(self, kind: type[Node], value: str | None, implicit: tuple[bool, bool]) -> str:
        """The same tag for every node."""
        return ""


class Record:
    """The checked values of one mapping. A getter of an absent optional key gives None, or an empty tuple for lists."""

    def __init__(self, values: Mapping[str, Value], nodes: Mapping[str, Node], node: Node, path: str) -> None:
        self._values = values
        self._nodes = nodes
        self._node = node
        self._path = path

    def span_of(self, key: str | None = None) -> Span:
        """Where the value of `key` stands, or the record itself when it is absent or not named."""
        return _span(self._nodes.get(key or "", self._node), self._path)

    def text(self, key: str) -> str | None:
        """A text or date."""
        value = self._values.get(key)
        return value if isinstance(value, str) else None

    def required_text(self, key: str) -> str:
        """A text that the field table requires."""
        return self.text(key) or ""

    def number(self, key: str, scale: float = 1.0) -> float | None:
        """A number times `scale`."""
        value = self._values.get(key)
        if not isinstance(value, float):
            return None
        return value if scale == 1.0 else float(f"{value * scale:.12g}")  # 8.14 x 10^12, not 8140000000000.001

    def required_number(self, key: str, scale: float = 1.0) -> float:
        """A number that the field table requires, times `scale`."""
        return self.number(key, scale) or 0.0

    def count(self, key: str) -> int | None:
        """A whole number."""
        value = self.number(key)
        return None if value is None else int(value)

    def flag(self, key: str) -> bool | None:
        """A truth value."""
        value = self._values.get(key)
        return value if isinstance(value, bool) else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._values.get(key)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, tuple) else ()

    def labels(self, key: str) -> Mapping[str, str]:
        """A mapping from names to texts."""
        value = self._values.get(key)
        return value if isinstance(value, Mapping) else {}

    def record(self, key: str) -> "Record | None":
        """A nested mapping."""
        value = self._values.get(key)
        return value if isinstance(value, Record) else None

    def records(self, key: str) -> tuple["Record", ...]:
        """A list of mappings."""
        value = self._values.get(key)
        return tuple(item for item in value if isinstance(item, Record)) if isinstance(value, tuple) else ()

    def numbers(self, scale: float = 1.0) -> Mapping[str, float]:
        """Every number of this mapping by its key, times `scale`."""
        return {key: number for key in self._values if (number := self.number(key, scale)) is not None}


def read_record(
    text: str, path: str, fields: tuple[Field, ...], *, is_untrusted: bool = True
) -> tuple[Record | None, tuple[Diagnostic, ...]]:
    """Read a YAML document whose top level is a mapping with `fields`.

    Returns: the record (None when there is any problem) and every problem found. `path` names the file in spans.
    The depth of what a user wrote (`is_untrusted`) is checked before libyaml's recursive composer sees it.
    """
    reader = _Reader(path, is_untrusted=is_untrusted)
    node = reader.compose(text)
    record = None if node is None else reader.mapping(node, fields, "the file")
    return (None if reader.problems else record), tuple(reader.problems)


class _Reader:
    def __init__(self, path: str, *, is_untrusted: bool) -> None:
        self._path = path
        self._is_untrusted = is_untrusted
        self.problems: list[Diagnostic] = []

    def compose(self, text: str) -> Node | None:
        """The document as nodes, or None after a problem."""
        top = Span(path=self._path, line=1, column=1, end_line=1, end_column=2)
        if len(text) > MAXIMUM_BYTES:
            self._problem("target-syntax", f"the file is larger than {MAXIMUM_BYTES >> 20} MiB", top)
            return None
        parser = _Loader(text)
        try:
            if self._is_untrusted and _depth(text) > MAXIMUM_DEPTH:
                self._problem("target-syntax", f"nested deeper than {MAXIMUM_DEPTH} levels", top)
                return None
            node = parser.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            at = Span(path=self._path, line=line, column=column, end_line=line, end_column=column + 1)
            self._problem("target-syntax", f"not valid YAML: {error.problem or error.context}", at)
            return None
        except yaml.YAMLError as error:
            self._problem("target-syntax", f"not valid YAML: {str(error).splitlines()[0]}", top)
            return None
        finally:
            parser.dispose()
        if node is None:
            self._problem("target-syntax", "the file is empty", top)
            return None
        assert isinstance(node, Node)  # noqa: S101 - libyaml's composer has no types
        return node

    def mapping(self, node: Node, fields: tuple[Field, ...], what: str) -> Record | None:
        if not isinstance(node, MappingNode):
            self._problem("target-value", f"{what} must be a mapping of keys to values", self._span(node))
            return None
        table = {field.key: field for field in fields}
        values: dict[str, Value] = {}
        nodes: dict[str, Node] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else "?"
            if key in seen:
                self._problem("target-key", f"{key} is given twice", self._span(key_node), help="keep one of them")
                continue
            seen.add(key)
            if key not in table:
                fix = did_you_mean(key, table) or f"the keys here are {', '.join(table)}"
                self._problem("target-key", f"unknown key {key}", self._span(key_node), help=fix)
                continue
            nodes[key] = value_node
            value = self._value(value_node, table[key])
            if value is not None:
                values[key] = value
        for field in fields:
            if field.is_required and field.key not in seen:
                fix = f"add `{field.key}`: {field.description}"
                self._problem("target-key", f"{what} has no {field.key}", self._head(node), help=fix)
        return Record(values, nodes, node, self._path)

    def _value(self, node: Node, field: Field) -> "Value | None":
        match field.kind:
            case FieldKind.RECORD:
                return self.mapping(node, field.fields, field.key)
            case FieldKind.RECORDS:
                items = self._items(node, field)
                records = tuple(self.mapping(item, field.fields, f"this entry of {field.key}") for item in items)
                return tuple(record for record in records if record is not None)
            case FieldKind.TEXTS:
                return tuple(item.value for item in self._items(node, field) if self._is_text(item, field))
            case FieldKind.LABELS:
                return self._labels(node, field)
            case FieldKind.TEXT | FieldKind.DATE:
                return self._text(node, field)
            case FieldKind.FLAG:
                return self._flag(node, field)
            case _:
                return self._number(node, field)

    def _items(self, node: Node, field: Field) -> list[Node]:
        if isinstance(node, SequenceNode):
            return list(node.value)
        self._problem("target-value", f"{field.key} must be a list", self._span(node))
        return []

    def _labels(self, node: Node, field: Field) -> Mapping[str, str]:
        if not isinstance(node, MappingNode):
            self._problem("target-value", f"{field.key} must be a mapping of names to texts", self._span(node))
            return {}
        return {
            key.value: value.value
            for key, value in node.value
            if self._is_text(key, field) and self._is_text(value, field)
        }

    def _is_text(self, node: Node, field: Field) -> bool:
        if isinstance(node, ScalarNode) and node.value:
            hidden = hidden_character(node.value) if self._is_untrusted else None
            if hidden is None:
                return True
            message = f"{field.key} holds a character that cannot be seen (U+{ord(hidden):04X})"
            self._problem("target-value", message, self._span(node), help="write one line of printable text")
            return False
        self._problem("target-value", f"{field.key} must hold text", self._span(node))
        return False

    def _text(self, node: Node, field: Field) -> str | None:
        if not self._is_text(node, field):
            return None
        value = str(node.value)
        if field.kind is FieldKind.DATE and not _DATE.match(value):
            self._problem("target-value", f"{field.key} must be a date", self._span(node), help="write YYYY-MM-DD")
        if field.choices and value not in field.choices:
            fix = f"one of {', '.join(field.choices)}"
            self._problem("target-value", f"{field.key} cannot be {value!r}", self._span(node), help=fix)
        return value

    def _flag(self, node: Node, field: Field) -> bool | None:
        if isinstance(node, ScalarNode) and not node.style and node.value in ("true", "false"):
            return bool(node.value == "true")
        self._problem("target-value", f"{field.key} must be true or false", self._span(node))
        return None

    def _number(self, node: Node, field: Field) -> float | None:
        if not isinstance(node, ScalarNode) or node.style or not _NUMBER.fullmatch(node.value):
            fix = f"{field.description} Units are in the key's name."
            self._problem("target-value", f"{field.key} must be a plain number", self._span(node), help=fix)
            return None
        value = float(node.value)
        wanted = _range_problem(value, field.kind)
        if wanted:
            self._problem("target-value", f"{field.key} must be {wanted}", self._span(node))
        return value

    def _span(self, node: Node) -> Span:
        return _span(node, self._path)

    def _head(self, node: Node) -> Span:
        span = self._span(node)
        return replace(span, end_line=span.line, end_column=span.column + 1)

    def _problem(self, id: str, message: str, span: Span, help: str | None = None) -> None:
        self.problems.append(Diagnostic(id=id, message=message, span=span, help=help))


def _span(node: Node, path: str) -> Span:
    start, end = node.start_mark, node.end_mark
    return Span(
        path=path, line=start.line + 1, column=start.column + 1, end_line=end.line + 1, end_column=end.column + 1
    )


def _range_problem(value: float, kind: FieldKind) -> str | None:
    """What a number of this kind must be, when `value` is not it."""
    match kind:
        case FieldKind.NUMBER if not 0 < value < float("inf"):
            return "more than 0"
        case FieldKind.FRACTION if not 0 <= value < 1:
            return "from 0 to less than 1"
        case FieldKind.COUNT if value < 1 or value % 1:
            return "a whole number from 1"
        case FieldKind.INDEX if value < 0 or value % 1:
            return "a whole number from 0"
        case _:
            return None


def _depth(text: str) -> int:
    """The deepest nesting of the document, by its events."""
    deepest = depth = 0
    for event in yaml.parse(text, yaml.CBaseLoader):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAXIMUM_DEPTH:
                break
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1
    return deepest
