"""Archives: the same bytes for the same files, whole or refused, and nothing that leads out of the folder."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.diag import InternalError, ToolError
from infc.emit.jetson.archive import ForeignContentError, is_bundle_path, pack, read_archive, repack, unpack
from infc.emit.jetson.sums import with_sums

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LONG = "a" * 120 + "/" + "b" * 100
FILES = {"install.sh": b"#!/bin/sh\n", "models/m.onnx": bytes(1 << 20), LONG: b"long", "empty": b""}


def archive_of(files: dict[str, bytes | Path], folder: str = "camera-7") -> bytes:
    """The archive's bytes."""
    out = io.BytesIO()
    pack(files, folder, out)
    return out.getvalue()


def read(path: Path) -> dict[str, bytes]:
    """Path -> content of an archive."""
    return {member.path: b"".join(member.chunks) for member in read_archive(path)}


def written(tmp_path: Path, data: bytes) -> Path:
    """A file with those bytes."""
    path = tmp_path / "x.tar.zst"
    path.write_bytes(data)
    return path


def tar_of(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> Path:
    """A zstd archive with any tar inside."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w", format=format) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return written(tmp_path, zstd.compress(inner.getvalue()))


def member(name: str, data: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member with any header."""
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    """From memory or from disk, in any order, whatever times and modes the files have."""
    (tmp_path / "model").write_bytes(FILES["models/m.onnx"])
    os.utime(tmp_path / "model", (1, 1))
    (tmp_path / "model").chmod(0o600)
    first = archive_of(dict(FILES))
    assert archive_of({**dict(reversed(FILES.items())), "models/m.onnx": tmp_path / "model"}) == first
    assert read(written(tmp_path, first)) == FILES


def test_what_is_unpacked_is_what_was_packed(tmp_path: Path) -> None:
    """With the two modes that a bundle has."""
    (tmp_path / "out").mkdir()
    root = unpack(written(tmp_path, archive_of(dict(FILES))), tmp_path / "out")
    assert root == tmp_path / "out" / "camera-7"
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert found == FILES
    assert (root / "install.sh").stat().st_mode & 0o777 == 0o755
    assert (root / "models/m.onnx").stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd command")
def test_the_programs_of_a_device_read_it(tmp_path: Path) -> None:
    """`zstd`, `tar` and `sha256sum -c`, as they are there without infc."""
    path = written(tmp_path, archive_of(with_sums({**FILES})))
    plain = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-xf", "-", "-C", tmp_path], input=plain, check=True)
    listing = subprocess.run(["tar", "-tvf", "-"], input=plain, capture_output=True, check=True, env={"TZ": "UTC"})
    assert {line.split()[1] for line in listing.stdout.decode().splitlines()} == {"0/0"}
    assert {line.split()[3] for line in listing.stdout.decode().splitlines()} == {"1980-01-01"}
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path / "camera-7", check=True)


def test_repacking_is_packing(tmp_path: Path) -> None:
    """A signature that is put in later gives the bytes that packing it at once would have given."""
    path = written(tmp_path, archive_of(dict(FILES)))
    for replaced in ({"SHA256SUMS.sig": b"s"}, {"zz": b"last", "0": b"first"}, {"install.sh": b"other"}):
        out = io.BytesIO()
        repack(path, replaced, out)
        assert out.getvalue() == archive_of({**FILES, **replaced})


def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    """With words that say so; never with half of its files taken for all."""
    data = archive_of({**FILES, "noise": os.urandom(2000)})
    for length in [*range(60), *range(60, len(data), 37), len(data) - 1]:
        with pytest.raises(ToolError, match=r"truncated|damaged"):
            read(written(tmp_path, data[:length]))


def test_a_flipped_bit_is_refused_or_harmless(tmp_path: Path) -> None:
    """Wherever it is: the frame's checksum sees it, or (in what nothing depends on) the files are the same."""
    files: dict[str, bytes | Path] = {"a": os.urandom(60), "b": b"text" * 50}
    data = archive_of(files)
    for position in range(0, len(data), 2):
        changed = bytearray(data)
        changed[position] ^= 1 << (position % 8)
        try:
            found = read(written(tmp_path, bytes(changed)))
        except ToolError:
            continue
        assert found == files


def test_what_follows_the_archive_is_refused(tmp_path: Path) -> None:
    """A second frame, or a second tar inside."""
    data = archive_of(dict(FILES))
    with pytest.raises(ToolError):
        read(written(tmp_path, data + b"more"))
    with pytest.raises(ForeignContentError, match="goes on after its end"):
        read(written(tmp_path, data + zstd.compress(b"more" * 200)))


