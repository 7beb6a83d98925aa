"""The files that a spec's text comes from: shared defaults, the base that it extends, and itself."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from pathlib import Path
from typing import TypeAlias

from infc.diag import Diagnostic, Span, has_errors
from infc.ir.spec.names import path_problem
from infc.spec.defaults import as_defaults, default_places
from infc.spec.document import Document, parse_document
from infc.spec.files import NamedFile, check_file
from infc.spec.merge import laid_over, without_key
from infc.spec.rebase import rebased
from infc.spec.source_map import Location, SourceMap
from infc.spec.source_text import MAX_SPEC_BYTES, decode_source, file_start
from infc.spec.workspace import Workspace

EXTENDS = "extends"
ReadFile: TypeAlias = Callable[[Path], bytes | None]
"""The content of a file, None where there is none: of the disk, or of a revision of git.

Raises:
    OSError: it is there and cannot be read.
"""


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The layers of one spec as one document.

    `files` are those that were read, lowest first; `places` are where the others are or might be, relative to the
    spec's folder. `is_whole`: every layer could be read, so that what is missing is missing.
    """

    document: Document
    files: tuple[Path, ...]
    places: tuple[str, ...]
    is_whole: bool


def read_layers(text: str, path: Path, workspace: Workspace, read: ReadFile) -> Layers:
    """Parse a spec's text and lay it over its base and the defaults of its folders.

    Diagnostics of every layer are in the document.
    """
    own = parse_document(text, path.as_posix())
    reader = _Reader(path, workspace, read)
    defaults = default_places(path.parent, workspace)
    lower = [layer for place in defaults if (layer := reader.default(place)) is not None]
    base = reader.base(own)
    if base is not None:
        lower.append(base)
    merged = own
    if isinstance(own.value, dict):
        merged = reduce(laid_over, (*(_as_seen_from(layer, path) for layer in lower), _without(own, EXTENDS)))
    found = [*own.diagnostics, *reader.problems, *(d for layer in lower for d in layer.diagnostics)]
    return Layers(
        document=Document(value=merged.value, source=merged.source, diagnostics=tuple(found)),
        files=(*(Path(layer.source.path) for layer in lower), path),
        places=(*defaults, *reader.named),
        is_whole=reader.is_whole,
    )


def beside(path: Path, relative: str) -> Path:
    """A path relative to the folder of the file at `path`, in the words of `path`.

    >>> beside(Path("teams/search/prod.infc.yaml"), "../base.yaml").as_posix()
    'teams/base.yaml'
    """
    joined = path.parent / relative
    short = Path(os.path.normpath(joined))
    return short if os.path.realpath(short) == os.path.realpath(joined) else joined


