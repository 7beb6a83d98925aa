"""The emitted TensorRT-RTX backend, run against stand-ins for the GPU: batching, splitting, errors, memory."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from infc.emit.release import triton_folder
from infc.validate.gpu import RUNNER_FILE

from .device_stand_in import Cuda, TensorRT, Triton, TritonModelException

CONFIG: dict[str, Any] = {
    "max_batch_size": 8,
    "default_model_filename": "model.plan",
    "input": [{"name": "x", "data_type": "TYPE_FP16", "dims": [-1]}],
    "output": [
        {"name": "y", "data_type": "TYPE_FP16", "dims": [-1]},
        {"name": "rows", "data_type": "TYPE_FP16", "dims": [1], "reshape": {"shape": []}},
    ],
}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The backend's module with a GPU that is none."""
    cuda, trt, bindings = Cuda(), TensorRT(), ModuleType("cuda.bindings")
    bindings.runtime = cuda  # type: ignore[attr-defined]
    modules = {
        "cuda": ModuleType("cuda"),
        "cuda.bindings": bindings,
        "cuda.bindings.runtime": cuda,
        "tensorrt_rtx": trt,
        "triton_python_backend_utils": Triton(),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "engine_runner", loaded_file("engine_runner", RUNNER_FILE))
    backend = loaded_file("emitted_backend", triton_folder() / "backends" / "tensorrt_rtx" / "model.py")
    return SimpleNamespace(cuda=cuda, trt=trt, backend=backend)


def loaded_file(name: str, path: Path) -> ModuleType:
    """A file as a module of its own, as Triton's stub imports what lies beside a backend."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loaded(device: SimpleNamespace, folder: Path, config: dict[str, Any] = CONFIG, **changes: str) -> Any:
    """An initialised model."""
    (folder / "1").mkdir(exist_ok=True)
    (folder / "1" / "model.plan").write_bytes(b"engine")
    model = device.backend.TritonPythonModel()
    arguments = {
        "model_config": json.dumps(config),
        "model_instance_kind": "GPU",
        "model_instance_device_id": "1",
        "model_repository": str(folder),
        "model_version": "1",
    }
    model.initialize({**arguments, **changes})
    return model


def request(*rows: list[float]) -> dict[str, np.ndarray]:
    """A request of these rows."""
    return {"x": np.array(rows, dtype=np.float16)}


def test_requests_of_a_batch_run_together_and_come_back_apart(device: SimpleNamespace, tmp_path: Path) -> None:
    """Rows are joined, run once, and split again; every answer is the request's own."""
    model = loaded(device, tmp_path)
    answers = model.execute([request([1, 2]), request([3, 4], [5, 6]), request([7, 8])])
    assert [answer.error for answer in answers] == [None, None, None]
    assert [answer.outputs["y"].tolist() for answer in answers] == [[[2, 4]], [[6, 8], [10, 12]], [[14, 16]]]
    assert [answer.outputs["rows"].tolist() for answer in answers] == [[[3]], [[7], [11]], [[15]]]
    assert answers[0].outputs["y"].dtype == np.float16
    assert set(device.cuda.devices) == {1}


def test_answers_stay_when_the_buffers_are_used_again(device: SimpleNamespace, tmp_path: Path) -> None:
    """A response is a copy: the next batch, also a larger one, does not change it."""
    model = loaded(device, tmp_path)
    (first,) = model.execute([request([1, 2])])
    (second,) = model.execute([request([5, 5, 5, 5], [5, 5, 5, 5])])
    (third,) = model.execute([request([9, 9])])
    assert first.outputs["y"].tolist() == [[2, 4]]
    assert second.outputs["y"].tolist() == [[10] * 4] * 2
    assert third.outputs["y"].tolist() == [[18, 18]]


