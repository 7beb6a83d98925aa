"""A compiled deployment to find drift of: the Fashion-MNIST example on the CPU, with a dynamic batcher."""

import os
import shutil
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from infc.build.server_settings import GRAPH_LEVEL
from infc.emit.manifest import content_digest
from infc.emit.write import write_bundle
from infc.ir.candidate import DynamicBatching
from infc.ir.engine import Engine, EngineFacts, LoweredModel
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import Problem
from infc.ir.service_time import ServiceTimeCurve
from infc.lock import Lock, LockEntry, update_lock
from infc.pipeline.bundles import Emission, bundle_of, entry_of
from infc.pipeline.plan import plan_loaded, profile_store
from infc.pipeline.settled import SettledOnnx
from infc.plan.assess import assess
from infc.plan.load import loader_for
from infc.plan.sizing import Settings, Sized
from infc.plan.space import places
from infc.resolve.targets import data_directory
from infc.spec import load_spec

SPECS = data_directory("targets").parent / "specs"
EXAMPLE = SPECS / "fashion-mnist"
SPEC = "fashion-mnist.infc.yaml"
MODEL = "fashion-mnist"
KEY = "ab" * 32
TEXT = """\
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {{name: fashion-mnist}}
model: {{onnx: resnet8.onnx}}
slo:
  latency: {{p50: 10ms, p99: 80ms}}
  availability: 99.9%
workload:
  arrival: poisson
  rate: 60/s
  peak: 100/s
constraints:
  hardware: [cpu]
  precision: [fp32]
deploy:
  server: triton
{deploy}"""
BATCHING = DynamicBatching(max_batch_size=8, max_queue_delay_s=0.0005, preferred_batch_sizes=(4,))


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A workspace with a lock of one entry, and the bundle of it."""

    root: Path
    bundle: Path
    entry: LockEntry

    @property
    def repository(self) -> Path:
        """The model repository of the bundle."""
        return self.bundle / "model_repository"


def compiled(root: Path, *, deploy: str = "") -> Compiled:
    """A workspace at `root` with spec, model, bundle and lock, as a compile would write them for the CPU.

    `deploy` are more lines of that section, indented by two. Nothing is built: the engine is the FP32 model itself.
    Each is made once in a process, and copied.
    """
    made, _ = _made(deploy)
    shutil.copytree(made.root, root, dirs_exist_ok=True)
    return Compiled(root=root, bundle=root / made.bundle.relative_to(made.root), entry=made.entry)


@cache
def _made(deploy: str) -> "tuple[Compiled, TemporaryDirectory[str]]":
    folder = TemporaryDirectory(prefix="infc-drift-")
    root = Path(folder.name, "workspace")
    root.mkdir()
    (root / ".git").mkdir()
    shutil.copyfile(EXAMPLE / "resnet8.onnx", root / "resnet8.onnx")
    (root / SPEC).write_text(TEXT.format(deploy=deploy))
    here = Path.cwd()
    os.chdir(root)
    try:
        return _compiled(root, BATCHING), folder
    finally:
        os.chdir(here)


def _compiled(root: Path, batching: DynamicBatching) -> Compiled:
    loaded = load_spec(Path(SPEC))
    assert loaded.spec is not None, loaded.diagnostics
    (decided,) = plan_loaded(loaded, {}).decisions
    plan, problem = decided.decision, decided.problem
    assert isinstance(plan, Plan)
    assert isinstance(problem, Problem)
    plan = _with_batching(problem, plan, batching)
    settled = SettledOnnx(
        problem=problem,
        plan=plan,
        lowered=LoweredModel(
            path=root / "resnet8.onnx",
            digest=problem.model.digest,
            source_digest=problem.model.digest,
            precision=Precision.FP32,
            recipe_digest="0" * 64,
            passes=(),
        ),
        engine=Engine(
            kind="onnxruntime",
            path=root / "resnet8.onnx",
            key=KEY,
            digest=content_digest(root / "resnet8.onnx"),
            size_bytes=(root / "resnet8.onnx").stat().st_size,
            precision=Precision.FP32,
            hardware_id="cpu",
            facts=EngineFacts(
                activation_bytes=None,
                weight_bytes=None,
                layers=(),
                toolchain={"onnxruntime": "1.31.1"},
                settings={GRAPH_LEVEL: "0"},
            ),
        ),
        evidence=None,
        diagnostics=(),
    )
    bundle, problems = bundle_of(loaded, None, settled)
    assert bundle is not None, problems
    entry = entry_of(
        loaded, settled, Emission(decided=((None, settled),), bundle=bundle), profile_store(loaded.workspace), Lock()
    )
    folder = Path("dist", MODEL)
    assert write_bundle(bundle, folder) == ()
    assert update_lock(Path("infc.lock"), [entry], []) == ()
    return Compiled(root=root, bundle=root / folder, entry=entry)


def _with_batching(problem: Problem, plan: Plan, batching: DynamicBatching) -> Plan:
    """The plan with another scheduler, predicted as the planner would."""
    place = places(problem)[0][0]
    loader, curve = loader_for(problem), place.site.curve(1)
    assert isinstance(curve, ServiceTimeCurve)
    load = loader.run(problem.traffic.peak_rps, curve.values, batching, 1)
    sized = Sized(site=place.site, settings=Settings(batching=batching, instances=1), needed=1, total=1, load=load)
    estimate = assess(problem, place.option, sized, loader)
    return replace(plan, candidate=replace(plan.candidate, batching=batching), estimate=estimate)
