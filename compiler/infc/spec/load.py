"""From a spec file to its `Spec`, with every problem found on the way."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic, Span, has_errors
from infc.diag.order import in_text_order
from infc.ir.arrival import TraceArrival
from infc.ir.spec import Spec, TraceSpec
from infc.ir.spec.names import hidden_character, is_command, label_from
from infc.spec.checks import CHECKS
from infc.spec.defaults import DEFAULTS_NAME
from infc.spec.deferred import deferred
from infc.spec.document import Document, YamlValue
from infc.spec.files import check_file, named_files
from infc.spec.layers import ReadFile, read_file, read_layers
from infc.spec.partial import partial_spec, validate, without_nulls
from infc.spec.schema_errors import diagnostic_from_error
from infc.spec.source_map import Location, SourceMap, is_related
from infc.spec.source_text import SPEC_SUFFIX, decode_source, file_start, read_source
from infc.spec.trace import read_trace
from infc.spec.workspace import Workspace, find_workspace

_ABSENT = frozenset({"missing", "spec-model-source", "spec-candidate-source", "spec-model-storage", "spec-arrival"})
"""pydantic's words for what a layer that could not be read may hold."""


@dataclass(frozen=True, kw_only=True)
class LoadedSpec:
    """A spec file as read. `spec` is None when any diagnostic is an error; `trace` is the arrival trace it names.

    `partial` is the spec with its wrong parts cut out or replaced: only to look for more problems.
    `path` is as the user wrote it (spans carry the same text). `merged` are the values as they stand in the files that
    the text comes from, laid over each other. `files` are these, lowest first (shared defaults, base, the spec itself);
    `places` is where all but the spec itself are, or might be, relative to its folder: whoever caches a result by the
    spec's text goes by their contents too.
    """

    path: Path
    spec: Spec | None
    partial: Spec | None
    merged: YamlValue
    source: SourceMap
    trace: TraceArrival | None
    diagnostics: tuple[Diagnostic, ...]
    workspace: Workspace
    files: tuple[Path, ...]
    places: tuple[str, ...]

    @property
    def name(self) -> str:
        """The deployment's name: the spec's, else the file's."""
        if self.spec is not None and self.spec.metadata.name is not None:
            return self.spec.metadata.name
        return label_from(self.path.name.removesuffix(SPEC_SUFFIX).removesuffix(".yaml")) or "deployment"

    def span(self, path: str) -> Span:
        """Where `path` (such as `slo.latency.p99`) stands; the nearest ancestor where it is absent."""
        return self.source.span(path)

    def file(self, written: str) -> Path:
        """A path of the spec as a path that can be opened."""
        return self.path.parent / written

    def writer(self, path: str) -> Path:
        """The file that wrote the value at `path`."""
        return Path(self.source.location(path).value.path)


def load_spec(path: Path) -> LoadedSpec:
    """Read, parse and check a spec file. Every problem is in `diagnostics`; nothing is raised for bad input."""
    shown = path.as_posix()
    text, problems = read_source(path, shown)
    return _load(path, shown, text, problems, read_file)


def load_spec_bytes(data: bytes, path: Path, read: ReadFile = read_file) -> LoadedSpec:
    """The same for bytes that stand for the file at `path` (a revision from git, standard input).

    `read` gives the other files that its text comes from, as they were then: its base and shared defaults.
    """
    shown = path.as_posix()
    text, problems = decode_source(data, shown)
    return _load(path, shown, text, problems, read)


def _load(path: Path, shown: str, text: str | None, problems: tuple[Diagnostic, ...], read: ReadFile) -> LoadedSpec:
    workspace = find_workspace(path)
    if text is not None and path.name == DEFAULTS_NAME:
        text, problems = None, (_no_spec(shown),)
    if text is None:
        source = SourceMap(path=shown, entries={"": Location(value=file_start(shown), key=None, is_scalar=False)})
        return LoadedSpec(
            path=path,
            spec=None,
            partial=None,
            merged=None,
            source=source,
            trace=None,
            diagnostics=problems,
            workspace=workspace,
            files=(path,),
            places=(),
        )
    problems = _own_path_problems(path, workspace, shown)
    layers = read_layers(text, path, workspace, read)
    document = layers.document
    partial, trace, found = _check(document, path, workspace) if layers.is_whole else (None, None, _visible(document))
    diagnostics = in_text_order((*problems, *document.diagnostics, *found))
    return LoadedSpec(
        path=path,
        spec=None if has_errors(diagnostics) else partial,
        partial=partial,
        merged=document.value,
        source=document.source,
        trace=trace,
        diagnostics=diagnostics,
        workspace=workspace,
        files=layers.files,
        places=layers.places,
    )


