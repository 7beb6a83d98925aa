"""Whole directories of specs, compiled in parallel: real lowering, real engines, one lock."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.manifest import verify_bundle

pytest.importorskip("onnxruntime", reason="lowers and builds with the extra onnx")
pytest.importorskip("tritonclient", reason="emits with the extra triton")

SPEC = """metadata: {{name: {name}}}
model: {{onnx: {model}}}
slo: {{latency: {{p99: 50ms}}}}
workload: {{rate: 20/s, arrival: poisson}}
constraints: {{hardware: [{hardware}], precision: [{precision}]}}
"""
LANGUAGE_MODEL = """model: {huggingface: {repo: Qwen/Qwen3-8B, revision: b968826d9c46dd6066d109eabc6255188de91218}}
slo: {ttft: {p99: 500ms}, tpot: {p99: 40ms}}
workload: {rate: 1/s, prompt_tokens: {p50: 512, max: 4096}, output_tokens: {p50: 128, max: 1024}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, as the current directory."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_model(path: Path, seed: int) -> None:
    """Two small dense layers; another seed is another model."""
    random = np.random.default_rng(seed)
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 19]>
        g (float[n, 16] x) => (float[n, 8] y) { h = MatMul (x, a)  r = Relu (h)  y = MatMul (r, b) }
        """
    )
    for name, shape in (("a", (16, 32)), ("b", (32, 8))):
        values = random.standard_normal(shape, dtype=np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, path)


def write_spec(name: str, *, hardware: str = "cpu", precision: str = "fp32", model: str = "model.onnx") -> None:
    """A spec in the current directory."""
    text = SPEC.format(name=name, hardware=hardware, precision=precision, model=model)
    Path(f"{name}.infc.yaml").write_text(text, encoding="utf-8")


def infc(*arguments: str) -> int:
    """Run the command line here."""
    return guarded(app, args=arguments, usage_error=64)


def locked_names() -> list[str]:
    """The names in the lock, in its order."""
    return [block["name"] for block in tomllib.loads(Path("infc.lock").read_text())["artifact"]]


def test_a_directory_is_compiled_like_its_specs_one_by_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Same bundles, same lock, reports in the order of the names; the lines say which spec they are about."""
    write_model(folder / "model.onnx", 0)
    write_model(folder / "other.onnx", 1)
    for name in ("c", "a", "b"):
        write_spec(name, model="other.onnx" if name == "b" else "model.onnx")
        assert infc("compile", f"{name}.infc.yaml") == 0
    one_by_one = Path("infc.lock").read_bytes()
    bundles = {path: path.read_bytes() for path in Path("dist").rglob("*") if path.is_file()}
    capsys.readouterr()
    Path("infc.lock").unlink()
    assert infc("compile", ".", "--jobs", "3") == 0
    shown = capsys.readouterr()
    assert Path("infc.lock").read_bytes() == one_by_one
    assert {path: path.read_bytes() for path in Path("dist").rglob("*") if path.is_file()} == bundles
    assert [line.split(":")[0] for line in shown.out.splitlines() if ": compiled" in line] == ["a", "b", "c"]
    assert {line.partition(": ")[0] for line in shown.err.splitlines()} == {"a", "b", "c"}
    assert "c: done, 0 to go" in shown.err or "b: done, 0 to go" in shown.err or "a: done, 0 to go" in shown.err


