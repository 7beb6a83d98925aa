"""How much longer the framework that a model was trained in takes than its compiled engine, at equal precision."""

from infc.ir.interval import Interval

LARGE_BATCH = 8
"""From here on the device, not the launching of kernels, sets the framework's time."""
_SMALL = (1.86, 1.88)
_LARGE = (1.66, 1.49)


def framework_ratio(batch_size: int) -> Interval:
    """PyTorch's time over TensorRT's for one execution of this batch, on a GPU, with its 90% interval (at least 1).

    Source: benchmarks/framework_ratio.py, fitted on 21 (small batches) and 13 (large ones) pairs of model and device:
    BERT and TFT under Triton on T4, A30, V100 and A100, YOLO11 on Jetson Orin.
    """
    ratio, spread = _LARGE if batch_size >= LARGE_BATCH else _SMALL
    return Interval(value=ratio, low=max(1.0, ratio / spread), high=ratio * spread)
