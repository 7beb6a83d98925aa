"""`validation.json`: what a bundle must do, so that the bundle alone is enough to test it.

Written by compile into the bundle, read by `infc validate`: the objective, the traffic, what the plan predicted, and
the service times that a rehearsal sleeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.candidate import DynamicBatching
from infc.ir.engine_kind import EngineKind
from infc.ir.interval import Interval
from infc.ir.model_profile import TensorSpec
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import LatencyTarget, Problem, Traffic
from infc.ir.service_time import ServiceTimeCurve

CONTRACT_NAME = "validation.json"
SAMPLES_NAME = "validation-samples.npz"


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """The model that the server is asked for, and what it was made from. `digest` is that of the source model file.

    `inputs` are the model's own: where it has a `batch_axis`, their first dimension is the batch. `max_batch_size` 0:
    not batched by the server. `is_cpu`: the engine runs on the CPU.
    """

    name: str
    digest: str
    precision: Precision
    engine_kind: EngineKind
    is_cpu: bool
    hardware_id: str
    inputs: tuple[TensorSpec, ...]
    batch_axis: str | None
    max_batch_size: int
    instances: int


@dataclass(frozen=True, kw_only=True)
class ValidationContract:
    """What a deployment is to be judged by.

    `traffic` is that of the whole deployment, spread over `replicas`. `predicted_s` and `service_time` are the
    plan's; `spec_path` is relative to the root of the workspace.
    """

    name: str
    spec_path: str
    target: str
    model: ServedModel
    replicas: int
    latency: tuple[LatencyTarget, ...]
    traffic: Traffic
    predicted_s: Mapping[str, Interval]
    service_time: ServiceTimeCurve

    @property
    def replica_rps(self) -> float:
        """The rate that one replica gets at the peak."""
        return self.traffic.peak_rps / self.replicas

    @property
    def percentiles(self) -> tuple[float, ...]:
        """Percentiles to report, ascending: 50, 90, 95, 99 and those of the objective."""
        return tuple(sorted({50.0, 90.0, 95.0, 99.0, *(target.percentile for target in self.latency)}))


def contract_from(problem: Problem, plan: Plan, engine_kind: EngineKind) -> ValidationContract:
    """The contract of a plan that is served by Triton.

    Raises:
        ValueError: the plan's server does not batch as Triton does.
    """
    candidate = plan.candidate
    if not isinstance(candidate.batching, DynamicBatching):
        raise ValueError(f"{candidate.label} is not served by Triton's dynamic batcher")
    is_batched = problem.model.batch_axis is not None
    model = ServedModel(
        name=problem.name,
        digest=problem.model.digest,
        precision=candidate.precision,
        engine_kind=engine_kind,
        is_cpu=any(o.hardware.id == candidate.hardware_id and o.hardware.kind == "cpu" for o in problem.options),
        hardware_id=candidate.hardware_id,
        inputs=problem.model.inputs,
        batch_axis=problem.model.batch_axis,
        max_batch_size=candidate.batching.max_batch_size if is_batched else 0,
        instances=candidate.instances_per_gpu,
    )
    mode, service_time = candidate.power_mode, plan.estimate.service_time
    assert service_time is not None  # noqa: S101 - plans of ONNX models have one
    return ValidationContract(
        name=problem.name,
        spec_path=problem.spec_path,
        target=candidate.hardware_id + (f"@{mode}" if mode else ""),
        model=model,
        replicas=candidate.replicas,
        latency=tuple(LatencyTarget(percentile=t.percentile, limit_s=t.limit_s) for t in problem.latency),
        traffic=problem.traffic,
        predicted_s=plan.estimate.e2e_s,
        service_time=service_time,
    )
