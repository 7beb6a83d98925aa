"""Bundles as compile writes them, small enough to serve in a test."""

import shutil
from pathlib import Path

from infc.ir.arrival import Arrival, PoissonArrival
from infc.ir.interval import Basis, Interval
from infc.ir.model_profile import TensorSpec
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution, LatencyTarget, Traffic
from infc.ir.service_time import ServiceTimeCurve
from infc.validate.contract import CONTRACT_NAME, ServedModel, ValidationContract
from infc.validate.contract_json import to_json

RESNET = Path(__file__).parents[2] / "specs" / "fashion-mnist" / "resnet8.onnx"

_GPU_CONFIG = """# what the plan says
name: "{name}"
platform: "tensorrt_plan"
max_batch_size: 4
default_model_filename: "model.plan"
input {{ name: "ids" data_type: TYPE_INT64 dims: -1 }}
output {{ name: "vector" data_type: TYPE_FP32 dims: 8 }}
instance_group {{ count: {instances} kind: KIND_GPU gpus: 0 }}
dynamic_batching {{ max_queue_delay_microseconds: 0 }}
model_warmup {{
  name: "batch-1" batch_size: 1 count: 1
  inputs {{ key: "ids" value {{ data_type: TYPE_INT64 dims: 16 zero_data: true }} }}
}}
"""
_CPU_CONFIG = """name: "encoder"
platform: "onnxruntime_onnx"
max_batch_size: 4
default_model_filename: "model.onnx"
input { name: "input" data_type: TYPE_FP32 dims: [1, 28, 28] }
output { name: "logits" data_type: TYPE_FP32 dims: 10 }
instance_group { count: 1 kind: KIND_CPU }
dynamic_batching { }
"""


def contract(
    *,
    limits_s: dict[float, float],
    rate_rps: float,
    service_s: tuple[float, ...] = (0.004, 0.005, 0.006, 0.007),
    is_gpu: bool = True,
    arrival: Arrival | None = None,
    instances: int = 1,
    replicas: int = 1,
) -> ValidationContract:
    """A contract for the encoder that the bundles of this module hold."""
    image = TensorSpec(name="input", dtype="float32", shape=("batch", 1, 28, 28))
    ids = TensorSpec(name="ids", dtype="int64", shape=("batch", "sequence"))
    return ValidationContract(
        name="encoder",
        spec_path="specs/encoder.infc.yaml",
        target="l4" if is_gpu else "cpu",
        model=ServedModel(
            name="encoder",
            digest="sha256:" + "0" * 64,
            precision=Precision.FP16 if is_gpu else Precision.FP32,
            engine_kind="tensorrt" if is_gpu else "onnxruntime",
            is_cpu=not is_gpu,
            hardware_id="l4" if is_gpu else "cpu",
            inputs=(ids,) if is_gpu else (image,),
            batch_axis="batch",
            max_batch_size=4,
            instances=instances,
        ),
        replicas=replicas,
        latency=tuple(LatencyTarget(percentile=p, limit_s=limit) for p, limit in limits_s.items()),
        traffic=Traffic(
            arrival=arrival or PoissonArrival(),
            rate_rps=rate_rps / 2,
            peak_rps=rate_rps * replicas,
            hourly=None,
            axes={"sequence": AxisDistribution(percentiles={50.0: 8, 90.0: 12}, maximum=16)} if is_gpu else {},
        ),
        predicted_s={
            label: Interval(value=seconds, low=0.8 * seconds, high=1.3 * seconds)
            for label, seconds in (("mean", 0.006), ("p50", 0.005), ("p90", 0.008), ("p95", 0.009), ("p99", 0.012))
        },
        service_time=ServiceTimeCurve(seconds=tuple(map(Interval.exact, service_s)), basis=Basis.ANALYTIC),
    )


def write_bundle(folder: Path, each: ValidationContract) -> Path:
    """A bundle with this contract: of the Fashion-MNIST model for the CPU, or of a GPU engine that is not there."""
    model = folder / "model_repository" / each.model.name
    (model / "1").mkdir(parents=True)
    if each.model.engine_kind == "onnxruntime":
        shutil.copy(RESNET, model / "1" / "model.onnx")
        (model / "config.pbtxt").write_text(_CPU_CONFIG)
    else:
        (model / "1" / "model.plan").write_bytes(b"an engine for another machine")
        (model / "config.pbtxt").write_text(_GPU_CONFIG.format(name=each.model.name, instances=each.model.instances))
    (folder / CONTRACT_NAME).write_bytes(to_json(each))
    return folder