def test_other_shapes_run_apart_and_only_the_failing_one_fails(device: SimpleNamespace, tmp_path: Path) -> None:
    """A shape outside the optimization profile gets an error that says so; its neighbours get their answers."""
    model = loaded(device, tmp_path)
    answers = model.execute([request([1, 2]), request([0] * 9), request([1, 1, 1]), request([3, 4])])
    assert [answer.error is None for answer in answers] == [True, False, True, True]
    assert "input x of shape (1, 9) is outside the engine's optimization profile" in answers[1].error
    assert answers[2].outputs["y"].tolist() == [[2, 2, 2]]
    assert answers[3].outputs["y"].tolist() == [[6, 8]]


def test_instance_survives_failures_of_the_device(device: SimpleNamespace, tmp_path: Path) -> None:
    """A refused execution and a full device memory are errors of those requests only."""
    model = loaded(device, tmp_path)
    device.trt.engine.context.fails = True
    (failed,) = model.execute([request([1, 2])])
    assert "refused the execution" in failed.error
    device.trt.engine.context.fails = False
    device.cuda.fails_to_allocate = True
    (failed,) = model.execute([request([1] * 8, [1] * 8)])
    assert failed.error == "CUDA: cudaErrorMemoryAllocation"
    device.cuda.fails_to_allocate = False
    (answer,) = model.execute([request([1, 2])])
    assert answer.outputs["y"].tolist() == [[2, 4]]


def test_wrong_data_type_is_an_error_of_the_request(device: SimpleNamespace, tmp_path: Path) -> None:
    """Nothing is converted silently."""
    model = loaded(device, tmp_path)
    (failed,) = model.execute([{"x": np.array([[1.0]], dtype=np.float64)}])
    assert failed.error is not None


def test_everything_on_the_device_is_freed(device: SimpleNamespace, tmp_path: Path) -> None:
    """Unloading the model leaves no memory and no stream behind, whatever ran before."""
    model = loaded(device, tmp_path)
    model.execute([request([1, 2])])
    model.execute([request([1] * 8, [1] * 8)])
    assert device.cuda.live
    model.finalize()
    assert device.cuda.live == {}
    device.backend.TritonPythonModel().finalize()


def test_model_without_batching_answers_one_by_one(device: SimpleNamespace, tmp_path: Path) -> None:
    """max_batch_size 0: shapes are whole and nothing is joined."""
    rows = {"name": "rows", "data_type": "TYPE_FP16", "dims": [-1]}
    config = {**CONFIG, "max_batch_size": 0, "output": [CONFIG["output"][0], rows]}
    model = loaded(device, tmp_path, config)
    answers = model.execute([request([1, 2], [3, 4]), request([5, 6], [7, 8])])
    assert [answer.outputs["y"].tolist() for answer in answers] == [[[2, 4], [6, 8]], [[10, 12], [14, 16]]]
    assert answers[1].outputs["rows"].tolist() == [11, 15]


@pytest.mark.parametrize(
    ("config", "changes", "reason"),
    [
        (CONFIG, {"model_instance_kind": "CPU"}, "KIND_GPU"),
        ({**CONFIG, "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1]}]}, {}, "different builds"),
        ({**CONFIG, "output": CONFIG["output"][:1]}, {}, "different builds"),
        ({**CONFIG, "default_model_filename": "gone.plan"}, {}, "gone.plan"),
    ],
)
def test_what_cannot_be_served_is_refused_when_it_is_loaded(
    device: SimpleNamespace, tmp_path: Path, config: dict[str, Any], changes: dict[str, str], reason: str
) -> None:
    """The server's log says why."""
    with pytest.raises(TritonModelException, match=reason):
        loaded(device, tmp_path, config, **changes)


def test_engine_of_another_version_is_refused(device: SimpleNamespace, tmp_path: Path) -> None:
    """TensorRT-RTX returns nothing for it; the message says what that means."""
    device.trt.engine = None
    with pytest.raises(TritonModelException, match="built for another version or another GPU"):
        loaded(device, tmp_path)
