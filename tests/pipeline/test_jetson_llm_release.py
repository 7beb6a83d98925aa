"""Compiling a language model for a Jetson module: one archive, its number in the lock, and the same bytes again."""

import contextlib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from infc.build.edge_release_json import from_json
from infc.build.edge_schema import edge_manifest_schema
from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.jetson.archive import unpack
from infc.emit.jetson.sums import content_digest_of, digests_of, parse_sums
from infc.emit.manifest import verify_bundle
from tests.llm_edge import load

MODULE, SPEC, NAME = "jetson-orin-nano-8gb", "helper.infc.yaml", "helper"
FOLDER = Path("dist") / NAME


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the tiny Llama was compiled for a module with vLLM."""
    folder = tmp_path_factory.mktemp("workspace")
    load(folder, MODULE)
    assert infc(folder, "compile", SPEC) == 0
    return folder


@pytest.fixture(scope="module")
def unpacked(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder of its archive."""
    return unpack(archive_of(compiled), tmp_path_factory.mktemp("archive"))


def infc(folder: Path, *arguments: str) -> int:
    """Run the command line in a folder and return its exit code."""
    with contextlib.chdir(folder):
        return guarded(app, usage_error=64, args=list(arguments))


def archive_of(folder: Path, version: int = 1) -> Path:
    """Where compiling writes a release."""
    return folder / FOLDER / f"{NAME}-{MODULE}-{version}.tar.zst"


def block(folder: Path) -> Mapping[str, Any]:
    """The lock's one block."""
    [only] = tomllib.loads((folder / "infc.lock").read_text())["artifact"]
    assert isinstance(only, dict)
    return only


def test_a_language_model_is_one_archive(compiled: Path, unpacked: Path) -> None:
    """The output folder has the archive and says how to install it; the archive has the model and vLLM's settings."""
    assert verify_bundle(compiled / FOLDER) == ()
    assert f"edge.py install {archive_of(compiled).name}" in (compiled / FOLDER / "README.md").read_text()
    files = {path.relative_to(unpacked).as_posix(): path for path in unpacked.rglob("*") if path.is_file()}
    sums = parse_sums(files.pop("SHA256SUMS").read_bytes())
    assert sums == digests_of(files)
    assert {"serve.yaml", "compose.yaml", "model/model.safetensors", f"systemd/infc-{NAME}.service"} <= set(files)
    assert os.access(files["install.sh"], os.X_OK)
    assert yaml.safe_load(files["serve.yaml"].read_text())["kv-cache-memory-bytes"] > 0


def test_the_manifest_is_of_a_language_model(compiled: Path, unpacked: Path) -> None:
    """Its kind, its limits in time to first token and per token, and the lock's digest of the whole."""
    content = (unpacked / "manifest.json").read_bytes()
    jsonschema.validate(json.loads(content), edge_manifest_schema())
    release, problems = from_json(content)
    assert problems == ()
    assert release is not None
    assert (release.name, release.version, release.kind) == (NAME, "1", "llm")
    assert [target.hardware_id for target in release.targets] == [MODULE]
    assert release.engines == ()
    sums = parse_sums((unpacked / "SHA256SUMS").read_bytes())
    assert sums is not None
    assert release.content_digest == content_digest_of(sums)
    assert block(compiled)["release"]["version"] == "1"


def test_compiling_again_changes_nothing(compiled: Path) -> None:
    """The second run writes the same lock and the same archive."""
    before = (compiled / "infc.lock").read_bytes(), archive_of(compiled).read_bytes()
    assert infc(compiled, "compile", SPEC) == 0
    assert ((compiled / "infc.lock").read_bytes(), archive_of(compiled).read_bytes()) == before
    assert infc(compiled, "lock", "--check", SPEC) == 0


def test_another_runtime_is_another_release(compiled: Path) -> None:
    """TensorRT Edge-LLM instead of vLLM is version 2, whose toolchain is named in the lock."""
    assert "vllm" in block(compiled)["inputs"]["toolchain"]
    spec = compiled / SPEC
    text = spec.read_text()
    with_edge_llm = "deploy: {server: jetson, jetson: {runtime: edge-llm}}"
    spec.write_text(text.replace("deploy: {server: jetson}", with_edge_llm))
    assert infc(compiled, "compile", SPEC) == 0
    assert block(compiled)["release"]["version"] == "2"
    assert "tensorrt-edge-llm 0.11.0" in block(compiled)["inputs"]["toolchain"]
    assert archive_of(compiled, 2).exists()
