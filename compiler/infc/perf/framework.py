"""How much longer other runtimes take than a TensorRT engine (on a CPU: than ONNX Runtime), at equal precision.

The performance model predicts TensorRT on a GPU and ONNX Runtime on a CPU; the others are predicted as a multiple of
that, from measured pairs. Every figure is printed and checked by benchmarks/framework_ratio.py.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import assert_never

from infc.ir.engine_kind import EngineKind
from infc.ir.interval import Interval

LARGE_BATCH = 8
"""From here on the device, not the launching of kernels, sets the framework's time."""
_EAGER = ((1.86, 1.88), (1.66, 1.49))
"""PyTorch without compilation: ratio and 90% factor of small and of large batches."""
_ONNXRUNTIME_CUDA = ((1.90, 1.27), (1.73, 1.26))
_ONNXRUNTIME_TENSORRT = ((1.03, 1.10), (0.98, 1.07))
_COMPILED = (0.63, 1.67)
"""torch.compile's time over that of PyTorch without it, at batches of hundreds."""
_TORCH_ON_CPU = (1.76, 1.51)


def framework_ratio(batch_size: int) -> Interval:
    """PyTorch's time over TensorRT's for one execution of this batch, on a GPU, with its 90% interval (at least 1).

    Source: benchmarks/framework_ratio.py, fitted on 21 (small batches) and 13 (large ones) pairs of model and device:
    BERT and TFT under Triton on T4, A30, V100 and A100, YOLO11 on Jetson Orin.
    """
    ratio, spread = _of(_EAGER, batch_size)
    return Interval(value=ratio, low=max(1.0, ratio / spread), high=ratio * spread)


def engine_ratio(kind: EngineKind, batch_size: int, *, is_cpu: bool) -> Interval:
    """The time of one execution by a runtime over that of the one that the performance model predicts.

    On a GPU over TensorRT's, on a CPU over ONNX Runtime's; with its 90% interval.

    Source: benchmarks/framework_ratio.py. ONNX Runtime on GPUs: BERTs under Triton on T4, A30, V100 and A100, nothing
    on convolutions. torch.compile on a GPU, large batches: PyTorch over TensorRT as above, times what compilation saves
    in timm's vision models on GeForce and RTX PRO cards; small batches: PyTorch without compilation, which bounds it
    from above. torch.compile on a CPU: the example models on one machine (benchmarks/engines_cpu.py).

    >>> engine_ratio("tensorrt", 8, is_cpu=False)
    Interval(value=1.0, low=1.0, high=1.0)
    """
    match kind:
        case "tensorrt" | "tensorrt_rtx" | "onnxruntime":
            return Interval.exact(1.0)
        case "onnxruntime_cuda":
            return _interval(*_of(_ONNXRUNTIME_CUDA, batch_size))
        case "onnxruntime_tensorrt":
            return _interval(*_of(_ONNXRUNTIME_TENSORRT, batch_size))
        case "torch_inductor":
            if is_cpu:
                return _interval(*_TORCH_ON_CPU)
            if batch_size < LARGE_BATCH:
                return framework_ratio(batch_size)
            return product(_interval(*_EAGER[1]), _interval(*_COMPILED))
        case _:
            assert_never(kind)


def product(left: Interval, right: Interval) -> Interval:
    """The product of two uncertain figures; their errors are independent, so the log widths add in quadrature.

    >>> product(Interval(value=2.0, low=1.0, high=4.0), Interval.exact(3.0))
    Interval(value=6.0, low=3.0, high=12.0)
    """
    value = left.value * right.value
    down = math.hypot(math.log(left.value / left.low), math.log(right.value / right.low))
    up = math.hypot(math.log(left.high / left.value), math.log(right.high / right.value))
    return Interval(value=value, low=value / math.exp(down), high=value * math.exp(up))


def rising(seconds: Sequence[Interval]) -> tuple[Interval, ...]:
    """Times by batch size that never fall: ratios change at a batch, the time of an execution does not fall there.

    >>> rising([Interval.exact(2.0), Interval.exact(1.5)])[1].value
    2.0
    """
    ends = [tuple(accumulate((getattr(s, end) for s in seconds), max)) for end in ("value", "low", "high")]
    return tuple(Interval(value=value, low=low, high=high) for value, low, high in zip(*ends, strict=True))


def _of(figures: tuple[tuple[float, float], tuple[float, float]], batch_size: int) -> tuple[float, float]:
    return figures[batch_size >= LARGE_BATCH]


def _interval(ratio: float, spread: float) -> Interval:
    return Interval(value=ratio, low=ratio / spread, high=ratio * spread)
