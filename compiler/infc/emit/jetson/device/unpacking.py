"""Reads a bundle, a folder or a `.tar.zst`, without trusting it, and brings it into staging."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import IO, Any, Iterator, NamedTuple  # noqa: UP035 - Python 3.8

from .codes import DAMAGED, FAILED, NOT_READY, UNSIGNED_FILE, Refusal
from .identity import free_bytes
from .programs import required_program
from .trust import MANIFEST_BYTES, MANIFEST_NAME, files_under, is_plain_path

SPARE_BYTES = 16 << 20
"""Bytes of the disk that unpacking leaves free, for journals and logs."""
_BLOCK_BYTES, _CHUNK_BYTES = 512, 1 << 20
_MOST_MEMBERS, _MOST_PAX_BYTES, _MOST_PADDING_BYTES = 20_000, 1 << 16, 1 << 20
_MOST_FILE_BYTES, _MOST_SIZE_DIGITS = 1 << 50, 18
_BUNDLE_FOLDER = re.compile(r"(.+)-(\d+(?:\.\d+)*)")
_PAX_RECORD = re.compile(rb"\d+ (path|size)=([\x21-\x7e]+)\n")
_AGAIN = "get the bundle again, and compare its sha256sum with the sender's"


class Member(NamedTuple):
    """A file of a bundle: the bundle's folder in its archive (empty: it is a folder), its path inside, its content."""

    folder: str
    path: str
    size_bytes: int
    chunks: Iterator[bytes]


def bundle_members(bundle: Path) -> Iterator[Member]:
    """Files of a bundle one after the other; each content is to be read before the next. Raises Refusal 1, 11, 12, 30.

    Of an archive, only plain files under one folder come through: no link, no device, no path that leads elsewhere.
    """
    if bundle.is_dir():
        for path, file in sorted(files_under(bundle).items()):
            with file.open("rb") as stream:
                size_bytes = file.stat().st_size
                yield Member("", path, size_bytes, _content(stream, size_bytes))
    elif bundle.is_file():
        yield from _archive_members(bundle)
    else:
        raise Refusal(FAILED, f"{bundle} is neither a folder nor a file", "name the .tar.zst, or the unpacked folder")


