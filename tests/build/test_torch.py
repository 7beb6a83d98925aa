"""torch packages: the processor they are for, what refuses them, and one compiled, run and compared for real."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infc.build import build, builder_for
from infc.build.builder import BuildTarget
from infc.build.support import can_build
from infc.build.toolchain import TOOLS
from infc.build.torch_target import LEVELS, TORCH_DEVICE, TORCH_INPUTS, TORCH_VERSION, cpu_level
from infc.diag import ToolError
from infc.ir.engine_choice import chosen_kind, is_measured_for, refused_engine
from infc.ir.engine_kind import ENGINE_KINDS, ENGINE_NAMES
from infc.ir.precision import Precision
from infc.resolve.targets import load_catalogue
from tests.build.build_requests import request

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the extra `torch` is not installed")


def test_every_kind_of_engine_has_a_file_name_and_a_builder() -> None:
    """A new kind cannot be forgotten where kinds are mapped."""
    assert set(ENGINE_NAMES) == set(TOOLS) == set(ENGINE_KINDS)


def test_levels_are_told_by_processor_flags() -> None:
    """The highest level whose flags are all there; none on a processor without AVX2."""
    fourth, third = LEVELS
    assert cpu_level({*fourth.flags, *third.flags}) == fourth
    assert cpu_level({*third.flags, "avx512f"}) == third
    assert cpu_level({"sse4_2"}) is None


def test_the_spec_chooses_the_runtime_and_what_makes_no_sense_is_refused() -> None:
    """`build.engine` maps to a kind by device and precision; the refusal says why."""
    catalogue = load_catalogue(None)
    cpu, l4 = catalogue.find("cpu"), catalogue.find("l4")
    assert cpu is not None
    assert l4 is not None
    assert builder_for(cpu) == builder_for(cpu, "onnxruntime", Precision.INT8) == "onnxruntime"
    assert builder_for(cpu, "torch", Precision.FP32) == builder_for(l4, "torch", Precision.FP16) == "torch_inductor"
    assert builder_for(l4, "onnxruntime", Precision.FP16) == "onnxruntime_cuda"
    assert builder_for(l4, "onnxruntime", Precision.INT8) == "onnxruntime_tensorrt"
    assert builder_for(l4, "tensorrt", Precision.FP16) == "tensorrt"
    assert chosen_kind("auto", l4, Precision.FP16) is None
    for hardware, choice, precision, word in (
        (cpu, "tensorrt", Precision.FP32, "NVIDIA"),
        (cpu, "tensorrt_rtx", Precision.FP32, "NVIDIA"),
        (l4, "torch", Precision.INT8, "INT8"),
        (l4, "onnxruntime", Precision.FP8, "FP8"),
    ):
        refusal = refused_engine(hardware, choice, precision)  # type: ignore[arg-type]
        assert refusal is not None
        assert word in refusal


def test_service_times_of_another_runtime_do_not_count() -> None:
    """What was measured with ONNX Runtime says nothing about a torch package, and the other way round."""
    assert is_measured_for("auto", "onnxruntime")
    assert is_measured_for("auto", "tensorrt_rtx")
    assert not is_measured_for("auto", "torch_inductor")
    assert is_measured_for("torch", "torch_inductor")
    assert is_measured_for("onnxruntime", "onnxruntime_cuda")
    assert not is_measured_for("tensorrt", "onnxruntime_tensorrt")


def test_a_gpu_package_needs_that_gpu() -> None:
    """Torch makes kernels for the GPU that it sees; nothing can be built ahead for another."""
    refusal = can_build(BuildTarget(kind="torch_inductor", hardware_id="h100-sxm", compute_capability="9.0"))
    assert refusal is not None
    assert refusal.id == "build-needs-gpu"
    assert can_build(BuildTarget(kind="onnxruntime_cuda", hardware_id="h100-sxm", compute_capability="9.0")) is None


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_package_answers_as_onnx_runtime_and_comes_from_the_cache(tmp_path: Path) -> None:
    """Compiled for a dynamic batch, it answers every batch size as the model does; a second build takes seconds."""
    import onnxruntime

    from infc.validate.torch_session import torch_session

    asked = request("cpu", Precision.FP32, kind="torch_inductor", max_batch_size=16)
    lines: list[str] = []
    engine, problems = build(asked, tmp_path / "engines", lines.append)
    assert engine is not None, problems
    assert any("comparing" in line for line in lines)
    assert engine.path.name == "model.pt2"
    settings = engine.facts.settings
    assert settings[TORCH_DEVICE] == "cpu"
    assert json.loads(settings[TORCH_INPUTS]) == ["input"]
    assert engine.facts.layers
    session = torch_session(engine)
    reference = onnxruntime.InferenceSession(str(asked.model.path), providers=["CPUExecutionProvider"])
    for batch in (1, 3, 16):
        values = np.random.default_rng(batch).random((batch, 1, 28, 28)).astype(np.float32)
        (answer,) = session.run(["logits"], {"input": values})
        (expected,) = reference.run(["logits"], {"input": values})
        np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-4)
    again, _ = build(asked, tmp_path / "engines", lines.append)
    assert again == engine
    assert "ready" in lines[-1] or "cache" in lines[-1]
    other = replace(engine, facts=replace(engine.facts, settings={**settings, TORCH_VERSION: "2.0.0"}))
    with pytest.raises(ToolError, match=r"built with torch 2\.0\.0"):
        torch_session(other)
