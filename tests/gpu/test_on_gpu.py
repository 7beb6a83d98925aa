"""On a real GPU: engines of every precision built, run, tested, measured, and planned with.

`make gpu` runs them; elsewhere they are skipped with the reason. Properties that they record go into its report.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infc.build.libraries import LIBRARIES
from infc.diag import Diagnostic, ToolError
from infc.ir.build_options import BuildOptions
from infc.ir.engine import Engine
from infc.ir.engine_kind import EngineKind
from infc.ir.hardware import Hardware
from infc.ir.precision import Precision
from infc.perf import kernel_work, unsupported_reason
from infc.validate.gpu import GpuDevice, engine_session, engine_sessions
from infc.validate.gpu.nvml import nvml_reader

from .checks import AGREEMENT, Machine, agreement, built, check_calibration, check_gate, images
from .rtx_probe import engine_for, loading_outcome

pytestmark = [pytest.mark.gpu, pytest.mark.slow]
Record = Callable[[str, object], None]
PRECISIONS = tuple(AGREEMENT)


def runnable(machine: Machine, precision: Precision) -> None:
    """Skip precisions that the catalogue says this GPU has not."""
    reason = unsupported_reason(machine.hardware, precision, kernel_work(machine.model, {}).classes)
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.value)
def test_engine_answers_as_the_model_does(machine: Machine, precision: Precision, record_property: Record) -> None:
    """Built on this machine, in every precision that the silicon has; or refused with a reason that is recorded."""
    runnable(machine, precision)
    engine = built(machine, precision)
    if not isinstance(engine, Engine):
        record_property("refused", engine[-1].message)
        pytest.skip(engine[-1].message)
    share = agreement(machine, engine)
    record_property("agreement", share)
    record_property("engine_bytes", engine.size_bytes)
    assert share >= AGREEMENT[precision]


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8], ids=lambda precision: precision.value)
def test_the_gate_tests_the_engine_itself(machine: Machine, precision: Precision) -> None:
    """Not the lowered model: the evidence names the engine."""
    runnable(machine, precision)
    check_gate(machine, precision)


def test_inspector_tells_the_layers_that_the_report_shows(machine: Machine, record_property: Record) -> None:
    """As many layers as the engine's facts hold, with the types that were asked for."""
    engine = built(machine, Precision.FP16)
    assert isinstance(engine, Engine), engine
    from infc.validate.gpu.engine_runner import Engine as LoadedEngine

    library = importlib.import_module(machine.kind)
    loaded = LoadedEngine(library, str(engine.path), machine.device.index)
    inspector = loaded.engine.create_engine_inspector()
    told = json.loads(inspector.get_engine_information(library.LayerInformationFormat.JSON))
    record_property("layers", len(told["Layers"]))
    assert told["Layers"]
    assert engine.facts.layers
    assert any("Half" in layer.dtype for layer in engine.facts.layers)
    del inspector
    loaded.close()


def test_int8_is_not_ignored(machine: Machine) -> None:
    """The convolutions of an INT8 engine read INT8; an engine in which they did not would not have been built."""
    runnable(machine, Precision.INT8)
    engine = built(machine, Precision.INT8)
    if not isinstance(engine, Engine):
        assert engine[-1].id == "build-precision-ignored"
        pytest.skip(engine[-1].message)
    assert any("Int8" in layer.input_dtype or "Int8" in layer.dtype for layer in engine.facts.layers)


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(is_refittable=True),
        BuildOptions(is_weight_streaming=True),
        BuildOptions(is_version_compatible=True),
        BuildOptions(hardware_compatibility="same_compute_capability"),
        BuildOptions(optimization_level=1, workspace_bytes=256 * 2**20),
    ],
    ids=["refit", "weight-streaming", "version-compatible", "same-capability", "level-1"],
)
def test_options_of_the_builder_make_engines_that_run(machine: Machine, options: BuildOptions) -> None:
    """Each option builds an engine that says so and answers right, or is refused by name."""
    engine = built(machine, Precision.FP16, options)
    if not isinstance(engine, Engine):
        assert engine[-1].id.startswith("build-")
        pytest.skip(engine[-1].message)
    assert agreement(machine, engine) >= AGREEMENT[Precision.FP16]
    from infc.validate.gpu.engine_runner import Engine as LoadedEngine

    library = importlib.import_module(machine.kind)
    loaded = LoadedEngine(library, str(engine.path), machine.device.index, allows_host_code=True)
    if options.is_refittable:
        assert loaded.engine.refittable
    if options.is_weight_streaming:
        assert loaded.engine.streamable_weights_size > 0
    loaded.close()


