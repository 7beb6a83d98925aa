"""The one file that travels: a tar in a zstd frame, the same bytes for the same files, read without trusting it.

Only regular files are in it, under one folder, sorted by path. Nothing is held in memory but a piece of a file, since
models may be as large as the disk. The bytes depend on the release of libzstd that compresses, so what a release *is*
rests on its content digest (`infc.emit.jetson.sums`), never on the digest of the archive.
"""

import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO, cast

from infc.diag import InternalError, ToolError
from infc.emit.jetson.archive_reader import BLOCK_BYTES, ForeignContentError, Member, is_bundle_path, read_archive

__all__ = [
    "SUFFIX",
    "ForeignContentError",
    "Member",
    "is_bundle_path",
    "is_executable",
    "pack",
    "read_archive",
    "repack",
    "unpack",
]

SUFFIX = ".tar.zst"
_LEVEL = 6  # weights hardly shrink: level 6 packs 160-230 MB/s, level 19 2 MB/s for the same size within 1 %
_CHUNK_BYTES = 1 << 20
_EPOCH_S = 315532800  # 1980-01-01: the first time that zip and FAT can hold, too


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
        stream.write(bytes(2 * BLOCK_BYTES))


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
    stream.write(bytes(-written_bytes % BLOCK_BYTES))


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
        raise ToolError(f"{archive.name} holds no file", help="copy it again from where it was compiled")
    return root


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
