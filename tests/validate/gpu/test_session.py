"""Engines on a GPU, run against a stand-in for it: batches, contexts, times, errors, what is freed."""

import doctest
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infc.diag import Diagnostic, ToolError
from infc.ir.engine import Engine, EngineFacts
from infc.ir.precision import Precision
from infc.validate.gpu import GpuSession, engine_session, engine_sessions, find_gpus
from tests.gpu.stand_in import GpuCuda, NoGpu, RuntimeTensorRT, machine_with_gpu

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

MODEL = Path(__file__).parents[3] / "specs" / "fashion-mnist" / "resnet8.onnx"
NAMES = ["logits"]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A file that the stand-in takes for an engine."""
    path = tmp_path / "model.plan"
    path.write_bytes(b"engine")
    return Engine(
        kind="tensorrt_rtx",
        path=path,
        key="k",
        digest="d",
        size_bytes=6,
        precision=Precision.FP32,
        hardware_id="l4",
        facts=EngineFacts(activation_bytes=None, weight_bytes=None, layers=(), toolchain={"tensorrt_rtx": "1.7.1.116"}),
    )


@pytest.fixture
def cuda() -> GpuCuda:
    """The device."""
    return GpuCuda()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, cuda: GpuCuda) -> Iterator[RuntimeTensorRT]:
    """A machine with the device and the library."""
    library = RuntimeTensorRT(MODEL)
    with machine_with_gpu(monkeypatch, cuda, library):
        yield library


def images(rows: int) -> dict[str, np.ndarray]:
    """A batch of noise."""
    return {"input": np.random.default_rng(rows).normal(size=(rows, 1, 28, 28)).astype(np.float32)}


def opened(engine: Engine, count: int = 1, *, is_timed: bool = True) -> tuple[GpuSession, ...]:
    """Sessions that must open."""
    sessions = engine_sessions(engine, count, is_timed=is_timed)
    assert not isinstance(sessions, Diagnostic), sessions
    return sessions


def expected(gpu: RuntimeTensorRT, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """What ONNX Runtime says."""
    assert gpu.engine is not None
    answer: np.ndarray = gpu.engine.session.run(NAMES, feeds)[0]
    return answer


def test_outputs_are_those_of_the_model(gpu: RuntimeTensorRT, engine: Engine) -> None:
    """Whatever the batch size, in any order of sizes."""
    session = engine_session(engine)
    assert isinstance(session, GpuSession)
    for rows in (1, 4, 2, 16):
        (logits,) = session.run(NAMES, images(rows))
        np.testing.assert_allclose(logits, expected(gpu, images(rows)), rtol=1e-5, atol=1e-5)
    assert session.device_s is None


def test_a_batch_larger_than_the_engine_takes_runs_in_parts(gpu: RuntimeTensorRT, engine: Engine) -> None:
    """The accuracy gate asks for 32 rows of an engine that takes 16."""
    (session,) = opened(engine)
    (logits,) = session.run(NAMES, images(39))
    np.testing.assert_allclose(logits, expected(gpu, images(39)), rtol=1e-4, atol=1e-4)


def test_instances_run_at_once_with_buffers_of_their_own(gpu: RuntimeTensorRT, engine: Engine) -> None:
    """Contexts share the engine and nothing else: answers do not mix."""
    sessions = opened(engine, 4)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            answers = list(pool.map(lambda i: sessions[i].run(NAMES, images(i + 1))[0], range(4)))
            for index, answer in enumerate(answers):
                np.testing.assert_allclose(answer, expected(gpu, images(index + 1)), rtol=1e-4, atol=1e-4)


def test_device_time_is_that_of_the_execution_alone(gpu: RuntimeTensorRT, engine: Engine) -> None:
    """Events stand around the execution; the copies are told apart."""
    (session,) = opened(engine)
    session.run(NAMES, images(2))
    assert session.device_s is not None
    assert session.device_s > 0.0


def test_closing_and_dropping_sessions_frees_the_device(gpu: RuntimeTensorRT, cuda: GpuCuda, engine: Engine) -> None:
    """No memory, stream or event is left, whether a session is closed or only forgotten."""
    first, second = opened(engine, 2)
    first.run(NAMES, images(3))
    second.run(NAMES, images(5))
    assert cuda.live
    first.close()
    first.close()
    del second
    assert cuda.live == {}


def test_inputs_outside_the_profile_are_told(gpu: RuntimeTensorRT, engine: Engine) -> None:
    """The message names the input, its shape and what it is outside of; the session goes on."""
    (session,) = opened(engine)
    with pytest.raises(
        ToolError, match=r"input of shape \(1, 1, 32, 32\) is outside the engine's optimization profile"
    ):
        session.run(NAMES, {"input": np.zeros((1, 1, 32, 32), np.float32)})
    with pytest.raises(ToolError, match="failed on the GPU"):
        session.run(NAMES, {"input": np.zeros((1, 1, 28, 28), np.float64)})
    assert session.run(NAMES, images(1))[0].shape == (1, 10)


def test_failures_of_the_device_are_told(gpu: RuntimeTensorRT, cuda: GpuCuda, engine: Engine) -> None:
    """A refused execution and a full memory, each in its own words."""
    (session,) = opened(engine)
    assert gpu.engine is not None
    gpu.engine.fails = True
    with pytest.raises(ToolError, match="TensorRT-RTX refused the execution"):
        session.run(NAMES, images(1))
    gpu.engine.fails = False
    cuda.fails_to_allocate = True
    with pytest.raises(ToolError, match="cudaErrorMemoryAllocation"):
        session.run(NAMES, images(16))
    cuda.fails_to_allocate = False
    assert session.run(NAMES, images(2))[0].shape == (2, 10)


def test_outputs_whose_shape_depends_on_data_get_their_room(
    monkeypatch: pytest.MonkeyPatch, cuda: GpuCuda, engine: Engine, tmp_path: Path
) -> None:
    """NonZero: only the execution knows how many there are, and another run may have more of them."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["found"])],
        "found",
        [helper.make_tensor_value_info("x", types.FLOAT, ["rows"])],
        [helper.make_tensor_value_info("found", types.INT64, [1, "count"])],
    )
    path = tmp_path / "nonzero.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    with machine_with_gpu(monkeypatch, cuda, RuntimeTensorRT(path)):
        (session,) = opened(engine)
        for values in ([0, 1, 0, 2], [0, 0], [1] * 12):
            (found,) = session.run(["found"], {"x": np.array(values, np.float32)})
            assert found.tolist() == [[i for i, value in enumerate(values) if value]]


