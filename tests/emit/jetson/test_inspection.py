"""A bundle that was tampered with in every way, checked as a device would check it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infc.build.edge_release_json import MANIFEST_NAME, to_json
from infc.diag import ToolError
from infc.emit.jetson.archive import read_archive
from infc.emit.jetson.inspection import inspect
from infc.emit.jetson.sums import SIGNATURE_NAME, SUMS_NAME, digests_of, sums_of, with_sums
from infc.emit.supply.signing import new_key, sign
from tests.emit.jetson.releases import CONTENT, MODEL, bundle, delta_bundle, packed, release_of

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `a.pem`, `b.pem` and their public halves."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("a.pem", "b.pem"):
        new_key(folder / name)
    return folder


@pytest.fixture(scope="module")
def signed(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a bundle that key a has signed."""
    archive = bundle(tmp_path_factory.mktemp("bundle"))
    files = {member.path: b"".join(member.chunks) for member in read_archive(archive)}
    return {**files, SIGNATURE_NAME: sign(files[SUMS_NAME], keys / "a.pem")}


def verdicts(archive: Path, keys: list[Path] | None) -> dict[str, int]:
    """Check -> code."""
    return {check.name: check.code for check in inspect(archive, keys).checks}


def as_archive(files: Files, tmp_path: Path) -> Path:
    """The files, packed."""
    return packed({**files}, "dock-camera-7", tmp_path / "x.tar.zst")


def listed_again(files: Files) -> Files:
    """Somebody without the key changed something, and made SHA256SUMS fit."""
    rest = {path: content for path, content in files.items() if path not in (SUMS_NAME, SIGNATURE_NAME)}
    return {**rest, SUMS_NAME: sums_of(digests_of(rest)), SIGNATURE_NAME: files[SIGNATURE_NAME]}


def test_a_signed_bundle_passes_every_check(signed: Files, keys: Path, tmp_path: Path) -> None:
    """With the key that signed among those that are trusted."""
    found = inspect(as_archive(signed, tmp_path), [keys / "b.pub.pem", keys / "a.pub.pem"])
    assert found.code == 0
    assert [check.name for check in found.checks] == ["archive", "signature", "files", "manifest", "content"]
    assert found.signer is not None
    assert found.signer.path == keys / "a.pub.pem"
    assert found.release == release_of(CONTENT)
    assert found.files == len(signed)