def said_name(first: Member, bundle: Path) -> tuple[str, str]:
    """Name and version that a bundle gives itself, before anything of it is verified. Raises Refusal 11."""
    if first.folder:
        match = _BUNDLE_FOLDER.fullmatch(first.folder)
        if match is None:
            raise Refusal(DAMAGED, f"{bundle.name} holds {first.folder!r}, which is no bundle's folder", _AGAIN)
        return match[1], match[2]
    try:
        with (bundle / MANIFEST_NAME).open("rb") as file:
            manifest: Any = json.loads(file.read(MANIFEST_BYTES).decode("utf-8"))
        return str(manifest["name"]), str(manifest["version"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Refusal(DAMAGED, f"{bundle} has no {MANIFEST_NAME} that can be read", _AGAIN) from None


def unpack_members(members: Iterator[Member], into: Path) -> int:
    """Write the files of a bundle under a new folder; returns their bytes. Raises Refusal 30 when they do not fit."""
    into.mkdir(parents=True)
    total = 0
    for member in members:
        total += member.size_bytes
        free = free_bytes(into)
        if member.size_bytes + SPARE_BYTES > free:
            needed, there = (member.size_bytes + SPARE_BYTES) / 1e6, free / 1e6
            raise Refusal(NOT_READY, f"{member.path} needs {needed:.0f} MB, {there:.0f} MB are free", "free disk space")
        target = into / member.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in member.chunks:
                file.write(chunk)
        target.chmod(0o755 if member.path.endswith(".sh") or member.path == "bin/edge.py" else 0o644)
    return total


def _archive_members(archive: Path) -> Iterator[Member]:
    tool = required_program("zstd", "it unpacks bundles")
    process = subprocess.Popen(
        [tool, "-dcq", str(archive)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    stream = process.stdout
    if stream is None:
        raise Refusal(DAMAGED, f"{archive.name} cannot be read", _AGAIN)
    try:
        yield from _tar_members(stream, archive.name)
        if process.wait() != 0:
            raise Refusal(DAMAGED, f"{archive.name} is damaged, or is no zstd archive", _AGAIN)
    finally:
        stream.close()
        if process.poll() is None:
            process.kill()
        process.wait()


def _tar_members(stream: IO[bytes], name: str) -> Iterator[Member]:
    folder: str | None = None
    seen: set[str] = set()
    folders: set[str] = set()
    while True:
        header = _next_header(stream, name)
        if header is None:
            break
        top, _, path = header.name.rstrip("/").partition("/")
        if header.isdir() and is_plain_path(header.name.rstrip("/")):
            continue
        if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            kind = "a link" if header.issym() or header.islnk() else "something that is no file"
            raise Refusal(UNSIGNED_FILE, f"{name} holds {kind}: {header.name!r}", _AGAIN)
        if not is_plain_path(top) or not is_plain_path(path) or folder not in (None, top):
            raise Refusal(UNSIGNED_FILE, f"{name} holds a name that no bundle holds: {header.name!r}", _AGAIN)
        parents = {path[: match.start()] for match in re.finditer("/", path)}
        if not 0 <= header.size <= _MOST_FILE_BYTES:
            raise Refusal(UNSIGNED_FILE, f"{name} states a size for {path!r} that no file has", _AGAIN)
        if path in seen | folders or parents & seen or len(seen) >= _MOST_MEMBERS:
            raise Refusal(UNSIGNED_FILE, f"{name} holds {path!r} twice, or too many files", _AGAIN)
        folder = top
        seen.add(path)
        folders |= parents
        chunks = _content(stream, header.size)
        yield Member(top, path, header.size, chunks)
        for _ in chunks:
            pass
        _exactly(stream, -header.size % _BLOCK_BYTES)
    if folder is None:
        raise Refusal(DAMAGED, f"{name} holds no file", _AGAIN)
    _expect_zeros(stream, name)


def _next_header(stream: IO[bytes], name: str) -> tarfile.TarInfo | None:
    """The next file's header, with what an extended header before it says of its path and size; None at the end."""
    header = _raw_header(stream, name)
    if header is None or header.type != tarfile.XHDTYPE:
        return header
    if not 0 <= header.size <= _MOST_PAX_BYTES:
        raise Refusal(UNSIGNED_FILE, f"{name} holds a header of {header.size} bytes", _AGAIN)
    records = _exactly(stream, header.size)
    _exactly(stream, -header.size % _BLOCK_BYTES)
    described = _raw_header(stream, name)
    if described is None or b"".join(match[0] for match in _PAX_RECORD.finditer(records)) != records:
        raise Refusal(UNSIGNED_FILE, f"{name} holds a header that no bundle holds", _AGAIN)
    for match in _PAX_RECORD.finditer(records):
        if match[1] == b"path":
            described.name = match[2].decode("ascii")
        else:
            is_size = match[2].isdigit() and len(match[2]) <= _MOST_SIZE_DIGITS
            described.size = int(match[2]) if is_size else -1
    return described


def _raw_header(stream: IO[bytes], name: str) -> tarfile.TarInfo | None:
    block = _exactly(stream, _BLOCK_BYTES)
    if not any(block):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise Refusal(DAMAGED, f"{name} holds a header that cannot be read", _AGAIN) from None


def _content(stream: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left > 0:
        chunk = stream.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise Refusal(DAMAGED, "the bundle ends in the middle of a file", _AGAIN)
        left -= len(chunk)
        yield chunk


def _exactly(stream: IO[bytes], size_bytes: int) -> bytes:
    return b"".join(_content(stream, size_bytes))


def _expect_zeros(stream: IO[bytes], name: str) -> None:
    """After the last file come zeros; the checksum of the frame is checked when its end is read."""
    padding = 0
    for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""):
        padding += len(chunk)
        if any(chunk) or padding > _MOST_PADDING_BYTES:
            raise Refusal(UNSIGNED_FILE, f"{name} goes on after its end", _AGAIN)
