"""Reads archives that anybody may have made: what comes out is what a bundle can hold, or nothing."""

import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from infc.diag import ToolError

BLOCK_BYTES = 512
_CHUNK_BYTES = 1 << 20
_MOST_FILES = 20_000
_MOST_PATH_CHARACTERS = 255
_MOST_PAX_BYTES = 1 << 16
_MOST_PADDING_BYTES = 1 << 20
_MOST_WINDOW_LOG = 27  # 128 MiB, what the zstd command takes without being told
_MOST_EXPANSION = 1000
_ALWAYS_ALLOWED_BYTES = 256 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@=,~-]*")
_PAX_RECORD = re.compile(rb"([0-9]{1,6}) (path|size)=")
_DAMAGED = "copy the bundle again, and compare its sha256sum with the sender's"


class ForeignContentError(ToolError):
    """An archive can be read, and holds what no bundle holds: a link, a name that leads elsewhere, a file twice."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file of an archive: its path inside `folder`, and its content, to be read once before the next member."""

    folder: str
    path: str
    size_bytes: int
    chunks: Iterator[bytes]


def is_bundle_path(path: str) -> bool:
    """Whether a bundle may hold a file of that name: relative, ASCII letters, digits and `_.+@=,~-`, no hidden part.

    >>> is_bundle_path("models/encoder.onnx"), is_bundle_path("../etc/passwd"), is_bundle_path("a//b")
    (True, False, False)
    """
    return len(path) <= _MOST_PATH_CHARACTERS and all(_PART.fullmatch(part) for part in path.split("/"))


def read_archive(archive: Path) -> Iterator[Member]:
    """The files of an archive, one after the other, in its order. A member's content that was not read is skipped.

    Nothing of it is trusted: only regular files under one folder, each once, with names that `pack` would write, and
    in all at most a thousand times the archive's own size.

    Raises:
        ToolError: the archive cannot be opened, is truncated or damaged.
        ForeignContentError: it holds what no bundle holds.
    """
    try:
        compressed_bytes = archive.stat().st_size
        file = archive.open("rb")
    except OSError as error:
        raise ToolError(f"cannot read {archive}: {error.strerror or error}") from error
    with file, _decompressing(file) as stream:
        yield from _Reader(stream, archive.name, compressed_bytes).members()


