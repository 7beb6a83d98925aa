"""`infc sign` and `infc verify` on a bundle for servers that `infc compile` wrote, and every way to tamper with it."""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.manifest import read_manifest
from infc.emit.supply.dsse import sealed, to_json
from infc.emit.supply.signing import new_key
from infc.report.inspection import verification_schema
from infc.report.signed import signed_schema

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")

Infc = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
BUNDLE = "dist/encoder"
SPEC = """apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {name: encoder}
model: {onnx: model.onnx}
slo: {latency: {p99: 200ms}}
workload: {rate: 5/s}
constraints: {hardware: [cpu], precision: [fp32]}
deploy: {server: triton}
"""


def run_infc(capsys: pytest.CaptureFixture[str] | None, *arguments: str) -> tuple[int, str, str]:
    """A command in this process: exit code, stdout, stderr."""
    if capsys is None:
        return guarded(app, args=list(arguments)), "", ""
    capsys.readouterr()
    code = guarded(app, args=list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a spec, its lock, its signed bundle, and two keys."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")
    folder = tmp_path_factory.mktemp("start")
    (folder / ".git").mkdir()
    (folder / "model.onnx").write_bytes((ROOT / "specs/fashion-mnist/resnet8.onnx").read_bytes())
    (folder / "encoder.infc.yaml").write_text(SPEC)
    for name in ("release.pem", "other.pem"):
        new_key(folder / name)
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert run_infc(None, "compile", "encoder.infc.yaml")[0] == 0
        assert run_infc(None, "sign", BUNDLE, "--key", "release.pem")[0] == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def infc(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Infc:
    """Run a command in a copy of that repository."""
    shutil.copytree(start, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".infc"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115 - nobody is at the terminal
    return lambda *arguments: run_infc(capsys, *arguments)


def verified(infc: Infc, *more: str, key: str = "release.pub.pem") -> tuple[int, dict[str, str]]:
    """The exit code, and the checks that fail: name -> words."""
    code, out, err = infc("verify", BUNDLE, "--key", key, "--format", "json", *more)
    document = json.loads(out)
    assert list(Draft202012Validator(verification_schema()).iter_errors(document)) == [], err
    assert document["verdict"] == ("pass" if code == 0 else "fail")
    (bundle,) = document["bundles"]
    return code, {each["name"]: each["words"] for each in bundle["checks"] if each["verdict"] == "fail"}


def test_a_signed_bundle_is_verified_against_lock_and_spec(infc: Infc) -> None:
    """Every check has its line, and holds."""
    code, out, err = infc(
        "verify", BUNDLE, "--key", "release.pub.pem", "--lock", "infc.lock", "--spec", "encoder.infc.yaml"
    )
    assert code == 0, out + err
    assert Path(BUNDLE, "report.html").is_file()
    Path(BUNDLE, "report.html").write_text("renewed by a load test")
    assert verified(infc) == (0, {})
    names = [line.split()[1] for line in out.splitlines()[1:]]
    assert names == ["content", "provenance", "subjects", "model-signature", "lock", "spec"]
    assert all(line.startswith("  ok  ") for line in out.splitlines()[1:])


def test_signing_is_outside_the_content(infc: Infc, start: Path) -> None:
    """Neither the bundle's list nor the lock change.

    A compile that changes nothing keeps the signatures, one that changes something drops them.
    """
    manifest = Path(BUNDLE, "infc-bundle.json").read_bytes()
    code, out, _ = infc("sign", BUNDLE, "--key", "other.pem", "--format", "json")
    assert code == 0
    assert list(Draft202012Validator(signed_schema()).iter_errors(json.loads(out))) == []
    assert Path(BUNDLE, "infc-bundle.json").read_bytes() == manifest
    assert verified(infc, key="other.pub.pem") == (0, {})
    assert set(verified(infc)[1]) == {"provenance", "model-signature"}
    envelope = Path(BUNDLE, "provenance.dsse.json").read_bytes()
    assert infc("compile", "encoder.infc.yaml")[0] == 0
    assert Path(BUNDLE, "provenance.dsse.json").read_bytes() == envelope
    assert Path("infc.lock").read_bytes() == (start / "infc.lock").read_bytes()
    assert b"sbom.cdx.json" not in Path("infc.lock").read_bytes()
    Path("encoder.infc.yaml").write_text(SPEC.replace("200ms", "210ms"))
    assert infc("compile", "encoder.infc.yaml")[0] == 0
    assert not Path(BUNDLE, "provenance.dsse.json").exists()
    assert not Path(BUNDLE, "model.sig").exists()


def relist(path: str) -> None:
    """Make the bundle's list of digests fit a file that was changed: who can change one can change the other."""
    from infc.emit.manifest import Manifest, content_digest

    manifest = read_manifest(Path(BUNDLE))
    assert manifest is not None
    files = {**manifest.files, path: content_digest(Path(BUNDLE, path))}
    Path(BUNDLE, "infc-bundle.json").write_bytes(
        Manifest(name=manifest.name, target=manifest.target, files=files).to_bytes()
    )


def append(path: str) -> None:
    """Change a file of the bundle."""
    with Path(BUNDLE, path).open("ab") as file:
        file.write(b"x")


def change_and_relist(path: str) -> None:
    """Change a file, and what lists it."""
    append(path)
    relist(path)


def swap_provenance() -> None:
    """Put the rightly signed provenance of another bundle in place."""
    statement = json.loads(Path(BUNDLE, "provenance.json").read_bytes())
    statement["subject"][0]["name"] = "another@cpu"
    Path(BUNDLE, "provenance.dsse.json").write_bytes(
        to_json(sealed(json.dumps(statement).encode(), Path("release.pem")))
    )


def swap_both_provenances() -> None:
    """The same, with the plain statement beside it."""
    swap_provenance()
    envelope = json.loads(Path(BUNDLE, "provenance.dsse.json").read_bytes())
    Path(BUNDLE, "provenance.json").write_bytes(base64.b64decode(envelope["payload"]))
    relist("provenance.json")


def link(path: str) -> None:
    """Put a link to an equal file in a file's place."""
    target = Path("elsewhere").resolve()
    Path(BUNDLE, path).replace(target)
    Path(BUNDLE, path).symlink_to(target)


@pytest.mark.parametrize(
    ("tamper", "failing"),
    [
        (lambda: append("README.md"), {"content", "subjects", "model-signature"}),
        (lambda: change_and_relist("model_repository/encoder/config.pbtxt"), {"subjects", "model-signature"}),
        (lambda: change_and_relist("sbom.cdx.json"), {"subjects", "model-signature"}),
        (lambda: Path(BUNDLE, "launch.sh").unlink(), {"content", "subjects", "model-signature"}),
        (lambda: Path(BUNDLE, "extra.py").write_text(""), {"content", "subjects", "model-signature"}),
        (lambda: Path(BUNDLE, "infc-bundle.json").unlink(), None),
        (swap_provenance, {"provenance", "model-signature"}),
        (swap_both_provenances, {"subjects", "model-signature"}),
        (lambda: link("README.md"), {"content", "subjects", "model-signature"}),
        (lambda: os.mkfifo(Path(BUNDLE, "pipe")), {"content", "subjects", "model-signature"}),
        (lambda: Path(BUNDLE, "provenance.dsse.json").write_bytes(b"{"), {"provenance", "model-signature"}),
        (lambda: Path(BUNDLE, "provenance.dsse.json").unlink(), {"provenance", "model-signature"}),
        (lambda: Path(BUNDLE, "model.sig").write_text("{}"), {"model-signature"}),
        (lambda: Path(BUNDLE, "model.sig").unlink(), {"model-signature"}),
        (lambda: shutil.copy(Path(BUNDLE, "provenance.dsse.json"), Path(BUNDLE, "model.sig")), {"model-signature"}),
    ],
)
def test_tampering_is_found(tamper: Callable[[], object], failing: set[str] | None, infc: Infc) -> None:
    """Changed, missing, added, swapped, cut off: exit 1, and the check that found it says what."""
    tamper()
    if failing is None:
        code, _, err = infc("verify", BUNDLE, "--key", "release.pub.pem")
        assert code == 1
        assert "is no output folder" in err
        return
    code, found = verified(infc)
    assert code == 1
    assert set(found) == failing


def test_another_key_is_not_trusted(infc: Infc) -> None:
    """Both signatures are by a key that nobody named."""
    code, found = verified(infc, key="other.pub.pem")
    assert code == 1
    assert set(found) == {"provenance", "model-signature"}
    assert infc("verify", BUNDLE, "--keys", ".")[0] == 1  # private halves are no keys to trust


def test_the_model_signature_of_another_folder_does_not_fit(infc: Infc) -> None:
    """By the right key, over other files."""
    from infc.emit.supply.model_signature import signed_folder

    Path(BUNDLE, "model.sig").write_bytes(signed_folder("encoder@cpu", {"a": "1" * 64}, Path("release.pem")))
    code, found = verified(infc)
    assert (code, set(found)) == (1, {"model-signature"})


def test_a_bundle_that_is_not_locked_exits_4(infc: Infc) -> None:
    """It is whole and signed, but the lock holds another one, or none; or the spec was changed since."""
    lock = Path("infc.lock").read_text()
    text = re.sub(r'("?launch\.sh"?\s*=\s*"sha256:)[0-9a-f]{4}', r"\g<1>0000", lock)
    assert text != lock
    Path("infc.lock").write_text(text)
    code, found = verified(infc, "--lock", "infc.lock")
    assert (code, set(found)) == (4, {"lock"})
    assert "launch.sh is not the locked one" in found["lock"]
    Path("infc.lock").write_text("version = 1\n")
    assert verified(infc, "--lock", "infc.lock")[0] == 4
    Path("infc.lock").write_text("not a lock")
    assert infc("verify", BUNDLE, "--key", "release.pub.pem", "--lock", "infc.lock")[0] == 4
    Path("encoder.infc.yaml").write_text(SPEC.replace("200ms", "210ms"))
    code, found = verified(infc, "--spec", "encoder.infc.yaml")
    assert (code, set(found)) == (4, {"spec"})


def test_inputs_that_the_lock_does_not_hold_are_found(infc: Infc) -> None:
    """The same files, made from another model: the digest of the inputs is in the signed provenance."""
    lock = Path("infc.lock").read_text()
    text = re.sub(r'(model = "sha256:)[0-9a-f]{4}', r"\g<1>0000", lock)
    assert text != lock
    Path("infc.lock").write_text(text)
    code, found = verified(infc, "--lock", "infc.lock")
    assert (code, set(found)) == (4, {"lock"})
    assert "other inputs" in found["lock"]


def test_a_changed_bundle_is_not_signed(infc: Infc) -> None:
    """What is signed is what a compile wrote."""
    append("README.md")
    before = Path(BUNDLE, "model.sig").read_bytes()
    code, _, err = infc("sign", BUNDLE, "--key", "release.pem")
    assert code == 1
    assert "README.md was changed" in err
    assert Path(BUNDLE, "model.sig").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sign", BUNDLE, "--payload", "-"], "is signed with --key"),
        (["sign", BUNDLE, "--key", "release.pem", "--ota", "rauc"], "is signed with --key"),
        (["verify", BUNDLE], "name the keys that you trust"),
        (["verify", BUNDLE, "--unsigned", "--base", "infc.lock"], "--base is for a delta"),
    ],
)
def test_wrong_usage_exits_64(arguments: list[str], words: str, infc: Infc) -> None:
    """The error says what to write."""
    code, _, err = infc(*arguments)
    assert code == 64
    assert words in " ".join(err.split())


