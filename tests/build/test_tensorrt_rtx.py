"""Real TensorRT-RTX engines, built without a GPU, and its refusals in words."""

import hashlib
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from infc.build import build
from infc.build.plan_header import header_problem
from infc.ir.engine import LoweredModel
from infc.ir.precision import Precision
from tests.build.build_requests import lowered, request

pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")


@pytest.mark.parametrize("hardware_id", ["t4", "l4", "rtx-5090"])
@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_engines_from_turing_to_blackwell(hardware_id: str, precision: Precision, tmp_path: Path) -> None:
    """FP16 and INT8 build for every supported architecture; the facts hold memory and layers."""
    engine, problems = build(request(hardware_id, precision), tmp_path)
    assert problems == ()
    assert engine is not None
    assert engine.size_bytes == engine.path.stat().st_size > 100_000
    assert engine.facts.weight_bytes is not None
    assert engine.facts.activation_bytes is not None
    assert engine.facts.activation_bytes > 1_000_000
    dtypes = {layer.dtype for layer in engine.facts.layers}
    assert "Half" in dtypes if precision is Precision.FP16 or hardware_id == "t4" else "Int8" in dtypes
    assert any("node_Conv" in layer.name for layer in engine.facts.layers)
    assert list(engine.facts.toolchain) == ["tensorrt_rtx"]


def test_fp32_products_are_refused_on_turing(tmp_path: Path) -> None:
    """SM 7.5 has no FP32 GEMM: the diagnostic names the operator and the way out."""
    engine, (problem,) = build(request("t4", Precision.FP32), tmp_path)
    assert engine is None
    assert problem.id == "build-precision-unsupported"
    assert "FP32 GEMM" in problem.message
    assert "node_linear" in problem.notes[0]
    assert "fp16 or int8" in (problem.help or "")
    assert list(tmp_path.iterdir()) == []


def test_bf16_is_refused_on_turing_and_built_on_ada(tmp_path: Path) -> None:
    """BF16 needs SM 8.0."""
    engine, (problem,) = build(request("t4", Precision.BF16), tmp_path)
    assert engine is None
    assert problem.message == "t4 has no BF16 hardware (sm75)"
    engine, problems = build(request("l4", Precision.BF16), tmp_path)
    assert problems == ()
    assert engine is not None


