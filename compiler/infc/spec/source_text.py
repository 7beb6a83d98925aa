"""From bytes on disk to text: size, encoding, byte order mark, characters that YAML does not allow."""

import os
from pathlib import Path

from infc.diag import Diagnostic, Span
from infc.diag.nearest import nearest

SPEC_SUFFIX = ".infc.yaml"
MAX_SPEC_BYTES = 1024 * 1024
_ALLOWED = (
    *((0x20, 0x7E), (0xA0, 0x2027), (0x202F, 0x2065), (0x206A, 0xD7FF)),
    *((0xE000, 0xFEFE), (0xFF00, 0xFFFD), (0x10000, 0x10FFFF)),
)
_ALLOWED_CONTROLS = frozenset("\t\n\r")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"


def read_source(path: Path, shown: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The text of a spec file, or why it cannot be read. `shown` is the path in messages.

    A UTF-8 byte order mark is dropped, so that columns count from the first visible character.
    """
    start = file_start(shown)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SPEC_BYTES + 1)
    except FileNotFoundError:
        return None, (_problem("spec-not-found", f"there is no file {shown}", start, _near_spec(path)),)
    except IsADirectoryError:
        return None, (_problem("spec-not-found", f"{shown} is a folder, not a spec", start, "name a *.infc.yaml file"),)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return None, (_problem("spec-unreadable", f"cannot read {shown}: {reason}", start, "check its permissions"),)
    return decode_source(data, shown)


def _near_spec(path: Path) -> str:
    try:
        stems = sorted(name.removesuffix(SPEC_SUFFIX) for name in os.listdir(path.parent) if name.endswith(SPEC_SUFFIX))
    except OSError:
        return "check the path: its folder is not there either"
    close = nearest(path.name.removesuffix(SPEC_SUFFIX), stems, limit=1)
    return f"did you mean `{(path.parent / close[0]).as_posix()}{SPEC_SUFFIX}`?" if close else "check the path"


def decode_source(data: bytes, shown: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The text of a spec's bytes, or why they are no text."""
    start = file_start(shown)
    if len(data) > MAX_SPEC_BYTES:
        help = "a spec is a page of YAML: keep data in files of their own and name their paths"
        return None, (_problem("spec-too-large", "the spec is larger than 1 MiB", start, _model_help(shown) or help),)
    if data.startswith(_UTF16_MARKS):
        help = "save the file as UTF-8 (most editors: `Save with encoding`)"
        return None, (_problem("spec-encoding", "the spec is UTF-16, not UTF-8", start, help),)
    if data.startswith(_UTF8_MARK):
        data = data[len(_UTF8_MARK) :]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        span = span_at(data[: error.start].decode("utf-8"), error.start, shown)
        message = f"byte 0x{data[error.start]:02x} is not valid UTF-8"
        help = "save the file as UTF-8 (most editors: `Save with encoding`)"
        return None, (_problem("spec-encoding", message, span, _model_help(shown) or help),)
    forbidden = [text.index(character) for character in set(text) if not _is_allowed(character)]
    if forbidden:
        span = span_at(text, min(forbidden), shown)
        message = f"character U+{ord(text[min(forbidden)]):04X} is not allowed here"
        return None, (_problem("spec-character", message, span, "remove it; a spec is printable text"),)
    return text, ()


def _model_help(shown: str) -> str | None:
    """What to do with a model that was named in place of a spec."""
    return f"this is a model: `infc init {shown}` writes a spec for it" if shown.endswith(".onnx") else None


def _is_allowed(character: str) -> bool:
    """Printable as YAML 1.2 says.

    But no invisible line separators (U+0085, U+2028, U+2029), byte order marks, and characters that turn the direction
    of text (U+202A to U+202E, U+2066 to U+2069): what a reviewer sees would not be what is read.
    """
    code = ord(character)
    return character in _ALLOWED_CONTROLS or any(low <= code <= high for low, high in _ALLOWED)


def file_start(shown: str) -> Span:
    """The first character of a file: where a problem of the whole file is reported."""
    return Span(path=shown, line=1, column=1, end_line=1, end_column=1)


def span_at(text: str, index: int, shown: str) -> Span:
    r"""The span of the one character at `index`.

    >>> span = span_at("a: 1\nbc: 2", 6, "x.yaml")
    >>> span.line, span.column
    (2, 2)
    """
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Span(path=shown, line=line, column=column, end_line=line, end_column=column + 1)


def _problem(id: str, message: str, span: Span, help: str) -> Diagnostic:
    return Diagnostic(id=id, message=message, span=span, help=help)