def _no_spec(shown: str) -> Diagnostic:
    return Diagnostic(
        id="spec-defaults",
        message="these are shared defaults, not a spec",
        span=file_start(shown),
        help="name a folder: its specs are checked together with what they share",
    )


def _own_path_problems(path: Path, workspace: Workspace, shown: str) -> tuple[Diagnostic, ...]:
    """The spec's own path goes into the lock, into reports and logs."""
    inside = os.path.relpath(os.path.realpath(path), workspace.root)
    hidden = hidden_character(inside)
    if hidden is not None:
        message = f"the spec's path holds a character that cannot be seen (U+{ord(hidden):04X})"
    elif "\\" in inside:
        message = "the spec's path holds a backslash"
    elif is_command(inside):
        message = "the spec's path reads as a command of a CI system (`::` where a name starts, or `##[`)"
    else:
        return ()
    return (Diagnostic(id="spec-path", message=message, span=file_start(shown), help="rename the file or its folder"),)


def _visible(document: Document) -> list[Diagnostic]:
    """What is wrong in any case where a layer could not be read: not what is missing, nor rules across fields."""
    value, _ = without_nulls(document.value)
    _, errors = validate(value)
    present = [error for error in errors if error["type"] not in _ABSENT]
    return [d for _, d in _without_echoes([diagnostic_from_error(each, document.source) for each in present])]


def _check(
    document: Document, path: Path, workspace: Workspace
) -> tuple[Spec | None, TraceArrival | None, list[Diagnostic]]:
    if document.value is None:
        return None, None, [] if document.diagnostics else [_empty(document.source)]
    value, empty_paths = without_nulls(document.value)
    wrong = {".".join(segments) for segments in empty_paths}
    found = [_no_value(path, document.source) for path in sorted(wrong)]
    spec, errors = validate(value)
    schema_problems: list[tuple[str, Diagnostic]] = [diagnostic_from_error(e, document.source) for e in errors]
    found += [d for path, d in _without_echoes(schema_problems) if path not in wrong]
    wrong |= {path for path, _ in schema_problems}
    partial = spec if spec is not None else partial_spec(value, errors, document.source)
    if partial is None:
        return None, None, found
    trace = None
    for check in (*CHECKS, deferred):
        for finding in check(partial):
            if not any(is_related(p, w) for p in finding.paths for w in wrong):
                found.append(finding.diagnostic(document.source))
    file_problems, trace = _check_files(partial, wrong, path, workspace, document.source)
    return partial, trace, [*found, *file_problems]


def _check_files(
    spec: Spec, wrong: set[str], path: Path, workspace: Workspace, source: SourceMap
) -> tuple[list[Diagnostic], TraceArrival | None]:
    found: list[Diagnostic] = []
    trace = None
    for named in named_files(spec, path.parent):
        if named.path not in source.entries or any(is_related(named.path, w) for w in wrong):
            continue  # a stand-in for what was cut, or itself wrong
        problem = check_file(named, path.parent, workspace, source)
        if problem is not None:
            found.append(problem)
        elif named.path == "workload.arrival.trace" and isinstance(spec.workload.arrival, TraceSpec):
            trace_path = path.parent / named.value
            trace, problems = read_trace(trace_path, named.value, trace_path.as_posix())
            found += problems
    return found, trace


def _without_echoes(problems: list[tuple[str, Diagnostic]]) -> Iterator[tuple[str, Diagnostic]]:
    """Leave out what follows from another: `onnx` is not also missing where `onx` is unknown; one complaint a place."""
    meant = {d.help for _, d in problems if d.id == "spec-unknown-key"}
    seen: set[tuple[str, Span | None]] = set()
    for path, diagnostic in problems:
        key = path.rpartition(".")[2]
        if diagnostic.id == "spec-missing-key" and f"did you mean `{key}`?" in meant:
            continue
        if diagnostic.id not in {"spec-missing-key", "spec-unknown-key"} and (path, diagnostic.span) in seen:
            continue
        seen.add((path, diagnostic.span))
        yield path, diagnostic


def _empty(source: SourceMap) -> Diagnostic:
    return Diagnostic(
        id="spec-empty",
        message="the spec is empty",
        span=source.span(""),
        help="write a model, an SLO and a rate, or start from `infc init MODEL.onnx`",
    )


def _no_value(path: str, source: SourceMap) -> Diagnostic:
    return Diagnostic(
        id="spec-empty-value",
        message=f"`{path.rpartition('.')[2]}` has no value",
        span=source.key_span(path),
        help="give it a value, or remove the key",
    )


__all__ = ["SPEC_SUFFIX", "LoadedSpec", "YamlValue", "load_spec", "load_spec_bytes"]