def test_instances_share_the_engine_and_not_the_answers(machine: Machine) -> None:
    """Four contexts of one engine, in turns; device time is told for each, and dropping them frees the memory."""
    engine = built(machine, Precision.FP16)
    assert isinstance(engine, Engine), engine
    sessions = engine_sessions(engine, 4, machine.device)
    assert not isinstance(sessions, Diagnostic), sessions
    pictures, _ = images()
    feeds = {machine.model.inputs[0].name: pictures[:5]}
    names = [spec.name for spec in machine.model.outputs]
    answers = [session.run(names, feeds)[0] for session in sessions]
    assert all((answer == answers[0]).all() for answer in answers)
    assert all(session.device_s is not None and session.device_s > 0.0 for session in sessions)


def test_an_engine_of_another_gpu_is_refused_with_the_reason(machine: Machine) -> None:
    """TensorRT-RTX builds for a capability that this GPU has not; loading it is a diagnostic, not a crash."""
    if machine.kind != "tensorrt_rtx":
        pytest.skip("TensorRT builds for the GPU at hand only")
    other = "12.0" if machine.device.compute_capability != "12.0" else "8.9"
    elsewhere = replace(machine, hardware=replace(machine.hardware, compute_capability=other))
    engine = built(elsewhere, Precision.FP16)
    assert isinstance(engine, Engine), engine
    session = engine_session(engine, machine.device)
    assert isinstance(session, Diagnostic)
    assert session.id == "gpu-engine-refused"


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8], ids=lambda precision: precision.value)
def test_calibration_is_what_the_next_plan_rests_on(
    machine: Machine, precision: Precision, record_property: Record
) -> None:
    """Measured with the device's own clock, sampled through its sensors; the plan's basis is then measured."""
    runnable(machine, precision)
    profile = check_calibration(machine, precision)
    usage = profile["usage"]
    record_property("usage", json.dumps(usage))
    if not isinstance(nvml_reader(machine.device), str):
        assert isinstance(usage, dict)
        assert usage["power_w"] is None or usage["power_w"] > 0.0


ELSEWHERE: tuple[EngineKind, ...] = ("onnxruntime_cuda", "onnxruntime_tensorrt")


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_onnxruntime_on_the_gpu_answers_as_the_model_does(
    kind: EngineKind, device: GpuDevice, hardware: Hardware, folder: Path, record_property: Record
) -> None:
    """Where onnxruntime-gpu is installed: the providers run the same lowered model."""
    provided = Machine(device=device, hardware=hardware, kind=kind, folder=folder)
    engine = built(provided, Precision.FP16)
    if not isinstance(engine, Engine):
        pytest.skip(engine[-1].message)
    try:
        share = agreement(provided, engine)
    except ToolError as error:
        pytest.skip(str(error))
    record_property("agreement", share)
    assert share >= AGREEMENT[Precision.FP16]


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16], ids=lambda precision: precision.value)
def test_a_torch_package_answers_as_the_model_does(
    precision: Precision, device: GpuDevice, hardware: Hardware, folder: Path, record_property: Record
) -> None:
    """Where torch sees the GPU: compiled for it and run on it."""
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this torch sees no GPU")
    compiled = Machine(device=device, hardware=hardware, kind="torch_inductor", folder=folder)
    engine = built(compiled, precision)
    assert isinstance(engine, Engine), engine
    share = agreement(compiled, engine)
    record_property("agreement", share)
    assert share >= AGREEMENT[precision]


def test_what_tensorrt_rtx_does_on_a_gpu_outside_its_matrix(device: GpuDevice, record_property: Record) -> None:
    """Hopper, for one: whether it builds for its own capability, and whether the default engine loads, is recorded."""
    pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")
    default, current = engine_for(None), engine_for("CURRENT")
    assert isinstance(default, bytes), default
    outcome = loading_outcome(default)
    record_property("compute_capability", device.compute_capability)
    record_property("engine_for_this_gpu", "built" if isinstance(current, bytes) else current)
    record_property("default_engine", outcome)
    if device.compute_capability in LIBRARIES["tensorrt_rtx"].capabilities and device.compute_capability != "7.5":
        assert outcome == "loaded"
        assert isinstance(current, bytes), current
