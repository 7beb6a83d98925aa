"""`infc sign` and `infc verify` as their users see them, with real keys and real archives."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.jetson import ota
from infc.emit.jetson.archive import read_archive
from infc.emit.manifest import read_manifest, verify_bundle
from infc.emit.supply.signing import new_key
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle
from infc.report.inspection import verification_schema
from infc.report.made_json import new_key_schema
from infc.report.signed import signed_schema
from tests.emit.jetson.releases import CONTENT, bundle, delta_bundle, release_of

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")

Infc = Callable[..., tuple[int, str, str]]
ARCHIVE = "dock-camera-jetson-orin-nx-16gb-7.tar.zst"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle and two keys."""
    folder = tmp_path_factory.mktemp("start")
    bundle(folder)
    for name in ("fleet.pem", "other.pem"):
        new_key(folder / name)
    return folder


@pytest.fixture
def infc(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Infc:
    """Run a command in a copy of that folder: exit code, stdout, stderr."""
    shutil.copytree(start, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115 - nobody is at the terminal

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = guarded(app, args=list(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def signature_of(archive: str) -> bytes | None:
    """What the archive holds."""
    found = {member.path: b"".join(member.chunks) for member in read_archive(Path(archive))}
    return found.get("SHA256SUMS.sig")


def written(out: Path, *, kinds: tuple[str, ...] = ()) -> Path:
    """An output folder as a compile leaves it: the archive, what lies beside it, infc's list."""
    files: dict[str, bytes | Path] = {ARCHIVE: Path(ARCHIVE), "README.md": b"# dock-camera\n"}
    files |= ota.companions(kinds)  # type: ignore[arg-type]
    assert write_bundle(Bundle(name="dock-camera", target="jetson-orin-nx-16gb", files=files), out) == ()
    return out


def test_a_key_is_made_a_bundle_signed_and_verified(infc: Infc) -> None:
    """The three commands of the page, and what they say."""
    code, out, _ = infc("sign", "--new-key", "keys.pem")
    assert code == 0
    assert "/etc/infc/keys" in out
    code, made, _ = infc("sign", "--new-key", "other-keys.pem", "--format", "json")
    assert code == 0
    Draft202012Validator(new_key_schema()).validate(json.loads(made))
    assert Path(json.loads(made)["public_key"]).is_file()
    code, out, err = infc("sign", ARCHIVE, "--key", "keys.pem")
    assert (code, err) == (0, "")
    assert out.startswith(f"{ARCHIVE}: dock-camera 7, signed by key ")
    code, out, err = infc("verify", ARCHIVE, "--public-key", "keys.pub.pem")
    assert (code, err) == (0, "")
    assert "dock-camera 7 for jetson-orin-nx-16gb" in out
    assert "FAIL" not in out


def test_a_bundle_that_nobody_signed_fails(infc: Infc) -> None:
    """With the device's code; what is in it can be checked all the same."""
    code, out, _ = infc("verify", ARCHIVE, "--public-key", "fleet.pub.pem")
    assert code == 1
    assert "FAIL  signature  nobody signed it" in out
    assert "exit code 10" in out
    code, out, _ = infc("verify", ARCHIVE, "--unsigned")
    assert code == 0
    assert "nobody has signed it yet" in out


def test_signing_again_replaces_the_signature(infc: Infc) -> None:
    """By the same key or another: only the last counts. Nothing else of the archive changes."""
    before = {member.path: b"".join(member.chunks) for member in read_archive(Path(ARCHIVE))}
    infc("sign", ARCHIVE, "--key", "fleet.pem")
    first = signature_of(ARCHIVE)
    assert infc("sign", ARCHIVE, "--key", "other.pem")[0] == 0
    assert signature_of(ARCHIVE) != first
    assert infc("verify", ARCHIVE, "--public-key", "fleet.pub.pem")[0] == 1
    assert infc("verify", ARCHIVE, "--keys", ".")[0] == 1, "a folder with private keys is no folder of public keys"
    assert infc("verify", ARCHIVE, "--public-key", "fleet.pub.pem", "--public-key", "other.pub.pem")[0] == 0
    after = {member.path: b"".join(member.chunks) for member in read_archive(Path(ARCHIVE))}
    assert after.pop("SHA256SUMS.sig") is not None
    assert after == before
    assert [path for path in os.listdir() if path.startswith(".")] == []


def test_json_follows_the_schemas(infc: Infc) -> None:
    """Of both commands; a failed check too."""
    code, out, _ = infc("sign", ARCHIVE, "--key", "fleet.pem", "--format", "json")
    assert code == 0
    Draft202012Validator(signed_schema()).validate(json.loads(out))
    for key, expected in (("fleet.pub.pem", 0), ("other.pub.pem", 1)):
        code, out, _ = infc("verify", ARCHIVE, "--public-key", key, "--format", "json")
        document = json.loads(out)
        Draft202012Validator(verification_schema()).validate(document)
        assert code == expected
        assert document["bundles"][0]["device_exit_code"] == (10 if expected else 0)
    Path(ARCHIVE).write_bytes(b"nothing")
    code, out, _ = infc("verify", ARCHIVE, "--unsigned", "--format", "json")
    Draft202012Validator(verification_schema()).validate(json.loads(out))
    assert code == 1


def test_an_output_folder_stays_consistent(infc: Infc, tmp_path: Path) -> None:
    """Infc's own list of the folder fits the signed archive; anything else that changed stops it."""
    out = written(tmp_path / "dist" / "dock-camera")
    assert infc("sign", str(out), "--key", "fleet.pem")[0] == 0
    assert verify_bundle(out) == ()
    assert infc("verify", str(out), "--public-key", "fleet.pub.pem")[0] == 0
    (out / "README.md").write_text("changed")
    code, _, err = infc("sign", str(out), "--key", "fleet.pem")
    assert code == 1
    assert "bundle-changed" in err
    assert infc("verify", str(out), "--public-key", "fleet.pub.pem")[0] == 1


def test_an_archive_of_an_output_folder_is_signed_there(infc: Infc, tmp_path: Path) -> None:
    """Named by itself, the folder's list is kept right all the same."""
    out = written(tmp_path / "dist" / "dock-camera")
    assert infc("sign", str(out / ARCHIVE), "--key", "fleet.pem")[0] == 0
    assert verify_bundle(out) == ()


def test_a_run_that_was_killed_is_finished_by_the_next(infc: Infc, tmp_path: Path) -> None:
    """Between the archive and infc's list, or while the archive was written."""
    out = written(tmp_path / "dist" / "dock-camera")
    infc("sign", ARCHIVE, "--key", "fleet.pem")
    shutil.copy(ARCHIVE, out / ARCHIVE)
    (out / f".infc-sign-{ARCHIVE}-0123456789ab").write_bytes(b"half")
    (out / ".infc-ota-x").mkdir()
    assert verify_bundle(out) != ()
    assert infc("sign", str(out), "--key", "fleet.pem")[0] == 0
    assert verify_bundle(out) == ()


def test_every_archive_of_a_folder_is_signed(infc: Infc, tmp_path: Path) -> None:
    """The full one and the delta."""
    out = tmp_path / "out"
    out.mkdir()
    new = {**CONTENT, "install.sh": b"newer"}
    bundle(out, new, "8")
    delta = delta_bundle(out, new, "8", release_of(CONTENT))
    code, printed, _ = infc("sign", "out", "--key", "fleet.pem")
    assert code == 0
    assert len(printed.splitlines()) == 2
    assert infc("verify", "out", "--public-key", "fleet.pub.pem")[0] == 0
    code, printed, _ = infc("verify", str(delta), "--public-key", "fleet.pub.pem", "--base", ARCHIVE)
    assert code == 0
    assert f"{ARCHIVE} holds the" in printed
    assert infc("verify", "out", "--public-key", "fleet.pub.pem", "--base", ARCHIVE)[0] == 1


def test_another_signer_signs_in_two_steps(infc: Infc) -> None:
    """An HSM or a key service gets the payload, or its digest; its signature is attached only when it fits."""
    assert infc("sign", ARCHIVE, "--payload", "sums")[0] == 0
    code, digest, _ = infc("sign", ARCHIVE, "--print-digest")
    assert code == 0
    hashed = subprocess.run(["openssl", "dgst", "-sha256", "-r", "sums"], capture_output=True, text=True, check=True)
    assert hashed.stdout.split()[0] == digest.strip()
    Path("digest").write_bytes(bytes.fromhex(digest))
    command = ["openssl", "pkeyutl", "-sign", "-inkey", "fleet.pem", "-in", "digest", "-out", "sums.sig"]
    subprocess.run(command, check=True)
    before = Path(ARCHIVE).read_bytes()
    code, _, err = infc("sign", ARCHIVE, "--signature", "sums.sig", "--public-key", "other.pub.pem")
    assert code == 1
    assert "nothing was changed" in err
    Path("noise").write_bytes(b"not a signature")
    assert infc("sign", ARCHIVE, "--signature", "noise", "--public-key", "fleet.pub.pem")[0] == 1
    assert Path(ARCHIVE).read_bytes() == before
    Path("text.sig").write_bytes(base64.encodebytes(Path("sums.sig").read_bytes()))
    for signature in ("text.sig", "sums.sig"):
        assert infc("sign", ARCHIVE, "--signature", signature, "--public-key", "fleet.pub.pem")[0] == 0
        assert infc("verify", ARCHIVE, "--public-key", "fleet.pub.pem")[0] == 0


def test_a_passphrase_comes_from_a_file(infc: Infc) -> None:
    """Without one, and without a terminal, the words say so; the bundle is unchanged."""
    Path("pass").write_text("correct horse\n")
    Path("wrong").write_text("battery\n")
    assert infc("sign", "--new-key", "safe.pem", "--passphrase-file", "pass")[0] == 0
    before = Path(ARCHIVE).read_bytes()
    code, _, err = infc("sign", ARCHIVE, "--key", "safe.pem")
    assert code == 1
    assert "--passphrase-file" in err
    assert infc("sign", ARCHIVE, "--key", "safe.pem", "--passphrase-file", "wrong")[0] == 1
    assert Path(ARCHIVE).read_bytes() == before
    assert infc("sign", ARCHIVE, "--key", "safe.pem", "--passphrase-file", "pass")[0] == 0


def test_a_key_that_others_can_read_is_warned_of(infc: Infc) -> None:
    """It signs all the same."""
    Path("fleet.pem").chmod(0o644)
    code, _, err = infc("sign", ARCHIVE, "--key", "fleet.pem")
    assert code == 0
    assert "chmod 600 fleet.pem" in err


def test_a_bundle_that_is_not_whole_is_not_signed(infc: Infc) -> None:
    """A signature must not vouch for damage."""
    Path(ARCHIVE).write_bytes(Path(ARCHIVE).read_bytes()[:-20])
    code, _, err = infc("sign", ARCHIVE, "--key", "fleet.pem")
    assert code == 1
    assert "is not whole, so it is not signed" in err
    assert infc("sign", ARCHIVE, "--payload", "-")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sign"], "say what to do"),
        (["sign", ARCHIVE], "say what to do"),
        (["sign", "--key", "fleet.pem"], "name the bundle"),
        (["sign", ARCHIVE, "--new-key", "n.pem"], "leave BUNDLE out"),
        (["sign", ARCHIVE, "--key", "fleet.pem", "--print-digest"], "do not go together"),
        (["sign", ARCHIVE, "--signature", "fleet.pem"], "needs --public-key"),
        (["sign", ARCHIVE, "--key", "fleet.pem", "--public-key", "fleet.pub.pem"], "goes with --signature"),
        (["sign", ARCHIVE, "--key", "fleet.pem", "--mender-device-type", "--evil"], "letters, digits"),
        (["sign", ARCHIVE, "--key", "fleet.pem", "--rauc-compatible", "a\nb"], "letters, digits"),
        (["sign", ARCHIVE, "--key", "fleet.pem", "--no-ota", "--ota", "rauc"], "--no-ota wraps nothing"),
        (["sign", ARCHIVE, "--key", "fleet.pem", "--no-ota", "--mender-key", "fleet.pem"], "--no-ota wraps nothing"),
        (["verify", ARCHIVE], "name the keys that you trust"),
        (["verify", ARCHIVE, "--unsigned", "--keys", "."], "--unsigned asks for no key"),
        (["verify", "missing"], "does not exist"),
    ],
)
def test_wrong_usage_exits_64(arguments: list[str], words: str, infc: Infc) -> None:
    """With what to do instead."""
    code, out, err = infc(*arguments)
    assert code == 64
    assert out == ""
    assert words in err


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Path("bundle.zip").touch() or "bundle.zip", "is no .tar.zst"),
        (lambda: Path("empty").mkdir() or "empty", "is no output folder"),
    ],
)
def test_what_is_no_bundle_is_refused(make: Callable[[], str], words: str, infc: Infc) -> None:
    """By both commands."""
    path = make()
    for arguments in (["sign", path, "--key", "fleet.pem"], ["verify", path, "--unsigned"]):
        code, _, err = infc(*arguments)
        assert code == 1
        assert words in err