def test_a_machine_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch, cuda: GpuCuda, engine: Engine) -> None:
    """The driver's word is in the notes; nothing raises."""
    for cuda.count_error in NoGpu:
        with machine_with_gpu(monkeypatch, cuda, RuntimeTensorRT(MODEL)):
            found = engine_session(engine)
        assert isinstance(found, Diagnostic)
        assert found.id == "gpu-missing"
        assert found.notes == (cuda.count_error.name,)


def test_a_refused_engine_says_why(monkeypatch: pytest.MonkeyPatch, cuda: GpuCuda, engine: Engine) -> None:
    """The library's own words, and what this GPU is; another version of the library is named first."""
    with machine_with_gpu(monkeypatch, cuda, RuntimeTensorRT(None)):
        found = engine_session(engine)
    assert isinstance(found, Diagnostic)
    assert found.id == "gpu-engine-refused"
    assert "which has capability 9.0" in found.notes[1]
    assert "NVIDIA L4 (compute capability 8.9, 22.0 GiB)" in found.notes[-1]
    with machine_with_gpu(monkeypatch, cuda, RuntimeTensorRT(None, version="1.8.0.1")):
        found = engine_session(engine)
    assert isinstance(found, Diagnostic)
    assert found.id == "gpu-engine-version"


def test_missing_packages_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, cuda: GpuCuda, engine: Engine) -> None:
    """Without cuda-bindings, and without the library that runs the engine."""
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(ToolError, match="cuda-bindings") as caught:
        find_gpus()
    assert "infc[gpu]" in str(caught.value.help)
    with machine_with_gpu(monkeypatch, cuda), pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tensorrt_rtx", None)
        with pytest.raises(ToolError, match="tensorrt_rtx is not installed"):
            engine_session(engine)


def test_onnxruntime_without_the_provider_says_so(gpu: RuntimeTensorRT, engine: Engine) -> None:
    """The CPU's package has no provider for a GPU; nothing falls back to the CPU in silence."""
    with pytest.raises(ToolError, match="has no CUDAExecutionProvider"):
        engine_session(replace(engine, kind="onnxruntime_cuda"))


def test_examples_of_the_runner_are_true(gpu: RuntimeTensorRT) -> None:
    """Its pure functions do what their docstrings say."""
    from infc.validate.gpu import engine_runner

    failures, attempted = doctest.testmod(engine_runner)
    assert attempted >= 2
    assert failures == 0
    with pytest.raises(ValueError, match="different shapes"):
        engine_runner.batch_shape([(1, 2), (1, 3)])
