"""The effective text of specs: their own keys over their base and shared defaults, with the place of every value."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping

from infc.emit.comment import comment_lines
from infc.emit.yaml_text import yaml_text
from infc.report.diagnostics_text import printable
from infc.spec import LoadedSpec, SourceMap
from infc.spec.document import YamlValue
from infc.spec.source_map import child_path

FORMAT_VERSION = "1.0"
_WIDEST = 72
"""Comments stand side by side up to this column."""


def merged_specs_text(specs: Iterable[LoadedSpec]) -> str:
    """The specs as YAML documents; behind every value the file and line that wrote it. Paths are the spec's own."""
    return "---\n".join("".join((*_head(spec), *_document(spec))) for spec in specs)


def merged_specs_json(specs: Iterable[LoadedSpec]) -> str:
    """The same as JSON text; fits `merged_specs_schema()`."""
    report = {"format_version": FORMAT_VERSION, "specs": [_object(spec) for spec in specs]}
    return json.dumps(report, indent=2, ensure_ascii=False)


def merged_specs_schema() -> dict[str, object]:
    """The JSON Schema of `infc check --show-merged --format json`."""
    text = {"type": "string", "minLength": 1}
    position = {"type": "integer", "minimum": 1}
    origin = {
        "type": "object",
        "description": "The place in the file that wrote the value.",
        "properties": {"path": text, "line": position, "column": position},
        "required": ["path", "line", "column"],
        "additionalProperties": False,
    }
    spec = {
        "type": "object",
        "properties": {
            "name": text,
            "path": text,
            "files": {"type": "array", "description": "Lowest first.", "items": text, "minItems": 1},
            "spec": {"description": "The merged values, null where the spec cannot be read; paths are the spec's own."},
            "origins": {
                "type": "object",
                "description": "By path, such as slo.latency.p99 or constraints.hardware[0].",
                "additionalProperties": origin,
            },
        },
        "required": ["name", "path", "files", "spec", "origins"],
        "additionalProperties": False,
    }
    return {
        "description": "The effective text of specs, and which file wrote each value.",
        "type": "object",
        "properties": {"format_version": {"const": FORMAT_VERSION}, "specs": {"type": "array", "items": spec}},
        "required": ["format_version", "specs"],
        "additionalProperties": False,
    }


def _head(spec: LoadedSpec) -> Iterator[str]:
    files = " < ".join(path.as_posix() for path in spec.files)
    yield from comment_lines([f"{spec.name}: {files}"])


def _document(spec: LoadedSpec) -> Iterator[str]:
    if not isinstance(spec.merged, dict):
        return
    lines = list(_lines(spec.merged, spec.source, "", 0))
    widths = [len(text) for text, origin in lines if origin and len(text) <= _WIDEST]
    column = max(widths, default=0)
    for text, origin in lines:
        yield f"{text:<{column}}  # {origin}\n" if origin else f"{text}\n"


def _lines(value: Mapping[str, YamlValue], source: SourceMap, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Lines of YAML, each with the origin of its value; empty where it has none of its own."""
    indent = "  " * depth
    for key, child in value.items():
        below = child_path(path, key)
        if isinstance(child, dict) and child:
            yield f"{indent}{yaml_text({key: None}).splitlines()[0].removesuffix(' null')}", ""
            yield from _lines(child, source, below, depth + 1)
            continue
        span = source.location(below).value
        first, *rest = _yaml_lines(key, child)
        yield indent + first, f"{printable(span.path)}:{span.line}"
        yield from ((indent + line, "") for line in rest)


def _yaml_lines(key: str, value: YamlValue) -> list[str]:
    """A key and its value as YAML; as JSON, which is YAML too, where a runner would take the words for a command."""
    text = yaml_text({key: value})
    if "##[" not in text:
        return text.splitlines()
    return [f"{json.dumps(key)}: {json.dumps(value)}".replace("##[", r"\u0023\u0023[")]


def _object(spec: LoadedSpec) -> dict[str, object]:
    origins: dict[str, object] = {}
    _collect(spec.merged, spec.source, "", origins)
    return {
        "name": spec.name,
        "path": spec.path.as_posix(),
        "files": [path.as_posix() for path in spec.files],
        "spec": _finite(spec.merged),
        "origins": origins,
    }


def _finite(value: YamlValue) -> YamlValue:
    """The value with what JSON has no number for as text."""
    match value:
        case dict():
            return {key: _finite(child) for key, child in value.items()}
        case list():
            return [_finite(child) for child in value]
        case float() if not math.isfinite(value):
            return str(value)
    return value


def _collect(value: YamlValue, source: SourceMap, path: str, origins: dict[str, object]) -> None:
    """The origins of everything below that holds nothing itself."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            _collect(child, source, child_path(path, key), origins)
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            _collect(child, source, child_path(path, index), origins)
    elif path:
        span = source.location(path).value
        origins[path] = {"path": span.path, "line": span.line, "column": span.column}