def test_the_package_model_signing_verifies_it(infc: Infc) -> None:
    """And finds what infc finds. `INFC_MODEL_SIGNING` names its command, where it is in an environment of its own."""
    program = os.environ.get("INFC_MODEL_SIGNING") or shutil.which("model_signing")
    if program is None:
        pytest.skip("the package model-signing is not installed")
    options = ["--public_key", "release.pub.pem", "--signature", f"{BUNDLE}/model.sig", BUNDLE]
    command = [program, "verify", "key", *options]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    append("README.md")
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1


def test_the_commands_of_the_page_run(infc: Infc) -> None:
    """Those of docs/signing.md about bundles for servers, one after the other, in a repository like this one."""
    page = (ROOT / "docs" / "signing.md").read_text(encoding="utf-8")
    section = page.partition("## Bundles for servers")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    commands = [shlex.split(line, comments=True) for line in "".join(blocks).splitlines()]
    Path("release.pem").unlink()
    Path("release.pub.pem").unlink()
    run = [command[1:] for command in commands if command[:1] == ["infc"]]
    assert len(run) >= 4
    for arguments in run:
        code, out, err = infc(*arguments)
        assert code == 0, (arguments, out, err)
    shell = next(block for block in blocks if "openssl dgst" in block)
    if shutil.which("jq") is not None:
        script = ["sh", "-euc", shell]
        assert subprocess.run(script, check=False, capture_output=True).returncode == 0
