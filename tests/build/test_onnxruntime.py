"""The CPU engine: an ONNX file that Triton's onnxruntime backend cannot corrupt, the same bytes every time."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from infc.build import build, onnxruntime_settings
from infc.ir.engine import Engine
from infc.ir.precision import Precision
from infc.lower.settings import settings_for
from tests.build.build_requests import request


def engine_for(precision: Precision, folder: Path) -> Engine:
    """The CPU engine in a precision."""
    engine, problems = build(request("cpu", precision, kind="onnxruntime", settings=settings_for("cpu")), folder)
    assert engine is not None, problems
    return engine


def answers(path: Path, level: ort.GraphOptimizationLevel, feeds: np.ndarray) -> np.ndarray:
    """Logits at an optimisation level."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": feeds})[0])


def test_int8_is_optimised_now_and_opened_without_rewrites(tmp_path: Path) -> None:
    """Integer kernels are in the file already; the server is told to rewrite nothing (level 2)."""
    engine = engine_for(Precision.INT8, tmp_path)
    settings = onnxruntime_settings(engine, threads=2)
    assert settings.graph_level == 2
    assert settings.has_rewrites is False
    assert settings.parameters["intra_op_thread_count"] == "2"
    kinds = [layer.kind for layer in engine.facts.layers]
    assert kinds.count("QLinearConv") == 9
    feeds = np.random.default_rng(0).normal(size=(64, 1, 28, 28)).astype(np.float32)
    exact = answers(
        request("cpu", Precision.INT8, kind="onnxruntime", settings=settings_for("cpu")).model.path,
        ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        feeds,
    )
    served = answers(engine.path, ort.GraphOptimizationLevel.ORT_DISABLE_ALL, feeds)
    assert float((exact.argmax(1) == served.argmax(1)).mean()) > 0.95


def test_fp32_is_left_to_the_servers_own_processor(tmp_path: Path) -> None:
    """Without Q/DQ every rewrite is safe: the file stays plain ONNX and the level is Triton's default."""
    engine = engine_for(Precision.FP32, tmp_path)
    assert onnxruntime_settings(engine).graph_level == 0
    assert {node.domain for node in onnx.load(engine.path).graph.node} == {""}


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_the_same_bytes_in_another_folder(precision: Precision, tmp_path: Path) -> None:
    """Two builds give one digest, and the file names no tool, host or path."""
    first, second = engine_for(precision, tmp_path / "a"), engine_for(precision, tmp_path / "b")
    assert first.key == second.key
    assert first.digest == second.digest
    model = onnx.load(first.path)
    assert (model.producer_name, list(model.metadata_props)) == ("", [])
    used = {node.domain for node in model.graph.node} | {""}
    assert {entry.domain for entry in model.opset_import} == used


def test_bf16_has_no_cpu_kernels(tmp_path: Path) -> None:
    """ONNX Runtime's refusal is a diagnostic that names what it can run."""
    engine, (problem,) = build(request("cpu", Precision.BF16, kind="onnxruntime"), tmp_path)
    assert engine is None
    assert problem.id == "build-precision-unsupported"
    assert "Conv" in problem.notes[0]
