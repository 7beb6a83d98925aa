"""Engines that hold several precisions: operators left unquantised, and INT4 weights beside FP16 arithmetic."""

from dataclasses import replace

import pytest

from infc.ir.model_profile import ModelProfile, OperatorClass
from infc.ir.precision import Precision
from infc.perf import Unsupported, device_memory, kernel_work, service_time, unsupported_reason
from infc.perf.built import BuiltEngine, built_seconds
from tests.plan.problems import L4, T4, gpu, network, per_item

CONVOLUTIONS = network(gflops=40.0)
GEMMS = replace(
    CONVOLUTIONS,
    operators=tuple(replace(o, operator_class=OperatorClass.GEMM, op_type="MatMul") for o in CONVOLUTIONS.operators),
)
ALL = tuple(o.name for o in CONVOLUTIONS.operators)
CPU = replace(
    gpu("cpu", fp16_tflops=1, bandwidth_gb=80, memory_gb=64, tdp_w=150),
    kind="cpu",
    compute_capability=None,
    sm_count=8,
    peak_flops={Precision.FP32: 8e11, Precision.INT8: 3.2e12},
)


def seconds(model: ModelProfile, precision: Precision, batch: int, kept: tuple[str, ...] = ()) -> float:
    """Predicted seconds on an L4."""
    curve = service_time(model, L4, precision, {}, batch, work=kernel_work(model, {}, kept))
    assert not isinstance(curve, Unsupported)
    return curve.at(batch).value


def test_operators_left_unquantised_cost_what_they_cost_in_fp16() -> None:
    """None kept is INT8, all kept is FP16, half of them lies between."""
    int8, fp16 = seconds(CONVOLUTIONS, Precision.INT8, 32), seconds(CONVOLUTIONS, Precision.FP16, 32)
    half = seconds(CONVOLUTIONS, Precision.INT8, 32, ALL[::2])
    assert seconds(CONVOLUTIONS, Precision.INT8, 32, ALL) == pytest.approx(fp16)
    assert int8 < half < fp16
    assert half == pytest.approx((int8 + fp16) / 2, rel=0.02)


def test_kept_operators_keep_their_wider_weights() -> None:
    """Half of the weights in 16 bits, half in 8."""
    work = kernel_work(CONVOLUTIONS, {}, ALL[::2])
    assert device_memory(work, L4, Precision.INT8, 1, 1).weights_bytes == pytest.approx(25e6 * 1.5)


def test_an_unquantised_engine_keeps_nothing() -> None:
    """Exceptions of INT8 do not touch FP16 or FP32."""
    for precision in (Precision.FP16, Precision.FP32):
        assert seconds(CONVOLUTIONS, precision, 8, ALL) == seconds(CONVOLUTIONS, precision, 8)


def test_int4_reads_less_and_multiplies_slower_than_fp16() -> None:
    """Weight-only INT4 pays where weights are most of what is read, and costs where arithmetic is the limit."""
    large = network(layers=24, gflops=24 * 2 * 4096**2 / 1e9, million_parameters=24 * 4096**2 / 1e6)
    row = per_item(4096.0)
    gemms = replace(
        large,
        operators=tuple(
            replace(o, operator_class=OperatorClass.GEMM, output_elements=row, external_input_elements=row)
            for o in large.operators
        ),
    )
    assert seconds(gemms, Precision.INT4, 1) < 0.5 * seconds(gemms, Precision.FP16, 1)
    assert seconds(GEMMS, Precision.INT4, 64) > seconds(GEMMS, Precision.FP16, 64)
    assert device_memory(kernel_work(GEMMS, {}), L4, Precision.INT4, 1, 1).weights_bytes == pytest.approx(25e6 / 2)


def test_int4_is_refused_with_the_reason_where_it_is_nothing() -> None:
    """No matrix products, too old a GPU, or a CPU."""
    classes = (OperatorClass.GEMM,)
    assert unsupported_reason(L4, Precision.INT4, classes) is None
    assert "this model has none" in (unsupported_reason(L4, Precision.INT4, (OperatorClass.CONV,)) or "")
    assert "INT4 needs 8.0" in (unsupported_reason(T4, Precision.INT4, classes) or "")
    assert "makes INT4 weights for TensorRT" in (unsupported_reason(CPU, Precision.INT4, classes) or "")
    assert "it runs FP32 and INT8" in (unsupported_reason(CPU, Precision.FP8, classes) or "")
    assert "FP8 needs 8.9" in (unsupported_reason(T4, Precision.FP8, classes) or "")


def test_an_engine_that_moves_more_bytes_takes_longer() -> None:
    """Twice the bytes of memory-bound work take twice the time; more layers cost their launches."""
    work = kernel_work(network(gflops=0.05), {})
    lean = BuiltEngine(precision=Precision.FP16, batch=32, moved_bytes=1e9, layers=50)
    once, twice, split = (
        built_seconds(work, L4, None, engine, (32,))[0]
        for engine in (lean, replace(lean, moved_bytes=2e9), replace(lean, layers=100))
    )
    assert twice / once == pytest.approx(2.0, rel=0.15)
    assert once < split < twice