def test_one_spec_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Invalid, infeasible, a model that nothing here knows, a name that is taken: each is told, the worst code left."""
    write_model(folder / "model.onnx", 0)
    write_spec("good")
    write_spec("slow")
    Path("slow.infc.yaml").write_text(Path("slow.infc.yaml").read_text().replace("50ms", "1us"))
    Path("llm.infc.yaml").write_text(LANGUAGE_MODEL)
    assert infc("compile", ".") == 3
    shown = capsys.readouterr()
    assert "nothing on this machine says what Qwen/Qwen3-8B looks like" in shown.err
    assert "infeasible" in shown.out
    assert locked_names() == ["good"]
    Path("bad.infc.yaml").write_text("model: {onnx: model.onnx}\n")
    Path("twin.infc.yaml").write_text(Path("good.infc.yaml").read_text())
    assert infc("compile", ".", "--format", "json") == 5
    shown = capsys.readouterr()
    assert [bundle["name"] for bundle in json.loads(shown.out)["bundles"]] == ["good"]
    assert "two specs are named good" in shown.err
    assert locked_names() == ["good"]
    assert verify_bundle(Path("dist/good")) == ()


def test_a_mistake_in_a_builder_is_a_usage_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 64, with the fix, before anything is read."""
    assert infc("compile", ".", "--builder", "ssh:host") == 64
    assert "write ssh://host" in capsys.readouterr().err
    assert infc("compile", ".", "--build-timeout", "soon") == 64


def test_an_unreachable_builder_fails_its_specs_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The engine for a GPU has nowhere to go; that for the CPU is built here."""
    write_model(folder / "model.onnx", 0)
    write_spec("here")
    write_spec("there", hardware="h100-sxm", precision="fp16")
    builders = ("--builder", "ssh://127.0.0.1:1", "--builder", "local", "--builder-wait", "1ms")
    assert infc("compile", ".", *builders) == 1
    assert "no builder for h100-sxm: none of ssh://127.0.0.1:1, local makes tensorrt engines" in capsys.readouterr().err
    assert locked_names() == ["here"]


def engines(folder: Path) -> dict[str, int]:
    """Finished engines, by key, with the time that their attestation was written."""
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in (folder / ".infc/engines").glob("[0-9a-f]*/attestation.json")
    }


def started(folder: Path) -> "subprocess.Popen[str]":
    """A compile of the folder in a process group of its own."""
    command = [sys.executable, "-m", "infc", "compile", ".", "--jobs", "2"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def wait_for_engines(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    """Until so many are finished."""
    end_s = time.monotonic() + 240
    while len(engines(folder)) < count:
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.fixture
def twelve(folder: Path) -> Path:
    """Twelve specs for four GPUs, with three models."""
    pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
    for seed in range(3):
        write_model(folder / f"model-{seed}.onnx", seed)
        for hardware in ("t4", "a10g", "l4", "rtx-5090"):
            write_spec(f"{hardware}-{seed}", hardware=hardware, precision="fp16", model=f"model-{seed}.onnx")
    return folder


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(twelve: Path) -> None:
    """Kill -9 half-way: what was finished is not built again, what was not is built once, the lock holds all twelve."""
    process = started(twelve)
    wait_for_engines(twelve, 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = engines(twelve)
    assert 5 <= len(before) < 12
    again = started(twelve)
    _, errors = again.communicate(timeout=500)
    assert again.returncode == 0, errors
    after = engines(twelve)
    assert len(after) == 12
    assert {key: after[key] for key in before} == before
    lines = errors.splitlines()
    assert sum("is ready" in line for line in lines) == 12 - len(before)
    assert sum("is in the cache" in line for line in lines) == len(before)
    blocks = tomllib.loads((twelve / "infc.lock").read_text())["artifact"]
    assert sorted(block["engine"]["key"] for block in blocks) == sorted(after)


@pytest.mark.slow
def test_ctrl_c_ends_the_builders(twelve: Path) -> None:
    """One line, exit code 130, no process left, and the next run goes on."""
    process = started(twelve)
    wait_for_engines(twelve, 1, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "infc: interrupted, nothing was left half-written"
    assert "Traceback" not in errors
    assert group_is_gone(process.pid)
    assert len(engines(twelve)) < 12
    left = [path for path in (twelve / ".infc/engines").iterdir() if path.name.startswith(".")]
    assert left == []


def group_is_gone(group: int) -> bool:
    """Whether no process of the group lives, after a moment to end."""
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False
