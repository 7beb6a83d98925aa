"""`SHA256SUMS` and the content digest."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.emit.jetson.device.trust import content_digest_of as digest_on_the_device
from infc.emit.jetson.device.trust import signed_files
from infc.emit.jetson.sums import content_digest, content_digest_of, digests_of, parse_sums, sums_of, with_sums

PATHS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}){0,2}", fullmatch=True)
DIGESTS = st.dictionaries(PATHS, st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=5)


@settings(max_examples=30)
@given(DIGESTS)
def test_what_is_written_is_read_back_here_and_on_the_device(digests: dict[str, str]) -> None:
    """Both give the same digests, and the same digest of the content."""
    text = sums_of(digests)
    assert parse_sums(text) == digests
    assert signed_files(text) == digests
    assert content_digest_of(digests) == digest_on_the_device(digests)


@given(st.binary(max_size=200))
def test_anything_else_is_not_read(text: bytes) -> None:
    """Only what would be written again as it is."""
    digests = parse_sums(text)
    assert digests is None or sums_of(digests) == text


@pytest.mark.parametrize(
    "text",
    [
        f"{'1' * 64}  b\n{'2' * 64}  a\n",
        f"{'1' * 64}  a\n{'2' * 64}  a\n",
        f"{'1' * 64}  ../a\n",
        f"{'1' * 64} *a\n",
        f"{'1' * 64}  a",
        f"{'A' * 64}  a\n",
        f"{'1' * 64}  a\r\n",
    ],
)
def test_other_lists_are_not_read(text: str) -> None:
    """Unsorted, twice the same, leading out, of another mode, without its last line's end."""
    assert parse_sums(text.encode()) is None


def test_sums_cover_all_but_themselves(tmp_path: Path) -> None:
    """And `sha256sum -c` agrees."""
    files = with_sums({"b": b"2", "a/c": b"1", "SHA256SUMS": b"old", "SHA256SUMS.sig": b"old"})
    assert list(files) == ["SHA256SUMS", "a/c", "b"]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(bytes(content))
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)


def test_releases_of_equal_content_have_one_digest() -> None:
    """Whatever they are called and whoever signed them; one byte of content makes another."""
    content = {"models/m.onnx": b"m"}
    digest = content_digest(content)
    for name in ("manifest.json", "sbom.cdx.json", "provenance.json", "SHA256SUMS", "SHA256SUMS.sig"):
        assert content_digest({**content, name: b"x"}) == digest
    assert content_digest({"models/m.onnx": b"n"}) != digest
    assert content_digest({**content, "models/SHA256SUMS": b"x"}) != digest


def test_files_on_disk_are_read(tmp_path: Path) -> None:
    """A path stands for its content."""
    (tmp_path / "m").write_bytes(b"m")
    assert digests_of({"m": tmp_path / "m"}) == digests_of({"m": b"m"})
