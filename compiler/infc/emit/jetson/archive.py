"""The one file that travels: a tar in a zstd frame, the same bytes for the same files, read without trusting it.

Only regular files are in it, under one folder, sorted by path. Nothing is held in memory but a piece of a file, since
models may be as large as the disk. The bytes depend on the release of libzstd that compresses, so what a release *is*
rests on its content digest (`infc.emit.jetson.sums`), never on the digest of the archive.
"""

import re
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from infc.diag import InternalError, ToolError

SUFFIX = ".tar.zst"
_LEVEL = 6  # weights hardly shrink: level 6 packs 160-230 MB/s, level 19 2 MB/s for the same size within 1 %
_CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 512
_EPOCH_S = 315532800  # 1980-01-01: the first time that zip and FAT can hold, too
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


def is_executable(path: str) -> bool:
    """Whether the file has mode 0755: scripts and the program; everything else has 0644."""
    return path.endswith(".sh") or path == "bin/edge.py"


def pack(files: Mapping[str, bytes | Path], folder: str, out: BinaryIO) -> None:
    """Write `files` under `folder/` as an archive; the same files, the same bytes.

    Raises:
        InternalError: a path or the folder is one that a bundle cannot hold.
        ToolError: a file changed its size while it was read.
        OSError: a file cannot be read, or `out` cannot be written.
    """
    _write((_member_of(folder, path, files[path]) for path in sorted(files)), out)


def repack(archive: Path, replaced: Mapping[str, bytes], out: BinaryIO) -> None:
    """Write the archive again with the files of `replaced` in place of, or beside, those that it has.

    The result is what `pack` makes of the same files.

    Raises:
        ToolError: the archive is damaged or is not one of infc's.
    """
    _write(_merged(read_archive(archive), replaced), out)


def _merged(members: Iterator[Member], replaced: Mapping[str, bytes]) -> Iterator[Member]:
    waiting = sorted(replaced)
    folder = ""
    for member in members:
        folder = member.folder
        while waiting and waiting[0] <= member.path:
            path = waiting.pop(0)
            yield _member_of(folder, path, replaced[path])
        if member.path not in replaced:
            yield member
    for path in waiting:
        yield _member_of(folder, path, replaced[path])


def _member_of(folder: str, path: str, content: bytes | Path) -> Member:
    if isinstance(content, bytes):
        return Member(folder=folder, path=path, size_bytes=len(content), chunks=iter((content,)))
    return Member(folder=folder, path=path, size_bytes=content.stat().st_size, chunks=_chunks_of(content))


def _chunks_of(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _write(members: Iterable[Member], out: BinaryIO) -> None:
    with _compressing(out) as stream:
        for member in members:
            _write_member(member, stream)
        stream.write(bytes(2 * _BLOCK_BYTES))


def _write_member(member: Member, stream: IO[bytes]) -> None:
    if not is_bundle_path(member.path) or not is_bundle_path(member.folder) or "/" in member.folder:
        raise InternalError(f"a bundle cannot hold a file {member.folder}/{member.path}")
    header = tarfile.TarInfo(f"{member.folder}/{member.path}")
    header.size = member.size_bytes
    header.mtime = _EPOCH_S
    header.mode = 0o755 if is_executable(member.path) else 0o644
    stream.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
    written_bytes = 0
    for chunk in member.chunks:
        written_bytes += len(chunk)
        stream.write(chunk)
    if written_bytes != member.size_bytes:
        raise ToolError(f"{member.path} changed while it was packed", help="let nothing write there and try again")
    stream.write(bytes(-written_bytes % _BLOCK_BYTES))


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
        with archive.open("rb") as file, _decompressing(file) as stream:
            yield from _Reader(stream, archive.name, compressed_bytes).members()
    except OSError as error:
        raise ToolError(f"cannot read {archive}: {error.strerror or error}") from error
    except EOFError as error:
        raise ToolError(f"{archive.name} is truncated: it ends in the middle", help=_DAMAGED) from error
    except _zstd_error() as error:
        raise ToolError(f"{archive.name} is damaged, or is not a zstd archive ({error})", help=_DAMAGED) from error


def unpack(archive: Path, into: Path) -> Path:
    """Unpack into the folder `into`, which must exist; returns the one folder that was made in it.

    Raises:
        ToolError: as `read_archive`; what was written so far stays.
        FileExistsError: the folder is there already.
    """
    root: Path | None = None
    for member in read_archive(archive):
        if root is None:
            root = into / member.folder
            root.mkdir()
        target = root / member.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.writelines(member.chunks)
        target.chmod(0o755 if is_executable(member.path) else 0o644)
    if root is None:
        raise ToolError(f"{archive.name} holds no file", help=_DAMAGED)
    return root


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
            self._exactly(-header.size % _BLOCK_BYTES)
        self._expect_end()

    def _header(self) -> tarfile.TarInfo | None:
        """The next file's header, a PAX header before it applied; None at the end of the archive."""
        header = self._raw_header()
        if header is None or header.type != tarfile.XHDTYPE:
            return self._regular(header)
        if not 0 <= header.size <= _MOST_PAX_BYTES:
            raise self._refusal("holds an oversized header")
        records = _pax_records(self._exactly(header.size))
        self._exactly(-header.size % _BLOCK_BYTES)
        header = self._regular(self._raw_header())
        if records is None or header is None:
            raise self._refusal("holds a header that cannot be read")
        header.name = records.get("path", header.name)
        header.size = int(records.get("size", header.size))
        return header

    def _raw_header(self) -> tarfile.TarInfo | None:
        block = self._exactly(_BLOCK_BYTES)
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
        self._left_bytes -= size_bytes + _BLOCK_BYTES
        if size_bytes < 0 or self._left_bytes < 0 or len(self._seen) > _MOST_FILES:
            raise self._refusal("would unpack to far more than a bundle of its size holds")

    def _content(self, size_bytes: int) -> Iterator[bytes]:
        left_bytes = size_bytes
        while left_bytes:
            chunk = self._stream.read(min(left_bytes, _CHUNK_BYTES))
            if not chunk:
                raise EOFError
            left_bytes -= len(chunk)
            yield chunk

    def _exactly(self, size_bytes: int) -> bytes:
        return b"".join(self._content(size_bytes))

    def _expect_end(self) -> None:
        """The rest is zeros, and the frame's own checksum holds (it is checked when the end is reached)."""
        padding_bytes = 0
        while chunk := self._stream.read(_CHUNK_BYTES):
            padding_bytes += len(chunk)
            if any(chunk) or padding_bytes > _MOST_PADDING_BYTES:
                raise self._refusal("goes on after its end")

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


def _compressing(out: BinaryIO) -> IO[bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    parameter = zstd.CompressionParameter
    # One thread: with several, the bytes are others. No content size: the sizes of streams are not known beforehand.
    options: dict[int, int] = {
        parameter.compression_level: _LEVEL,
        parameter.checksum_flag: 1,
        parameter.nb_workers: 0,
    }
    return cast("IO[bytes]", zstd.ZstdFile(out, "wb", options=options))


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
