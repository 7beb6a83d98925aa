"""Problems for the planner's tests: a convolutional network and devices with figures of real ones."""

from collections.abc import Mapping
from dataclasses import replace

from infc.ir.arrival import PoissonArrival
from infc.ir.expression import AxisExpression, Monomial
from infc.ir.hardware import Hardware
from infc.ir.model_profile import ModelProfile, OperatorClass, OperatorProfile, TensorSpec
from infc.ir.precision import Precision
from infc.ir.price import Price
from infc.ir.problem import HardwareOption, LatencyTarget, Limits, Origin, Problem, Traffic


def per_item(value: float) -> AxisExpression:
    """`value` times the batch."""
    return AxisExpression(terms=(Monomial(coefficient=value, factors=("batch",)),))


def network(layers: int = 50, gflops: float = 8.0, million_parameters: float = 25.0) -> ModelProfile:
    """A chain of equal convolutions on 224x224 images, of about the work of a ResNet-50."""
    operators = tuple(
        OperatorProfile(
            name=f"conv{index}",
            op_type="Conv",
            operator_class=OperatorClass.CONV,
            fusion_group=index,
            flops=per_item(gflops * 1e9 / layers),
            weight_elements=round(million_parameters * 1e6 / layers),
            input_elements=per_item(200_000.0),
            output_elements=per_item(200_000.0),
            external_input_elements=per_item(200_000.0),
            is_group_output=True,
        )
        for index in range(layers)
    )
    return ModelProfile(
        name="network",
        digest="sha256:" + "1" * 64,
        format="onnx",
        opset=18,
        inputs=(TensorSpec(name="input", dtype="float32", shape=("batch", 3, 224, 224)),),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=("batch", 1000)),),
        batch_axis="batch",
        fixed_batch=None,
        axes=(),
        parameter_elements=round(million_parameters * 1e6),
        weight_bytes=round(million_parameters * 4e6),
        peak_activation_elements=per_item(1_500_000.0),
        operators=operators,
    )


def gpu(
    id: str,
    *,
    fp16_tflops: float,
    bandwidth_gb: float,
    memory_gb: float,
    tdp_w: float,
    architecture: str = "Ada Lovelace",
    capability: str = "8.9",
    has_int8: bool = True,
) -> Hardware:
    """A GPU with twice its FP16 peak at INT8."""
    peaks = {Precision.FP32: fp16_tflops * 1e12 / 4, Precision.FP16: fp16_tflops * 1e12}
    if has_int8:
        peaks[Precision.INT8] = fp16_tflops * 2e12
    return Hardware(
        id=id,
        name=id.upper(),
        vendor="NVIDIA",
        kind="gpu",
        architecture=architecture,
        compute_capability=capability,
        memory_bytes=memory_gb * 1e9,
        memory_bandwidth_bytes_per_s=bandwidth_gb * 1e9,
        peak_flops=peaks,
        l2_bytes=None,
        sm_count=None,
        boost_clock_hz=2.0e9,
        tdp_w=tdp_w,
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


def priced(hardware: Hardware, usd_per_hour: float | None) -> HardwareOption:
    """The device with an on-demand price, or without one."""
    if usd_per_hour is None:
        return HardwareOption(hardware=hardware, price=None)
    price = Price(
        provider="test",
        hardware_id=hardware.id,
        sku=f"{hardware.id}.small",
        region="any",
        commitment="on-demand",
        usd_per_hour=usd_per_hour,
        accelerators_per_unit=1,
        date="2026-09-25",
        source="test",
    )
    return HardwareOption(hardware=hardware, price=price)


T4 = gpu("t4", fp16_tflops=65, bandwidth_gb=320, memory_gb=16, tdp_w=70, architecture="Turing", capability="7.5")
L4 = gpu("l4", fp16_tflops=121, bandwidth_gb=300, memory_gb=24, tdp_w=72)
L40S = gpu("l40s", fp16_tflops=362, bandwidth_gb=864, memory_gb=48, tdp_w=350)
H100 = gpu("h100", fp16_tflops=989, bandwidth_gb=3352, memory_gb=80, tdp_w=700, architecture="Hopper", capability="9.0")
OPTIONS = (priced(T4, 0.53), priced(L4, 0.81), priced(L40S, 1.86), priced(H100, 3.9))

LIMITS = Limits(
    precisions=(Precision.FP16, Precision.INT8),
    max_accelerators=None,
    max_usd_per_hour=None,
    max_power_w=None,
    redundancy=0,
)


def problem(
    *,
    p99_ms: float = 30.0,
    peak_rps: float = 400.0,
    options: tuple[HardwareOption, ...] = OPTIONS,
    limits: Limits = LIMITS,
    model: ModelProfile | None = None,
    **changes: object,
) -> Problem:
    """A feasible problem unless its arguments make it infeasible; `changes` replace fields of `Problem`."""
    base = Problem(
        name="test",
        spec_path="test.infc.yaml",
        model=network() if model is None else model,
        latency=(LatencyTarget(percentile=99.0, limit_s=p99_ms / 1e3),),
        availability=None,
        accuracy=None,
        traffic=Traffic(arrival=PoissonArrival(), rate_rps=peak_rps / 2, peak_rps=peak_rps, hourly=None, axes={}),
        limits=limits,
        objective="cost",
        options=options,
        server="auto",
        measurements=(),
        evidence=(),
        origins=_ORIGINS,
        spans={},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


_ORIGINS: Mapping[str, Origin] = {"constraints.precision": Origin.DEFAULT, "workload.peak": Origin.USER}
