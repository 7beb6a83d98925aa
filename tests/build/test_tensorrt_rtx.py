"""Real TensorRT-RTX engines, built without a GPU, and its refusals in words."""

import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infc.build import build
from infc.build.plan_header import header_problem
from infc.ir.build_options import BuildOptions
from infc.ir.precision import Precision
from tests.build.build_requests import lowered, request

pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")


SAME_TYPE = {Precision.FP32: "Float", Precision.FP16: "Half", Precision.BF16: "BFloat16"}
UNSUPPORTED, IGNORED = "build-precision-unsupported", "build-precision-ignored"
REFUSED = {
    (Precision.FP32, "t4"): UNSUPPORTED,
    (Precision.BF16, "t4"): UNSUPPORTED,
    (Precision.INT8, "t4"): IGNORED,
    (Precision.FP8, "t4"): UNSUPPORTED,
    (Precision.FP8, "a100-sxm-40gb"): UNSUPPORTED,
    (Precision.FP8, "a10g"): UNSUPPORTED,
}
"""What TensorRT-RTX 1.7 refuses of this network, from SM 7.5 to 12.0; it builds all else."""


@pytest.mark.parametrize("hardware_id", ["t4", "a100-sxm-40gb", "a10g", "l4", "rtx-5090"])
@pytest.mark.parametrize("precision", [*SAME_TYPE, Precision.INT8, Precision.FP8])
def test_every_precision_from_turing_to_blackwell(hardware_id: str, precision: Precision, tmp_path: Path) -> None:
    """An engine that computes in the precision, or the reason why there is none."""
    engine, problems = build(request(hardware_id, precision), tmp_path)
    expected = REFUSED.get((precision, hardware_id))
    assert [problem.id for problem in problems] == ([] if expected is None else [expected])
    assert (engine is None) is (expected is not None)
    if engine is None:
        return
    facts = engine.facts
    assert engine.size_bytes == engine.path.stat().st_size > 100_000
    assert facts.weight_bytes
    assert facts.activation_bytes is not None
    assert facts.activation_bytes > 1_000_000
    assert list(facts.toolchain) == ["tensorrt_rtx"]
    read = {layer.input_dtype for layer in facts.layers if layer.kind != "kgen"}
    assert SAME_TYPE.get(precision, "Int8" if precision is Precision.INT8 else "FP8") in read
    assert facts.fallbacks == ()


def test_int8_that_runs_in_half_is_refused(tmp_path: Path) -> None:
    """TensorRT-RTX builds Q/DQ convolutions for SM 7.5 without a word, and computes them in FP16."""
    engine, (problem,) = build(request("t4", Precision.INT8), tmp_path)
    assert engine is None
    assert problem.message == "TensorRT-RTX did not build int8 for t4"
    assert "9 of 10 matrix operators that the model has in Int8 run in Half" in problem.notes[0]


def test_a_model_that_is_not_what_its_label_says_is_refused(tmp_path: Path) -> None:
    """A file in FP32 under the label INT8 never becomes an INT8 engine."""
    mislabelled = replace(
        request("l4", Precision.FP32), model=replace(lowered(Precision.FP32), precision=Precision.INT8)
    )
    engine, (problem,) = build(mislabelled, tmp_path)
    assert engine is None
    assert problem.id == "build-precision-ignored"
    assert problem.notes == ("the model holds no matrix operator in Int8, only in Float",)


@pytest.mark.parametrize(
    ("option", "is_there"),
    [
        ({"optimization_level": 5}, True),
        ({"is_refittable": True}, True),
        ({"is_weight_streaming": True}, True),
        ({"hardware_compatibility": "same_compute_capability"}, True),
        ({"hardware_compatibility": "ampere_plus"}, False),
        ({"is_version_compatible": True}, False),
        ({"dla_core": 0}, False),
    ],
    ids=lambda value: "" if isinstance(value, bool) else "-".join(value),
)
def test_build_options_are_kept_or_refused(option: dict[str, Any], is_there: bool, tmp_path: Path) -> None:
    """What the library cannot do is a diagnostic with the option's name; nothing is dropped."""
    asked = replace(request("l4", Precision.FP16), options=BuildOptions(**option))
    engine, problems = build(asked, tmp_path)
    assert (engine is not None) is is_there
    assert [problem.id for problem in problems] == ([] if is_there else ["build-option-unsupported"])


def test_fp32_products_are_refused_on_turing(tmp_path: Path) -> None:
    """SM 7.5 has no FP32 GEMM: the diagnostic names the operator and the way out."""
    engine, (problem,) = build(request("t4", Precision.FP32), tmp_path)
    assert engine is None
    assert problem.id == "build-precision-unsupported"
    assert "FP32 GEMM" in problem.message
    assert "node_linear" in problem.notes[0]
    assert "fp16 or int8" in (problem.help or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("precision", "words"), [(Precision.BF16, "BF16"), (Precision.FP8, "FP8")])
def test_silicon_without_the_type_is_named(precision: Precision, words: str, tmp_path: Path) -> None:
    """BF16 needs SM 8.0, FP8 SM 8.9."""
    _, (problem,) = build(request("t4", precision), tmp_path)
    assert problem.message == f"t4 has no {words} hardware (sm75)"


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
