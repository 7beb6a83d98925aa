"""Parts of a bundle for the emitters' tests: sample problems on Jetson modules, with what runs on those."""

from dataclasses import replace
from pathlib import Path

from infc.emit.jetson.parts import JetsonPart
from infc.ir.candidate import DynamicBatching
from infc.ir.engine import DeviceEngine, LoweredModel
from infc.ir.hardware import Hardware
from infc.ir.jetson import JetsonSetup
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.precision import Precision
from infc.ir.problem import HardwareOption
from infc.resolve.jetson import jetpack_for, modules
from tests.emit import samples

IMAGE = TensorSpec(name="image", dtype="float32", shape=("batch", 3, 32, 48))
CLASSES = TensorSpec(name="scores", dtype="float32", shape=("batch", 10))


def image_model(
    *, inputs: tuple[TensorSpec, ...] = (IMAGE,), outputs: tuple[TensorSpec, ...] = (CLASSES,)
) -> ModelProfile:
    """A model of one camera image."""
    return samples.model_profile(inputs=inputs, outputs=outputs, axes=())


def module(id: str) -> Hardware:
    """A row of the catalogue, with the module's own memory left at the sample's."""
    return replace(samples.hardware(id), kind="jetson", compute_capability="8.7")


def part(
    model_file: Path,
    *,
    id: str = "jetson-orin-nx-16gb",
    jetpack: str = "6.2",
    batch: int = 1,
    instances: int = 1,
    dla_core: int | None = None,
    model: ModelProfile | None = None,
    digest: str = "1" * 64,
    precision: Precision = Precision.FP16,
) -> JetsonPart:
    """One kind of module with a plan for it; `model_file` stands for the lowered model."""
    release = jetpack_for(id, jetpack)
    assert release is not None
    setup = JetsonSetup(jetpack=release, tensorrt=release.tensorrt, module=modules()[id])
    option = HardwareOption(hardware=module(id), price=None, jetson=setup)
    problem = replace(samples.problem(model or image_model()), options=(option,))
    plan = samples.plan(
        hardware_id=id, batching=DynamicBatching(max_batch_size=batch), precision=precision, instances=instances
    )
    candidate = replace(plan.candidate, server="jetson", dla_core=dla_core, replicas=1)
    return JetsonPart(
        problem=problem,
        plan=replace(plan, candidate=candidate),
        lowered=LoweredModel(
            path=model_file,
            digest=digest,
            source_digest="2" * 64,
            precision=precision,
            recipe_digest="3" * 64,
            passes=(),
        ),
        engine=DeviceEngine(kind="tensorrt", key="4" * 64, precision=precision, hardware_id=id),
        jetpack=release,
        module=modules()[id],
        tensorrt=release.tensorrt,
    )