@pytest.mark.skipif(shutil.which("mender-artifact") is None, reason="no mender-artifact")
def test_a_folder_is_wrapped_as_its_spec_asks(infc: Infc, tmp_path: Path) -> None:
    """After signing, with the signed archive inside; without wrapping again, a stale wrapping goes."""
    out = written(tmp_path / "dist" / "dock-camera", kinds=("mender",))
    code, printed, err = infc("sign", str(out), "--key", "fleet.pem")
    assert code == 0, err
    assert ".mender: the signed archive, wrapped" in printed
    manifest = read_manifest(out)
    assert manifest is not None
    assert "dock-camera-jetson-orin-nx-16gb-7.mender" in manifest.files
    assert verify_bundle(out) == ()
    assert infc("sign", str(out), "--key", "other.pem", "--no-ota")[0] == 0
    assert not list(out.glob("*.mender"))
    assert verify_bundle(out) == ()


@pytest.mark.skipif(shutil.which("mender-artifact") is None, reason="no mender-artifact")
def test_what_was_made_before_a_tool_refused_is_listed(infc: Infc, tmp_path: Path) -> None:
    """The archive is signed then; the folder's list fits, and the same command with a right key goes on."""
    out = written(tmp_path / "dist" / "dock-camera", kinds=("mender",))
    Path("text").write_text("no key")
    code, _, err = infc("sign", str(out), "--key", "fleet.pem", "--mender-key", "text")
    assert code == 1
    assert "mender-artifact refused" in err
    assert verify_bundle(out) == ()
    assert infc("verify", str(out), "--public-key", "fleet.pub.pem")[0] == 0
    assert infc("sign", str(out), "--key", "fleet.pem")[0] == 0
    assert verify_bundle(out) == ()


def test_a_wrapping_that_cannot_be_made_is_known_before_anything_is_signed(infc: Infc, tmp_path: Path) -> None:
    """RAUC's key is missing (or RAUC itself): nothing is written."""
    out = written(tmp_path / "dist" / "dock-camera", kinds=("rauc",))
    before = (out / ARCHIVE).read_bytes()
    code, _, err = infc("sign", str(out), "--key", "fleet.pem")
    assert code == 1
    assert "help:" in err
    assert (out / ARCHIVE).read_bytes() == before
    assert infc("sign", str(out), "--key", "fleet.pem", "--no-ota")[0] == 0