HOSTILE: dict[str, Callable[[Path], Path]] = {
    "a link": lambda p: tar_of(p, member("n-1/a", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "a hard link": lambda p: tar_of(p, member("n-1/a", b"", type=tarfile.LNKTYPE, linkname="n-1/b")),
    "a device": lambda p: tar_of(p, member("n-1/a", b"", type=tarfile.CHRTYPE)),
    "a fifo": lambda p: tar_of(p, member("n-1/a", b"", type=tarfile.FIFOTYPE)),
    "a sparse file": lambda p: tar_of(p, member("n-1/a", b"", type=tarfile.GNUTYPE_SPARSE)),
    "a parent": lambda p: tar_of(p, member("n-1/../../a")),
    "an absolute path": lambda p: tar_of(p, member("/etc/cron.d/a")),
    "no folder": lambda p: tar_of(p, member("a")),
    "two folders": lambda p: tar_of(p, member("n-1/a"), member("n-2/a")),
    "a file twice": lambda p: tar_of(p, member("n-1/a"), member("n-1/a")),
    "a file that is a folder": lambda p: tar_of(p, member("n-1/a/b"), member("n-1/a")),
    "a folder that is a file": lambda p: tar_of(p, member("n-1/a"), member("n-1/a/b")),
    "a newline": lambda p: tar_of(p, member("n-1/a\nb")),
    "a hidden file": lambda p: tar_of(p, member("n-1/.ssh/authorized_keys")),
    "a name of another script": lambda p: tar_of(p, member("n-1/ä")),
    "a long name of GNU tar": lambda p: tar_of(p, member("n-1/" + "a" * 120), format=tarfile.GNU_FORMAT),
    "a global header": lambda p: tar_of(p, member("n-1/a", b"13 path=../x\n", type=tarfile.XGLTYPE)),
    "other records": lambda p: tar_of(p, member("n-1/a", pax_headers={"linkpath": "/etc"})),
    "a huge header": lambda p: tar_of(p, member("n-1/a", b"x" * 100_000, type=tarfile.XHDTYPE), member("n-1/b")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_bundle_holds_is_refused(what: str, tmp_path: Path) -> None:
    """Before anything of it is written."""
    path = HOSTILE[what](tmp_path)
    with pytest.raises(ForeignContentError):
        read(path)
    (tmp_path / "out").mkdir()
    with pytest.raises(ForeignContentError):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "etc").exists()


def test_a_small_archive_of_many_bytes_is_refused(tmp_path: Path) -> None:
    """By what its headers claim, before the bytes are there: neither memory nor disk is filled."""
    header = tarfile.TarInfo("n-1/a")
    header.size = 1 << 40
    path = written(tmp_path, zstd.compress(header.tobuf(tarfile.PAX_FORMAT) + bytes(1 << 20)))
    with pytest.raises(ForeignContentError, match="far more than"):
        read(path)


def test_an_empty_archive_and_no_archive_are_refused(tmp_path: Path) -> None:
    """In words."""
    with pytest.raises(ToolError, match="cannot read"):
        read(tmp_path / "missing.tar.zst")
    with pytest.raises(ToolError, match="is not a zstd archive"):
        read(written(tmp_path, b"PK\x03\x04" * 300))
    (tmp_path / "out").mkdir()
    with pytest.raises(ToolError, match="holds no file"):
        unpack(written(tmp_path, zstd.compress(bytes(1024))), tmp_path / "out")


def test_a_file_that_shrinks_while_it_is_packed_is_refused(tmp_path: Path) -> None:
    """Its header has been written by then."""

    class Shrinking(type(tmp_path)):  # type: ignore[misc]
        def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
            values = list(super().stat(follow_symlinks=follow_symlinks))
            values[6] += 1
            return os.stat_result(values)

    (tmp_path / "m").write_bytes(b"abc")
    with pytest.raises(ToolError, match="changed while it was packed"):
        archive_of({"m": Shrinking(tmp_path / "m")})


PLAIN_TAR = zstd.decompress(archive_of({"a": b"1" * 600, LONG: b"2", "empty": b""}))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(PLAIN_TAR) - 1), st.integers(0, 255)), max_size=6), st.integers(0, 3000))
def test_a_tar_that_was_changed_is_read_in_peace_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    """Whatever stands in its headers: no traceback, and no name that leads elsewhere."""
    data = bytearray(PLAIN_TAR)
    for position, value in changes:
        data[position] = value
    path = tmp_path_factory.getbasetemp() / "changed.tar.zst"
    path.write_bytes(zstd.compress(bytes(data[: len(data) - cut]), 1))
    try:
        found = read(path)
    except ToolError:
        return
    assert all(is_bundle_path(name) for name in found)


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_any_name_is_packed_and_read_back_or_refused_by_both(name: str) -> None:
    """What `pack` takes, `read_archive` gives back under the same name; what it refuses cannot be read either."""
    if is_bundle_path(name):
        assert not name.startswith(("/", ".", "-"))
        assert ".." not in name.split("/")
        assert archive_of({name: b"x"})
    else:
        with pytest.raises(InternalError):
            archive_of({name: b"x"})


@settings(max_examples=50)
@given(st.from_regex(r"[A-Za-z0-9_.+@=,~/-]{1,300}", fullmatch=True))
def test_names_stay_inside(name: str) -> None:
    """Every name that is taken leads to a place below the folder."""
    if is_bundle_path(name):
        root = Path("/srv/folder")
        assert os.path.normpath(root / name) == str(root / name)
