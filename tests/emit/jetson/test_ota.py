"""Wrappings by the real tools, and the scripts that update agents run."""

import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.emit.jetson import ota
from infc.emit.supply.signing import new_key
from tests.emit.jetson.releases import CONTENT, bundle, release_of

RELEASE = release_of(CONTENT)
needs_rauc = pytest.mark.skipif(
    shutil.which("rauc") is None or shutil.which("mksquashfs") is None, reason="no rauc and squashfs-tools"
)
needs_mender = pytest.mark.skipif(shutil.which("mender-artifact") is None, reason="no mender-artifact")


def certificate(folder: Path) -> ota.RaucSettings:
    """A key and its self-signed certificate, as RAUC wants them."""
    key, certificate = folder / "rauc.key.pem", folder / "rauc.cert.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test"]
    files = ["-days", "3650", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words, *files], check=True, capture_output=True)
    return ota.RaucSettings(key=key, certificate=certificate)


@needs_rauc
def test_rauc_takes_the_bundle_and_finds_the_archive_in_it(tmp_path: Path) -> None:
    """Its own `info` verifies it; inside are the archive, unchanged, the handler, and RAUC's manifest."""
    archive, keys = bundle(tmp_path), certificate(tmp_path)
    settings = ota.OtaSettings(rauc=replace(keys, compatible="dock-camera-board"))
    made = ota.wrap("rauc", archive, RELEASE, settings)
    assert made == tmp_path / "dock-camera-jetson-orin-nx-16gb-7.raucb"
    info = subprocess.run(["rauc", f"--keyring={keys.certificate}", "info", made], capture_output=True, text=True)
    assert info.returncode == 0, info.stderr
    assert "'dock-camera-board'" in info.stdout
    assert "verity" in info.stdout
    subprocess.run(["unsquashfs", "-q", "-n", "-d", tmp_path / "inside", made], check=True, capture_output=True)
    inside = tmp_path / "inside"
    assert {path.name for path in inside.iterdir()} == {archive.name, "handler.sh", "manifest.raucm"}
    assert (inside / archive.name).read_bytes() == archive.read_bytes()
    assert os.access(inside / "handler.sh", os.X_OK)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@needs_rauc
def test_what_rauc_cannot_do_is_said(tmp_path: Path) -> None:
    """No key, several kinds of systems, a key that is not the certificate's; nothing is left behind."""
    archive, keys = bundle(tmp_path), certificate(tmp_path)
    several = replace(RELEASE, targets=(*RELEASE.targets, replace(RELEASE.targets[0], hardware_id="jetson-thor")))
    new_key(tmp_path / "other.pem")
    for release, settings, words in (
        (RELEASE, replace(keys, certificate=None), "a key and a certificate"),
        (several, keys, "one kind of system"),
        (RELEASE, replace(keys, key=tmp_path / "other.pem"), "rauc refused"),
    ):
        with pytest.raises(ToolError, match=words):
            ota.wrap("rauc", archive, release, ota.OtaSettings(rauc=settings))
    assert not list(tmp_path.glob("*.raucb"))
    assert not list(tmp_path.glob(".infc-*"))