class _Reader:
    """Reads the other files of one spec; `named` is the base by its path, `problems` are those of finding files."""

    def __init__(self, spec: Path, workspace: Workspace, read: ReadFile) -> None:
        self.problems: list[Diagnostic] = []
        self.is_whole = True
        self.named: list[str] = []
        self._spec = spec
        self._workspace = workspace
        self._read = read

    def default(self, place: str) -> Document | None:
        """The defaults at that place; None where there are none, or where they cannot be read."""
        data = self._data(place, None)
        if data is None:
            return None
        path = beside(self._spec, place)
        shown = path.as_posix()
        where = SourceMap(path=shown, entries={"": Location(value=file_start(shown), key=None, is_scalar=False)})
        outside = check_file(NamedFile(path="", value=place), self._spec.parent, self._workspace, where)
        if outside is not None and outside.id == "spec-path":
            self._stop(replace(outside, message="the defaults are a link that leaves the repository"))
            return None
        document = self._document(data, shown)
        return None if document is None else as_defaults(document)

    def base(self, own: Document) -> Document | None:
        """What the spec extends; None where it extends nothing, or nothing that can be read."""
        if not isinstance(own.value, dict) or EXTENDS not in own.value:
            return None
        written, source = own.value[EXTENDS], own.source
        if not isinstance(written, str):
            help = "write extends: base.yaml"
            self._stop(
                Diagnostic(id="spec-type", message="`extends` names one file", span=source.span(EXTENDS), help=help)
            )
            return None
        if (reason := path_problem(written)) is not None:
            self._stop(Diagnostic(id="spec-path", message=reason[0], span=source.span(EXTENDS), help=reason[1]))
            return None
        self.named.append(written)
        path = beside(self._spec, written)
        named = NamedFile(path=EXTENDS, value=written, suffixes=(".yaml", ".yml"), is_locked=False)
        problem = check_file(named, self._spec.parent, self._workspace, source)
        if problem is not None and problem.id != "spec-file-missing":
            self._stop(problem)
            return None
        known = len(self.problems)
        data = self._data(written, source.span(EXTENDS))
        if data is None:
            if len(self.problems) == known:
                self._stop(problem or _not_there(source.span(EXTENDS)))
            return None
        base = self._document(data, path.as_posix())
        if base is None:
            return None
        self._stop(self._chain_problem(base, path, source))
        return _without(_without(base, EXTENDS), "metadata", "name")

    def _data(self, relative: str, span: Span | None) -> bytes | None:
        """The bytes of a file relative to the spec's folder; `span` is where a spec names it."""
        try:
            return self._read(self._spec.parent / relative)
        except OSError as error:
            shown = beside(self._spec, relative).as_posix()
            message = f"cannot read {shown}: {error.strerror or type(error).__name__}"
            where = span or file_start(shown)
            self._stop(Diagnostic(id="spec-unreadable", message=message, span=where, help="check its permissions"))
            return None

    def _document(self, data: bytes, shown: str) -> Document | None:
        document, problems = _parsed(data, shown)
        self._stop(*problems)
        if document is None:
            return None
        if document.value is None:
            self.is_whole = self.is_whole and not has_errors(document.diagnostics)
        elif not isinstance(document.value, dict):
            self._stop(_no_mapping(document))
            return None
        return document

    def _stop(self, *problems: Diagnostic | None) -> None:
        """Keep the problems that there are; the spec is not whole then."""
        found = [problem for problem in problems if problem is not None]
        self.problems += found
        self.is_whole = self.is_whole and not found

    def _chain_problem(self, base: Document, path: Path, source: SourceMap) -> Diagnostic | None:
        if os.path.realpath(path) == os.path.realpath(self._spec):
            return Diagnostic(
                id="spec-extends",
                message="a spec cannot extend itself",
                span=source.span(EXTENDS),
                help="name another file, or remove the key",
            )
        if not isinstance(base.value, dict) or EXTENDS not in base.value:
            return None
        place = f"{path.as_posix()}:{base.source.key_span(EXTENDS).line}"
        return Diagnostic(
            id="spec-extends",
            message="a base cannot extend another file",
            span=source.span(EXTENDS),
            notes=(f"{place} extends another one: there is one level, so that a reader has two files to look at",),
            help="extend that other file, and write here what differs",
        )


def read_file(path: Path) -> bytes | None:
    """The content of a file on disk, cut one byte after the largest that a spec may have; None where there is none."""
    if not os.path.isfile(path):
        return None
    with path.open("rb") as file:
        return file.read(MAX_SPEC_BYTES + 1)


@lru_cache(maxsize=32)
def _parsed(data: bytes, shown: str) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    """A shared file as a document. Hundreds of specs have the same one: it is parsed once."""
    text, problems = decode_source(data, shown)
    return (None if text is None else parse_document(text, shown)), problems


def _not_there(span: Span) -> Diagnostic:
    """A base that is on disk, and not in the revision that is read."""
    help = "paths are relative to the spec's folder"
    return Diagnostic(id="spec-file-missing", message="there is no file at this path", span=span, help=help)


def _no_mapping(document: Document) -> Diagnostic:
    return Diagnostic(
        id="spec-type",
        message="what specs share is a mapping",
        span=document.source.span(""),
        help="write the keys of a spec, such as `pricing: {provider: aws}`",
    )


def _as_seen_from(layer: Document, spec: Path) -> Document:
    return replace(layer, value=rebased(layer.value, Path(layer.source.path).parent, spec.parent))


def _without(document: Document, *keys: str) -> Document:
    return replace(document, value=without_key(document.value, *keys))
