"""Problems, plans and engines for the emitters' tests: a real tiny ONNX model with everything around it."""

from pathlib import Path

from infc.build.server_settings import ACCELERATOR, GRAPH_LEVEL
from infc.build.torch_target import (
    TORCH_CPU_LEVEL,
    TORCH_DEVICE,
    TORCH_FLOAT32,
    TORCH_INPUTS,
    TORCH_OUTPUTS,
    TORCH_VERSION,
)
from infc.ir.arrival import PoissonArrival
from infc.ir.candidate import Candidate, DynamicBatching
from infc.ir.engine import Engine, EngineFacts
from infc.ir.engine_kind import EngineKind
from infc.ir.estimate import CostEstimate, Estimate, MemoryBreakdown
from infc.ir.expression import AxisExpression
from infc.ir.hardware import Hardware
from infc.ir.interval import Basis, Interval
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, AxisDistribution, HardwareOption, LatencyTarget, Limits, Problem, Traffic
from infc.ir.service_time import ServiceTimeCurve

IDS = TensorSpec(name="ids", dtype="int64", shape=("batch", "sequence"))
SCORES = TensorSpec(name="scores", dtype="float32", shape=("batch", 4))


def write_onnx(path: Path, *, fixed_batch: int | None = None) -> Path:
    """A model that averages rows of a table: ids int64[batch, sequence] -> scores float32[batch, 4]."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    batch = fixed_batch or "batch"
    table = numpy_helper.from_array(np.arange(40, dtype=np.float32).reshape(10, 4), "table")
    axes = numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("ReduceMean", ["rows", "axes"], ["scores"], keepdims=0),
        ],
        "lookup",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [batch, "sequence"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 4])],
        [table, axes],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def model_profile(
    *,
    inputs: tuple[TensorSpec, ...] = (IDS,),
    outputs: tuple[TensorSpec, ...] = (SCORES,),
    fixed_batch: int | None = None,
    axes: tuple[str, ...] = ("sequence",),
) -> ModelProfile:
    """The profile of the sample model, without operators."""
    return ModelProfile(
        name="lookup",
        digest="sha256:" + "1" * 64,
        format="onnx",
        opset=18,
        inputs=inputs,
        outputs=outputs,
        batch_axis=None if fixed_batch else "batch",
        fixed_batch=fixed_batch,
        axes=axes,
        parameter_elements=40,
        weight_bytes=160,
        peak_activation_elements=AxisExpression.constant(0.0),
        operators=(),
    )


def hardware(id: str = "l4") -> Hardware:
    """A row of the catalogue."""
    return Hardware(
        id=id,
        name=id.upper(),
        vendor="NVIDIA",
        kind="cpu" if id == "cpu" else "gpu",
        architecture="Ada Lovelace",
        compute_capability="8.9",
        memory_bytes=24e9,
        memory_bandwidth_bytes_per_s=300e9,
        peak_flops={Precision.FP16: 121e12, Precision.INT8: 242e12},
        l2_bytes=None,
        sm_count=58,
        boost_clock_hz=2.04e9,
        tdp_w=72.0,
        idle_w=None,
        form="datacenter",
        is_emittable=True,
        dla=None,
        power_modes=(),
        aliases=(),
        sources=("test",),
        notes="",
        recalled_fields=(),
    )


def problem(model: ModelProfile | None = None, *, name: str = "lookup", peak_rps: float = 800.0) -> Problem:
    """A problem as `resolve` would make it."""
    return Problem(
        name=name,
        spec_path=f"specs/{name}.infc.yaml",
        model=model or model_profile(),
        latency=(LatencyTarget(percentile=50, limit_s=0.008), LatencyTarget(percentile=99, limit_s=0.025)),
        availability=None,
        accuracy=AccuracyGoal(dataset="data/pairs.npz", metric="top1", floor=0.9, max_drop=None, confidence=0.95),
        traffic=Traffic(
            arrival=PoissonArrival(),
            rate_rps=300.0,
            peak_rps=peak_rps,
            hourly=None,
            axes={"sequence": AxisDistribution(percentiles={50.0: 24, 90.0: 80}, maximum=128)},
        ),
        limits=Limits(
            precisions=(Precision.FP16, Precision.INT8),
            max_accelerators=None,
            max_usd_per_hour=None,
            max_power_w=None,
            redundancy=1,
        ),
        objective="cost",
        options=tuple(HardwareOption(hardware=hardware(id), price=None) for id in ("cpu", "l4")),
        server="auto",
        measurements=(),
        evidence=(),
        origins={},
        spans={},
    )


def plan(
    *,
    name: str = "lookup",
    hardware_id: str = "l4",
    batching: DynamicBatching | None = None,
    precision: Precision = Precision.INT8,
    instances: int = 2,
    comments: tuple[str, ...] = ("a queue delay of 500 us was simulated and made the p99 worse",),
) -> Plan:
    """A plan as `plan.solve` would make it."""
    batching = batching or DynamicBatching(max_batch_size=8, preferred_batch_sizes=(4, 8), has_prefetch=False)
    return Plan(
        name=name,
        spec_path=f"specs/{name}.infc.yaml",
        candidate=Candidate(
            hardware_id=hardware_id,
            server="triton",
            precision=precision,
            batching=batching,
            instances_per_gpu=instances,
            replicas=3,
        ),
        estimate=estimate(),
        reasons=("cheapest that holds the SLO",),
        comments=comments,
        rejections=(),
        runners_up=(),
    )


def estimate() -> Estimate:
    """Round numbers."""
    return Estimate(
        e2e_s={
            "mean": Interval(value=0.005, low=0.004, high=0.006),
            "p50": Interval(value=0.0048, low=0.004, high=0.006),
            "p95": Interval(value=0.012, low=0.01, high=0.014),
            "p99": Interval(value=0.0181, low=0.015, high=0.022),
        },
        throughput_rps=Interval(value=2000.0, low=1800.0, high=2200.0),
        goodput_rps=800.0,
        utilization=0.61,
        mean_batch_size=2.4,
        memory=MemoryBreakdown(weights_bytes=1e8, activations_bytes=2e8, kv_cache_bytes=0.0, runtime_bytes=4e8),
        power_w=None,
        cost=CostEstimate(
            usd_per_hour=2.1, usd_per_month=1533.0, usd_per_million_requests=1.9, price_source="aws g6.xlarge"
        ),
        service_time=ServiceTimeCurve(
            seconds=tuple(Interval.exact(0.002 + 0.0005 * b) for b in range(1, 9)), basis=Basis.ANALYTIC
        ),
        basis=Basis.ANALYTIC,
        confidence=0.9,
    )


def settings_of(kind: EngineKind, precision: Precision, device: str) -> dict[str, str]:
    """What a builder says of how the engine is to be served."""
    if kind == "torch_inductor":
        stated = {TORCH_VERSION: "2.13.0", TORCH_CPU_LEVEL: "x86-64-v3", TORCH_DEVICE: device}
        return {**stated, TORCH_FLOAT32: "highest", TORCH_INPUTS: '["ids"]', TORCH_OUTPUTS: '["scores"]'}
    if kind not in ("onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt"):
        return {}
    level = {GRAPH_LEVEL: "2" if precision is Precision.INT8 else "0"}
    accelerator = {"precision_mode": precision.value.upper(), "trt_engine_cache_path": "/engine_cache"}
    is_accelerated = kind == "onnxruntime_tensorrt"
    return level | {ACCELERATOR + name: value for name, value in accelerator.items() if is_accelerated}


def engine(
    path: Path, *, kind: EngineKind = "onnxruntime", precision: Precision = Precision.INT8, device: str = "cpu"
) -> Engine:
    """A built engine around an existing file; `device` is torch's word for what a package runs on."""
    versions = {"tensorrt_rtx": "1.7.1.116", "tensorrt": "10.5.0", "torch_inductor": "2.13.0+cpu"}
    return Engine(
        kind=kind,
        path=path,
        key="ab" * 32,
        digest="sha256:" + "2" * 64,
        size_bytes=path.stat().st_size,
        precision=precision,
        hardware_id="cpu" if kind == "onnxruntime" else "l4",
        facts=EngineFacts(
            activation_bytes=None,
            weight_bytes=None,
            layers=(),
            toolchain={kind: versions.get(kind, "1.31.1")},
            settings=settings_of(kind, precision, device),
        ),
    )
