"""What is checked of engines on a GPU, for any GPU and library: the tests here run it where there is one.

The same functions run against a stand-in for the device in `test_checks.py`, so that nothing in them is tried for the
first time on the machine that has the GPU.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from infc.build import build, shape_ranges
from infc.cli.calibrate import command as calibrate_command
from infc.cli.compile import command as compile_command
from infc.diag import Diagnostic
from infc.ir.accuracy import Verdict
from infc.ir.build_options import DEFAULT_BUILD_OPTIONS, BuildOptions
from infc.ir.engine import BuildRequest, Engine
from infc.ir.engine_kind import EngineKind
from infc.ir.hardware import Hardware
from infc.ir.interval import Basis
from infc.ir.model_profile import ModelProfile
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal
from infc.lower.arrays import calibration_from_file
from infc.lower.lowering import lower
from infc.lower.settings import settings_for
from infc.pipeline.plan import plan_spec
from infc.resolve.model import model_profile
from infc.resolve.store import ProfileStore
from infc.validate.accuracy import MeasureOptions, gate
from infc.validate.accuracy.inference import open_session
from infc.validate.gpu import GpuDevice
from infc.validate.instances import open_instances

EXAMPLE = Path(__file__).parents[2] / "specs" / "fashion-mnist"
MODEL = EXAMPLE / "resnet8.onnx"
MAX_BATCH_SIZE = 8
AGREEMENT: Mapping[Precision, float] = {
    Precision.FP32: 0.995,
    Precision.TF32: 0.99,
    Precision.FP16: 0.99,
    Precision.BF16: 0.97,
    Precision.INT8: 0.95,
    Precision.FP8: 0.95,
}
"""Share of images with the class that FP32 gives them; on the CPU, lowered models reach 0.997 in INT8 and FP8."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A GPU, its row in the catalogue, the kind of engine to check, and a folder for caches."""

    device: GpuDevice
    hardware: Hardware
    kind: EngineKind
    folder: Path

    @property
    def model(self) -> ModelProfile:
        """The example's model."""
        model, problems = model_profile(MODEL, ProfileStore(root=self.folder, cache=self.folder / ".infc"), None)
        assert model is not None, problems
        return model


def built(
    machine: Machine, precision: Precision, options: BuildOptions = DEFAULT_BUILD_OPTIONS
) -> Engine | tuple[Diagnostic, ...]:
    """The example's engine in a precision, or why the builder refuses it."""
    data, problems = calibration_from_file(EXAMPLE / "calibration-256.npz", machine.model.inputs, 256, "calibration")
    assert not problems
    lowered, problems = lower(
        MODEL, machine.model, precision, data, settings_for(machine.hardware.kind), machine.folder / "lowered"
    )
    assert lowered is not None, problems
    request = BuildRequest(
        kind=machine.kind,
        model=lowered,
        shapes=shape_ranges(machine.model, MAX_BATCH_SIZE, {}),
        hardware_id=machine.hardware.id,
        compute_capability=machine.hardware.compute_capability,
        options=options,
    )
    engine, problems = build(request, machine.folder / "engines")
    return problems if engine is None else engine


def images() -> tuple[np.ndarray, np.ndarray]:
    """512 labelled test images."""
    with np.load(EXAMPLE / "test-2000.npz", allow_pickle=False) as arrays:
        names = [name for name in arrays.files if arrays[name].ndim == 4]
        labels = [name for name in arrays.files if arrays[name].ndim == 1]
        return arrays[names[0]][:512].astype(np.float32), arrays[labels[0]][:512]


def agreement(machine: Machine, engine: Engine) -> float:
    """The share of images to which the engine gives the class that the FP32 model gives them on the CPU."""
    pictures, _ = images()
    opened = open_instances(engine, 1, 1, machine.device)
    assert not isinstance(opened, Diagnostic), opened
    session = opened[0]
    names = [spec.name for spec in machine.model.outputs]
    feeds = {machine.model.inputs[0].name: pictures}
    (ours,) = session.run(names, feeds)
    (reference,) = open_session(MODEL, has_rewrites=True, threads=0).run(names, feeds)
    assert np.isfinite(ours).all()
    return float(np.mean(ours.argmax(1) == reference.argmax(1)))


def check_answers(machine: Machine, precision: Precision) -> None:
    """The engine answers as the model does, batches larger than its own included."""
    engine = built(machine, precision)
    assert isinstance(engine, Engine), engine
    assert agreement(machine, engine) >= AGREEMENT[precision]


def check_gate(machine: Machine, precision: Precision) -> None:
    """The accuracy gate tests the built engine, names it as its subject, and passes."""
    engine = built(machine, precision)
    assert isinstance(engine, Engine), engine
    goal = AccuracyGoal(dataset="test-2000.npz", metric="top1", floor=0.88, max_drop=0.03, confidence=0.95)
    result = gate(
        MODEL,
        engine,
        EXAMPLE / "test-2000.npz",
        goal,
        model=machine.model,
        options=MeasureOptions(shown_as="test-2000.npz", cache=machine.folder / "reference"),
    )
    assert result.evidence is not None, result.diagnostics
    assert result.evidence.subject == machine.kind
    assert result.evidence.verdict is Verdict.PASS, result.diagnostics


def example_spec(machine: Machine, precision: Precision) -> Path:
    """The example's spec for this machine's GPU, library and precision, in a workspace of its own."""
    folder = machine.folder / "workspace"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".infc", "infc-profiles"), dirs_exist_ok=True)
    spec = folder / "fashion-mnist.infc.yaml"
    text = spec.read_text()
    for old, new in (
        ("[t4, l4, a10g, l40s]", f"[{machine.hardware.id}]"),
        ("precision: [int8]", f"precision: [{precision.value}]"),
        ("  max_cost: $1500/month\n", ""),
        ("objective: cost", "objective: latency"),
        ("targets: [cpu]", f"targets: [{machine.hardware.id}]"),
    ):
        assert old in text
        text = text.replace(old, new)
    spec.write_text(f"{text}\nbuild: {{engine: {machine.kind}}}\n")
    return spec


def check_bundle(machine: Machine, precision: Precision) -> Path:
    """Compiles the example for this GPU through the command line; returns the bundle, which holds its engine."""
    spec = example_spec(machine, precision)
    output = spec.parent / "dist"
    arguments = [str(spec), "--output", str(output)]
    result = CliRunner().invoke(compile_command, arguments, standalone_mode=False, catch_exceptions=False)
    assert result.return_value == 0, result.output
    bundle = next(path.parent for path in sorted(output.glob("*/validation.json")))
    assert any((bundle / "model_repository" / "fashion-mnist" / "1").iterdir())
    return bundle


def check_calibration(machine: Machine, precision: Precision) -> dict[str, object]:
    """Calibrates through the command line; the next plan then rests on measurements. Returns the profile's JSON."""
    spec = example_spec(machine, precision)
    arguments = [str(spec), "--hardware", machine.hardware.id, "--budget", "3s"]
    result = CliRunner().invoke(
        calibrate_command, [*arguments, "--format", "json"], standalone_mode=False, catch_exceptions=False
    )
    assert result.return_value == 0, result.output
    (profile,) = json.loads(result.stdout)["profiles"]
    for point in profile["points"]:
        assert point["executions"] >= 8
        assert 0.0 < point["device_ms"]["value"] < point["ms"]["value"]
    decision = plan_spec(spec).decisions[-1].decision
    assert isinstance(decision, Plan), decision
    assert decision.estimate.basis is Basis.MEASURED
    return dict(profile)