@needs_mender
def test_mender_takes_the_artifact_and_finds_the_archive_in_it(tmp_path: Path) -> None:
    """Signed with a key of infc's kind; its own `validate` verifies it."""
    archive = bundle(tmp_path)
    public = new_key(tmp_path / "mender.pem")
    older = tmp_path / "older.pem"
    subprocess.run(["openssl", "ec", "-in", tmp_path / "mender.pem", "-out", older], check=True, capture_output=True)
    with pytest.raises(ToolError, match="mender-artifact refused"):
        ota.wrap("mender", archive, RELEASE, ota.OtaSettings(mender=ota.MenderSettings(key=archive)))
    settings = ota.OtaSettings(mender=ota.MenderSettings(key=older, device_types=("board-a", "board-b")))
    made = ota.wrap("mender", archive, RELEASE, settings)
    check = subprocess.run(["mender-artifact", "validate", "-k", public, made], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    read = subprocess.run(["mender-artifact", "read", "-k", public, made], capture_output=True, text=True, check=True)
    assert "board-a" in read.stdout
    assert "board-b" in read.stdout
    assert "infc-bundle" in read.stdout
    with tarfile.open(made) as outer:
        data = outer.extractfile("data/0000.tar")
        assert data is not None
        with tarfile.open(fileobj=data) as inner:
            content = inner.extractfile(archive.name)
            assert content is not None
            assert content.read() == archive.read_bytes()


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to get it."""
    archive = bundle(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for kind, words in (("rauc", "squashfs-tools"), ("mender", "mender-artifact")):
        with pytest.raises(ToolError, match="not installed") as error:
            ota.wrap(kind, archive, RELEASE, ota.OtaSettings())  # type: ignore[arg-type]
        assert words in str(error.value.help)


def test_an_output_folder_says_what_its_spec_asks_for(tmp_path: Path) -> None:
    """By the folders that `companions` makes."""
    assert ota.asked_for(tmp_path) == ()
    for path, content in ota.companions(["mender", "rauc"]).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert ota.asked_for(tmp_path) == ("rauc", "mender")
    assert (tmp_path / "ota/mender/infc-bundle").read_bytes().startswith(b"#!/bin/sh\n")


def device(tmp_path: Path, *codes: int) -> dict[str, str]:
    """An environment whose `python3` stands for the agent: it notes its arguments and exits with the next code."""
    (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
    program = tmp_path / "bin" / "python3"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f'case "$1" in -c) exec {shutil.which("python3")} "$@";; esac\n'
        f'echo "$@" >> {tmp_path}/calls\n'
        f"code=$(head -n 1 {tmp_path}/codes); sed -i 1d {tmp_path}/codes; exit $code\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:/usr/bin:/bin"}


def script(tmp_path: Path, path: str) -> Path:
    """One of the scripts, with the agent's place on this machine."""
    kind = path.split("/")[1]
    agent = tmp_path / "agent" / "edge.py"
    agent.parent.mkdir()
    agent.touch()
    text = ota.companions([kind])[path].decode().replace("/opt/infc/edge.py", str(agent))  # type: ignore[list-item]
    (tmp_path / "script").write_text(text)
    return tmp_path / "script"


@pytest.mark.parametrize(("code", "expected", "words"), [(0, 0, ""), (51, 1, "restart"), (40, 1, "40"), (10, 1, "10")])
def test_the_handler_of_rauc_tells_what_the_agent_said(code: int, expected: int, words: str, tmp_path: Path) -> None:
    """In the lines that RAUC shows as errors (`<< error`)."""
    environment = device(tmp_path, code)
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "a.tar.zst").touch()
    handler = script(tmp_path, "ota/rauc/handler.sh")
    done = subprocess.run(
        ["sh", handler], env={**environment, "RAUC_BUNDLE_MOUNT_POINT": str(mount)}, capture_output=True, text=True
    )
    assert done.returncode == expected, done.stderr
    assert (tmp_path / "calls").read_text() == f"{tmp_path}/agent/edge.py install {mount}/a.tar.zst\n"
    assert words in done.stdout
    assert done.stdout.startswith("<< error" if words else "")


def mender(tmp_path: Path, environment: dict[str, str]) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """The module's folder of files, after ArtifactInstall."""
    files = tmp_path / "tree"
    for each in ("files", "header", "tmp"):
        (files / each).mkdir(parents=True)
    (files / "files" / "a.tar.zst").touch()
    (files / "header" / "meta-data").write_text(json.dumps({"name": "dock-camera", "version": "7"}))
    script(tmp_path, "ota/mender/infc-bundle")
    return files, run_module(tmp_path, environment, "ArtifactInstall")


def run_module(tmp_path: Path, environment: dict[str, str], state: str) -> "subprocess.CompletedProcess[str]":
    """One call of the update module."""
    words = ["sh", str(tmp_path / "script"), state, str(tmp_path / "tree")]
    return subprocess.run(words, env=environment, capture_output=True, text=True)


def test_the_module_of_mender_installs_and_rolls_back(tmp_path: Path) -> None:
    """A release in service that Mender does not want after all makes way for the one before, by its name."""
    environment = device(tmp_path, 0, 0)
    files, done = mender(tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert run_module(tmp_path, environment, "SupportsRollback").stdout == "Yes\n"
    assert run_module(tmp_path, environment, "NeedsArtifactReboot").stdout == "No\n"
    assert run_module(tmp_path, environment, "ArtifactRollback").returncode == 0
    agent = f"{tmp_path}/agent/edge.py"
    expected = f"{agent} install {files}/files/a.tar.zst\n{agent} rollback dock-camera\n"
    assert (tmp_path / "calls").read_text() == expected


def test_the_module_of_mender_leaves_a_failed_release_to_the_agent(tmp_path: Path) -> None:
    """The agent is back at the release before already: a second step back would be one too many."""
    environment = device(tmp_path, 40)
    _, done = mender(tmp_path, environment)
    assert done.returncode == 1
    assert "exit code 40" in done.stderr
    assert run_module(tmp_path, environment, "ArtifactRollback").returncode == 0
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


@pytest.mark.parametrize(("after", "expected"), [(0, 0), (40, 1), (51, 1)])
def test_the_module_of_mender_goes_on_after_a_restart(after: int, expected: int, tmp_path: Path) -> None:
    """A power mode that needs one (51): Mender restarts the device, and the same installation goes on."""
    environment = device(tmp_path, 51, after)
    _, done = mender(tmp_path, environment)
    assert done.returncode == 0
    assert run_module(tmp_path, environment, "NeedsArtifactReboot").stdout == "Automatic\n"
    assert run_module(tmp_path, environment, "ArtifactVerifyReboot").returncode == expected


def test_the_module_of_mender_ignores_what_it_does_not_know(tmp_path: Path) -> None:
    """As the protocol asks: prints nothing and exits 0."""
    environment = device(tmp_path)
    script(tmp_path, "ota/mender/infc-bundle")
    (tmp_path / "tree").mkdir()
    done = run_module(tmp_path, environment, "SomethingNew")
    assert (done.returncode, done.stdout) == (0, "")
