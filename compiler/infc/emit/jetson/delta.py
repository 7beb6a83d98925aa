"""A delta: only what changed since a release that devices have; what did not change is named by digest.

`SHA256SUMS` of a delta lists every file of the release. The device takes the absent ones, by digest, from any release
that it still keeps, so a device that is two releases behind needs nothing else as long as the content is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infc.diag import ToolError
from infc.emit.jetson.archive import read_archive
from infc.emit.jetson.sums import OF_THE_RELEASE, SUMS_NAME, digests_of, parse_sums
from infc.ir.edge_release import AbsentFile

_MOST_SUMS_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What need not travel. The files that name the release (manifest, SBOM, provenance, sums) always do."""

    absent: tuple[AbsentFile, ...]

    def carried(self, files: Mapping[str, bytes | Path]) -> dict[str, bytes | Path]:
        """The files to pack, of all files of the release with their `SHA256SUMS`."""
        left_out = {each.path for each in self.absent}
        return {path: files[path] for path in sorted(files) if path not in left_out}


def delta_of(files: Mapping[str, bytes | Path], base_sums: bytes) -> Delta:
    """The delta from the release whose `SHA256SUMS` is `base_sums` to the release with these files.

    A file is absent when the base has its content, under whatever name. A base without any of it gives an empty
    `absent`: then the delta is as large as the full bundle.

    Raises:
        ToolError: `base_sums` is no `SHA256SUMS` of a bundle.
    """
    listed = parse_sums(base_sums)
    if listed is None:
        raise ToolError(f"the base's {SUMS_NAME} cannot be read", help="name the archive of the release before")
    at_the_base = {digest for path, digest in listed.items() if path not in OF_THE_RELEASE}
    digests = digests_of(files)
    absent = tuple(
        AbsentFile(path=path, sha256=digest, size_bytes=_size_bytes(files[path]))
        for path, digest in digests.items()
        if path not in OF_THE_RELEASE and digest in at_the_base
    )
    return Delta(absent=absent)


def sums_of_archive(archive: Path) -> bytes:
    """`SHA256SUMS` of a bundle: it is the first of its files, so little of the archive is read.

    Raises:
        ToolError: the archive cannot be read, or has none.
    """
    for member in read_archive(archive):
        if member.path == SUMS_NAME and member.size_bytes <= _MOST_SUMS_BYTES:
            return b"".join(member.chunks)
    raise ToolError(f"{archive.name} has no {SUMS_NAME}", help="take an archive that `infc compile` wrote")


def missing_at(absent: Iterable[AbsentFile], at_the_base: Iterable[str]) -> tuple[str, ...]:
    """Paths of the absent files that the base does not have; `at_the_base` holds the sha256 in hex of its files.

    >>> missing_at((AbsentFile(path="a", sha256="1", size_bytes=1),), ("2",))
    ('a',)
    """
    there = set(at_the_base)
    return tuple(each.path for each in absent if each.sha256 not in there)


def _size_bytes(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