class _Reader:
    """Reads one tar stream; remembers what it has seen, so that nothing comes twice."""

    def __init__(self, stream: IO[bytes], name: str, compressed_bytes: int) -> None:
        self._stream = stream
        self._name = name
        self._left_bytes = max(_ALWAYS_ALLOWED_BYTES, _MOST_EXPANSION * compressed_bytes)
        self._folder: str | None = None
        self._seen: set[str] = set()
        self._folders: set[str] = set()

    def members(self) -> Iterator[Member]:
        while (header := self._header()) is not None:
            folder, path = self._names(header)
            self._count(path, header.size)
            chunks = self._content(header.size)
            yield Member(folder=folder, path=path, size_bytes=header.size, chunks=chunks)
            for _ in chunks:
                pass
            self._exactly(-header.size % BLOCK_BYTES)
        self._expect_end()

    def _header(self) -> tarfile.TarInfo | None:
        """The next file's header, a PAX header before it applied; None at the end of the archive."""
        header = self._raw_header()
        if header is None or header.type != tarfile.XHDTYPE:
            return self._regular(header)
        if not 0 <= header.size <= _MOST_PAX_BYTES:
            raise self._refusal("holds an oversized header")
        records = _pax_records(self._exactly(header.size))
        self._exactly(-header.size % BLOCK_BYTES)
        header = self._regular(self._raw_header())
        if records is None or header is None:
            raise self._refusal("holds a header that cannot be read")
        header.name = records.get("path", header.name)
        header.size = int(records.get("size", header.size))
        return header

    def _raw_header(self) -> tarfile.TarInfo | None:
        block = self._exactly(BLOCK_BYTES)
        if not any(block):
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise ToolError(f"{self._name} is damaged: a header cannot be read", help=_DAMAGED) from None

    def _regular(self, header: tarfile.TarInfo | None) -> tarfile.TarInfo | None:
        if header is not None and header.type != tarfile.REGTYPE:
            what = "a link" if header.issym() or header.islnk() else "something that is not a regular file"
            raise self._refusal(f"holds {what}: {header.name!r}")
        return header

    def _names(self, header: tarfile.TarInfo) -> tuple[str, str]:
        folder, _, path = header.name.partition("/")
        if not is_bundle_path(folder) or not is_bundle_path(path):
            raise self._refusal(f"holds a file with a name that no bundle holds: {header.name!r}")
        if self._folder not in (None, folder):
            raise self._refusal(f"holds more than one folder: {self._folder!r} and {folder!r}")
        self._folder = folder
        return folder, path

    def _count(self, path: str, size_bytes: int) -> None:
        parts = path.split("/")
        folders = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if path in self._seen or path in self._folders or folders & self._seen:
            raise self._refusal(f"holds {path!r} twice")
        self._seen.add(path)
        self._folders |= folders
        self._left_bytes -= size_bytes + BLOCK_BYTES
        if size_bytes < 0 or self._left_bytes < 0 or len(self._seen) > _MOST_FILES:
            raise self._refusal("would unpack to far more than a bundle of its size holds")

    def _content(self, size_bytes: int) -> Iterator[bytes]:
        left_bytes = size_bytes
        while left_bytes:
            chunk = self._read(min(left_bytes, _CHUNK_BYTES))
            if not chunk:
                raise self._truncation()
            left_bytes -= len(chunk)
            yield chunk

    def _exactly(self, size_bytes: int) -> bytes:
        return b"".join(self._content(size_bytes))

    def _expect_end(self) -> None:
        """The rest is zeros, and the frame's own checksum holds (it is checked when the end is reached)."""
        padding_bytes = 0
        while chunk := self._read(_CHUNK_BYTES):
            padding_bytes += len(chunk)
            if any(chunk) or padding_bytes > _MOST_PADDING_BYTES:
                raise self._refusal("goes on after its end")

    def _read(self, most_bytes: int) -> bytes:
        """Every byte comes through here, also when the reader of a member asks for it."""
        try:
            return self._stream.read(most_bytes)
        except EOFError:
            raise self._truncation() from None
        except _zstd_error() as error:
            words = f"{self._name} is damaged, or is not a zstd archive ({error})"
            raise ToolError(words, help=_DAMAGED) from error
        except OSError as error:
            raise ToolError(f"cannot read {self._name}: {error.strerror or error}") from error

    def _truncation(self) -> ToolError:
        return ToolError(f"{self._name} is truncated: it ends in the middle", help=_DAMAGED)

    def _refusal(self, what: str) -> ForeignContentError:
        return ForeignContentError(f"{self._name} {what}", help="take only archives that `infc compile` wrote")


def _pax_records(data: bytes) -> dict[str, str] | None:
    """`path` and `size` of a PAX header; None when it holds anything else or cannot be read.

    >>> _pax_records(b"11 size=12" + bytes([10]))
    {'size': '12'}
    """
    records: dict[str, str] = {}
    while data:
        match = _PAX_RECORD.match(data)
        length = int(match[1]) if match else 0
        value = data[match.end() : length - 1] if match else b""
        if match is None or data[length - 1 : length] != b"\n" or not value.isascii():
            return None
        key = match[2].decode()
        if key in records or (key == "size" and not (value.isdigit() and len(value) <= 18)):
            return None
        records[key] = value.decode()
        data = data[length:]
    return records


def _decompressing(file: BinaryIO) -> IO[bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _MOST_WINDOW_LOG}
    return cast("IO[bytes]", zstd.ZstdFile(file, "rb", options=options))


def _zstd_error() -> type[Exception]:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdError
    else:
        from backports.zstd import ZstdError
    return ZstdError