TAMPERED: dict[str, tuple[Callable[[Files], Files], int]] = {
    "a changed model": (lambda f: {**f, MODEL: b"onnx" * 4999 + b"evil"}, 11),
    "a changed model, listed again": (lambda f: listed_again({**f, MODEL: b"evil"}), 10),
    "a missing file": (lambda f: {p: c for p, c in f.items() if p != "install.sh"}, 11),
    "an added file": (lambda f: {**f, "bin/more.py": b""}, 12),
    "an added file, listed again": (lambda f: listed_again({**f, "bin/more.py": b""}), 10),
    "no signature": (lambda f: {p: c for p, c in f.items() if p != SIGNATURE_NAME}, 10),
    "no list": (lambda f: {p: c for p, c in f.items() if p != SUMS_NAME}, 10),
    "an empty signature": (lambda f: {**f, SIGNATURE_NAME: b""}, 10),
    "a changed signature": (lambda f: {**f, SIGNATURE_NAME: f[SIGNATURE_NAME][:-1] + b"\0"}, 10),
    "a list with other line ends": (lambda f: {**f, SUMS_NAME: f[SUMS_NAME].replace(b"\n", b"\r\n")}, 10),
    "no manifest": (lambda f: {p: c for p, c in f.items() if p != MANIFEST_NAME}, 11),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_refused(what: str, signed: Files, keys: Path, tmp_path: Path) -> None:
    """With the device's code of the first check that fails."""
    change, code = TAMPERED[what]
    assert inspect(as_archive(change(signed), tmp_path), [keys / "a.pub.pem"]).code == code


def test_another_key_is_refused(signed: Files, keys: Path, tmp_path: Path) -> None:
    """Code 10, with the keys that were tried; the content is checked all the same."""
    found = inspect(as_archive(signed, tmp_path), [keys / "b.pub.pem"])
    assert {check.name: check.code for check in found.checks} == {
        "archive": 0, "signature": 10, "files": 0, "manifest": 0, "content": 0
    }  # fmt: skip
    assert "b.pub.pem" in found.checks[1].words
    assert found.signer is None


def test_who_signed_need_not_be_asked(signed: Files, tmp_path: Path) -> None:
    """Then the content is checked, and nothing is said of the signature."""
    assert verdicts(as_archive(signed, tmp_path), None) == {"archive": 0, "files": 0, "manifest": 0, "content": 0}


def remade(change: Callable[[Files], Files], keys: Path, signed: Files) -> Files:
    """What the holder of the key made wrong: listed and signed again."""
    files = change({path: content for path, content in signed.items() if path not in (SUMS_NAME, SIGNATURE_NAME)})
    listed = {path: bytes(content) for path, content in with_sums({**files}).items()}
    return {**listed, SIGNATURE_NAME: sign(listed[SUMS_NAME], keys / "a.pem")}


@pytest.mark.parametrize(
    ("name", "manifest"),
    [
        ("manifest", b"{}"),
        ("manifest", b"{"),
        ("manifest", b"[]"),
        ("manifest", b'{"format_version": "2.0"}'),
        ("manifest", b"\xff"),
        ("content", to_json(replace(release_of(CONTENT), content_digest="sha256:" + "0" * 64))),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(
    name: str, manifest: bytes, signed: Files, keys: Path, tmp_path: Path
) -> None:
    """Although it is signed: no traceback, whatever it holds."""
    files = remade(lambda f: {**f, MANIFEST_NAME: manifest}, keys, signed)
    assert verdicts(as_archive(files, tmp_path), [keys / "a.pub.pem"])[name] == 11


def test_a_manifest_with_a_wrong_field_is_refused(signed: Files, keys: Path, tmp_path: Path) -> None:
    """With the field's name."""
    document = json.loads(signed[MANIFEST_NAME])
    document["delta"] = {"absent": 7}
    files = remade(lambda f: {**f, MANIFEST_NAME: json.dumps(document).encode()}, keys, signed)
    found = inspect(as_archive(files, tmp_path), [keys / "a.pub.pem"])
    assert found.code == 11
    assert any("delta" in check.words for check in found.checks if check.name == "manifest")


def test_a_damaged_archive_says_only_that(signed: Files, keys: Path, tmp_path: Path) -> None:
    """There is nothing else to check."""
    archive = as_archive(signed, tmp_path)
    archive.write_bytes(archive.read_bytes()[:-9])
    assert verdicts(archive, [keys / "a.pub.pem"]) == {"archive": 11}


def test_a_delta_is_checked_against_its_base(tmp_path: Path) -> None:
    """The base holds what the delta leaves out; another release does not (13); without a base it is not checked."""
    new = {**CONTENT, "install.sh": b"newer"}
    delta = delta_bundle(tmp_path, new, "8", release_of(CONTENT))
    assert inspect(delta, None).code == 0
    assert "not checked" in inspect(delta, None).checks[-1].words
    assert inspect(delta, None, bundle(tmp_path)).code == 0
    other = bundle(tmp_path, {**CONTENT, MODEL: b"other"}, "6")
    found = inspect(delta, None, other)
    assert found.code == 13
    assert MODEL in found.checks[-1].words


def test_a_full_bundle_needs_no_base(tmp_path: Path) -> None:
    """Asked for, it is refused rather than ignored."""
    with pytest.raises(ToolError, match="is no delta"):
        inspect(bundle(tmp_path), None, bundle(tmp_path))
