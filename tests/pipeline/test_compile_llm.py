"""Compiling language models: the bundle, the lock and what comes of missing weights. No vLLM is needed for it."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.manifest import verify_bundle
from infc.report.compile_schema import compile_schema
from tests.pipeline.conftest import ROOT

EXAMPLE = ROOT / "specs" / "tiny-llama"
SPEC = "tiny-llama.infc.yaml"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama in a workspace of its own, compiled: bfloat16 on the CPU, with no accuracy goal."""
    folder = tmp_path_factory.mktemp("compiled")
    shutil.copytree(EXAMPLE / "model", folder / "model")
    (folder / SPEC).write_text(
        "model: {checkpoint: model}\n"
        "slo: {ttft: {p99: 2s}, tpot: {p99: 200ms}}\n"
        "workload: {rate: 4/s, prompt_tokens: {p50: 64, max: 256}, output_tokens: {p50: 32, max: 96}}\n"
        "constraints: {hardware: [cpu], precision: [bf16]}\n"
    )
    with contextlib.chdir(folder):
        assert infc("compile", SPEC) == 0
    return folder


@pytest.fixture
def chat(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the compiled workspace, which is the current folder."""
    folder = tmp_path / "chat"
    shutil.copytree(compiled, folder)
    monkeypatch.chdir(folder)
    return folder


def infc(*arguments: str) -> int:
    """Run the command line in the current folder."""
    return guarded(app, usage_error=64, args=list(arguments))


def blocks(folder: Path) -> list[Mapping[str, Any]]:
    """The blocks of the lock."""
    return list(tomllib.loads((folder / "infc.lock").read_text())["artifact"])


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by relative path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_compiling_again_changes_nothing(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Same inputs, same bytes, "unchanged"; the report, the plan, serve.yaml and the lock have the same limits."""
    before = tree(chat / "dist"), (chat / "infc.lock").read_bytes()
    assert infc("compile", SPEC, "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, compile_schema())
    assert report["bundles"][0]["change"] == "unchanged"
    assert (tree(chat / "dist"), (chat / "infc.lock").read_bytes()) == before
    bundle = chat / "dist" / "tiny-llama"
    assert verify_bundle(bundle) == ()
    [block] = blocks(chat)
    [decided] = [spec["decision"] for spec in json.loads((bundle / "plan.json").read_text())["specs"]]
    serve = yaml.safe_load((bundle / "serve.yaml").read_text())
    choice = block["choice"]
    for key in ("max_num_seqs", "max_num_batched_tokens", "max_model_len"):
        assert serve[key.replace("_", "-")] == choice[key] == {**decided, **decided["vllm"]}[key]
    assert serve["model"] == block["engine"]["file"] == "model"
    assert (block["engine"]["kind"], block["engine"]["pending"]) == ("checkpoint", False)
    assert block["inputs"]["toolchain"].endswith("vllm 0.32.0")
    assert block["files"]["model/" + WEIGHTS] == report["bundles"][0]["checkpoint"]["files"][WEIGHTS]
    assert (chat / block["profile"]).is_file()
    assert {"ttft_p99_ms", "tpot_p99_ms", "p99_ms", "output_tokens_per_s"} <= block["predicted"].keys()
    assert report["bundles"][0]["engine"] is None


def test_a_fresh_plan_agrees_with_the_lock(chat: Path) -> None:
    """Nothing differs, whoever asks."""
    assert infc("lock", "--check") == 0
    assert infc("plan", SPEC, "--detailed-exitcode") == 0
    assert infc("lock", "--upgrade", "--dry-run") == 0


def test_other_weights_and_another_tokeniser_make_the_lock_stale(
    chat: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was reviewed is not what would be served: exit 4, and the input is named."""
    weights = chat / "model" / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-2] + b"\0\1")
    assert infc("lock", "--check") == 4
    assert "weights changed" in capsys.readouterr().out
    assert infc("compile", SPEC, "--locked") == 4
    assert "lock-stale" in capsys.readouterr().err
    weights.write_bytes(whole)
    assert infc("lock", "--check") == 0
    (chat / "model" / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert infc("lock", "--check") == 4
    assert "tokenizer changed" in capsys.readouterr().out


def test_a_checkout_without_weights_is_planned_and_checked(chat: Path) -> None:
    """Absent weights keep their locked digest: `lock --check` holds, `plan` needs none, `compile` says pending."""
    locked = (chat / "infc.lock").read_bytes()
    (chat / "model" / WEIGHTS).rename(chat / "kept")
    assert infc("lock", "--check") == 0
    assert infc("plan", SPEC, "--detailed-exitcode") == 0
    assert infc("compile", SPEC, "--locked") == 4
    assert infc("compile", SPEC) == 0
    [block] = blocks(chat)
    assert block["engine"]["pending"] is True
    (chat / "model").rename(chat / "away")  # not even the config: the lock names its stored profile
    assert infc("lock", "--check") == 0
    assert infc("plan", SPEC) == 0
    assert infc("compile", SPEC) == 1
    (chat / "away").rename(chat / "model")
    (chat / "kept").rename(chat / "model" / WEIGHTS)
    assert infc("compile", SPEC) == 0
    assert (chat / "infc.lock").read_bytes() == locked


def test_a_config_alone_compiles_to_a_pending_bundle(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything but the weights is emitted, a warning says where to put them, and the lock says pending."""
    for path in sorted((chat / "model").iterdir()):
        if path.name != "config.json":
            path.unlink()
    (chat / "infc.lock").unlink()
    assert infc("compile", SPEC) == 0
    out, err = capsys.readouterr()
    assert "weights are pending" in out
    assert "warning[build-weights-missing]" in err
    [block] = blocks(chat)
    assert block["engine"]["pending"] is True
    assert "key" not in block["engine"]
    assert block["inputs"]["weights"] == "missing"
    assert (chat / "dist/tiny-llama/model/config.json").is_file()
    assert infc("lock", "--check") == 0
    assert infc("compile", SPEC, "--locked") == 0
    shutil.copyfile(EXAMPLE / "model" / WEIGHTS, chat / "model" / WEIGHTS)
    assert infc("lock", "--check") == 4


def test_a_pinned_repository_is_fetched_by_the_server(chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is pending: the revision is part of the spec, and the bundle holds no model."""
    revision = "9a" * 20
    snapshot = chat / "hub" / "models--a--tiny" / "snapshots" / revision
    snapshot.mkdir(parents=True)
    shutil.copyfile(EXAMPLE / "model" / "config.json", snapshot / "config.json")
    monkeypatch.setenv("HF_HUB_CACHE", str(chat / "hub"))
    spec = chat / SPEC
    pinned = f"huggingface: {{repo: a/tiny, revision: {revision}}}"
    spec.write_text(spec.read_text().replace("checkpoint: model", pinned))
    assert infc("compile", SPEC) == 0
    [block] = blocks(chat)
    assert block["engine"]["pending"] is False
    assert "file" not in block["engine"]
    assert (block["choice"]["model"], block["choice"]["revision"]) == ("a/tiny", revision)
    assert not {"weights", "tokenizer"} & block["inputs"].keys()
    serve = yaml.safe_load((chat / "dist/tiny-llama/serve.yaml").read_text())
    assert (serve["model"], serve["revision"]) == ("a/tiny", revision)
    shutil.rmtree(chat / "hub")  # the stored profile is enough from here on
    assert infc("compile", SPEC, "--locked") == 0
    assert infc("lock", "--check") == 0


def test_a_folder_of_both_kinds_is_compiled_and_checked(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each spec comes to its own end; a language model that meets no SLO exits 3 and stops no other."""
    other = (chat / SPEC).read_text().replace("p99: 200ms", "p99: 1us")
    (chat / "hopeless.infc.yaml").write_text(other)
    assert infc("compile", ".") == 3
    assert [block["name"] for block in blocks(chat)] == ["tiny-llama"]
    assert infc("lock", "--check", ".") == 4
    assert "hopeless" in capsys.readouterr().out


def test_a_builder_is_not_asked_for_a_checkpoint(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--builder` is for engines: it is said, and the compile goes on."""
    assert infc("compile", SPEC, "--builder", "job") == 0
    assert "--builder does not apply" in capsys.readouterr().err


@pytest.mark.slow
def test_kill_leaves_old_or_new(chat: Path) -> None:
    """A compile killed at any moment leaves a whole bundle and a whole lock, and the next run succeeds."""
    command = [sys.executable, "-m", "infc", "compile", SPEC]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole_s = time.monotonic() - started
    for attempt in range(4):
        spec = (chat / SPEC).read_text()
        (chat / SPEC).write_text(
            spec.replace("rate: 4/s" if attempt % 2 == 0 else "rate: 5/s", f"rate: {5 - attempt % 2}/s")
        )
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole_s * (attempt + 1) / 4)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert verify_bundle(chat / "dist" / "tiny-llama") == ()
        assert len(blocks(chat)) == 1
    assert infc("compile", SPEC) == 0
    assert infc("lock", "--check") == 0
    assert [path for path in (chat / "dist").iterdir() if path.name.startswith(".")] == []