def fp8_model(folder: Path) -> LoweredModel:
    """A matrix product between FP8 Q/DQ nodes."""
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 19]>
        g (float[n, 1, 28, 28] input) => (float[n, 64] logits) <
          float16[784, 64] w = {WEIGHTS}, float16 s = {13107}, float8e4m3fn z = {0}, int64[2] to = {0, 784}
        > {
          half = Cast <to = 10> (input)
          flat = Reshape (half, to)
          q = QuantizeLinear (flat, s, z)
          d = DequantizeLinear (q, s, z)
          wq = QuantizeLinear (w, s, z)
          wd = DequantizeLinear (wq, s, z)
          m = MatMul (d, wd)
          logits = Cast <to = 1> (m)
        }
        """.replace("WEIGHTS", ", ".join(["11264"] * (784 * 64)))
    )
    path = folder / "fp8.onnx"
    onnx.save(model, path)
    return replace(
        lowered(Precision.FP16),
        path=path,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        precision=Precision.FP8,
    )


@pytest.mark.parametrize(("hardware_id", "is_supported"), [("t4", False), ("a100-sxm-40gb", False), ("l4", True)])
def test_fp8_needs_ada(hardware_id: str, is_supported: bool, tmp_path: Path) -> None:
    """FP8 Q/DQ builds from SM 8.9 on; older silicon is a diagnostic that says so."""
    asked = replace(request(hardware_id, Precision.FP16), model=fp8_model(tmp_path))
    engine, problems = build(asked, tmp_path / "engines")
    assert (engine is not None) is is_supported
    assert [p.id for p in problems] == ([] if is_supported else ["build-precision-unsupported"])
    if not is_supported:
        assert "FP8" in problems[0].message


def test_a_workspace_that_is_too_small_says_so(tmp_path: Path) -> None:
    """The memory limit is real: a build that cannot keep it is refused with the limit."""
    engine, (problem,) = build(request("l4", Precision.FP16, workspace_bytes=2**16), tmp_path)
    assert engine is None
    assert problem.id == "build-out-of-memory"
    assert "0.1 MiB" in problem.message


def test_hopper_is_no_rtx_target(tmp_path: Path) -> None:
    """SM 9.0 is refused before anything runs, with the way to get a builder."""
    lines: list[str] = []
    engine, (problem,) = build(request("h100-sxm", Precision.FP16), tmp_path, lines.append)
    assert engine is None
    assert problem.id == "build-capability-unsupported"
    assert "host with" in (problem.help or "")
    assert lines == []


def test_a_finished_engine_is_never_built_twice(tmp_path: Path) -> None:
    """The second request reads the cache; a damaged engine is built again."""
    lines: list[str] = []
    first, _ = build(request("l4", Precision.FP16), tmp_path, lines.append)
    assert any("building" in line for line in lines)
    lines.clear()
    second, _ = build(request("l4", Precision.FP16), tmp_path, lines.append)
    assert second == first
    assert [line.endswith("is in the cache") for line in lines] == [True]
    assert first is not None
    first.path.write_bytes(first.path.read_bytes()[:-1])
    third, _ = build(request("l4", Precision.FP16), tmp_path, lines.append)
    assert third is not None
    assert third.size_bytes == first.size_bytes
    assert [path.name for path in tmp_path.iterdir()] == [first.key]


def test_the_same_bytes_from_any_directory_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses decide the order inside an INT8 engine; the builder's process has the same ones every time."""
    first, _ = build(request("l4", Precision.INT8), tmp_path / "a")
    monkeypatch.setenv("SOMETHING_LONG", "x" * 3000)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.chdir(tmp_path)
    second, _ = build(request("l4", Precision.INT8), tmp_path / "another" / "and" / "longer" / "folder")
    assert first is not None
    assert second is not None
    assert first.digest == second.digest
    assert first.facts == second.facts


def test_the_header_of_an_engine_notices_truncation(tmp_path: Path) -> None:
    """The size in the header is the size of the file; a cut or foreign file is told."""
    engine, _ = build(request("l4", Precision.FP16), tmp_path)
    assert engine is not None
    content = engine.path.read_bytes()
    version = engine.facts.toolchain["tensorrt_rtx"]
    assert header_problem(content[:64], len(content), version) is None
    if version.startswith("1.7."):
        assert "file has" in (header_problem(content[:64], len(content) - 9, version) or "")
        assert "does not start" in (header_problem(b"PK" + content[2:64], len(content), version) or "")
        assert struct.unpack_from("<Q", content, 16) == (len(content),)


def test_a_builder_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """A kill -9 of infc in the middle of a build leaves no engine under the key, and the next build works."""
    model = lowered(Precision.INT8)
    script = (
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from infc.build import build\n"
        "from infc.ir.engine import BuildRequest, LoweredModel, ShapeRange\n"
        "from infc.ir.precision import Precision\n"
        "import hashlib\n"
        "digest = hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest()\n"
        "model = LoweredModel(path=Path(sys.argv[1]), digest=digest, source_digest=digest, precision=Precision.INT8,"
        " recipe_digest=digest, passes=())\n"
        "shape = ShapeRange(input_name='input', minimum=(1,1,28,28), optimum=(8,1,28,28), maximum=(8,1,28,28))\n"
        "asked = BuildRequest(kind='tensorrt_rtx', model=model, shapes=(shape,), hardware_id='l4',"
        " compute_capability='8.9')\n"
        "def progress(line):\n"
        "    if 'building' in line and len(sys.argv) > 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "engine, _ = build(asked, Path(sys.argv[2]), progress)\n"
        "print(engine.key)\n"
    )
    command = [sys.executable, "-c", script, str(model.path), str(tmp_path)]
    killed = subprocess.run([*command, "kill"], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [p for p in tmp_path.iterdir() if not p.name.startswith(".")] == []
    time.sleep(0.1)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "TZ": "Asia/Tokyo"})
    assert (tmp_path / done.stdout.strip() / "model.plan").is_file()
