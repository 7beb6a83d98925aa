"""Rules about `accuracy` and `quantization`: bounds that mean something, and data and metrics that fit the model."""

from collections.abc import Iterator

from infc.ir.spec import OnnxModel, Spec
from infc.ir.spec.accuracy import OUTPUT_METRICS, PYTHON_METRIC_PREFIX, TEXT_METRICS
from infc.spec.findings import Finding

_SIGNED_METRICS = frozenset({"cosine", "spearman", "pearson"})
_CALIBRATED = frozenset({"int8", "fp8", "fp4"})


def accuracy_has_a_bound(spec: Spec) -> Iterator[Finding]:
    """An accuracy goal says what is enough, within what its metric can be."""
    goal = spec.accuracy
    if goal is None:
        return
    if goal.floor is None and goal.max_drop is None and goal.max_slice_drop is None:
        yield Finding(
            id="spec-accuracy-bound",
            paths=("accuracy",),
            message="the accuracy goal has no bound",
            label="has no `floor`, `max_drop` or `max_slice_drop`",
            help="add `max_drop: 1%`, or a floor such as `floor: 0.80`",
            is_about_key=True,
        )
    if goal.floor is not None and not goal.metric.startswith(PYTHON_METRIC_PREFIX):
        yield from _floor_in_range(goal.metric, goal.floor)
    if not 0.5 <= goal.confidence < 1:
        yield Finding(
            id="spec-range",
            paths=("accuracy.confidence",),
            message="the confidence of a verdict is from 50% to below 100%",
            help="write 95%",
        )


def _floor_in_range(metric: str, floor: float) -> Iterator[Finding]:
    paths = ("accuracy.floor", "accuracy.metric")
    if metric == "perplexity":
        if floor < 1:
            yield Finding(
                id="spec-range",
                paths=paths,
                message=f"perplexity is never {floor:g}",
                label="perplexity is at least 1 and less is better: this is the highest that will do",
                help="write the highest perplexity that is acceptable, such as 12.5, or only `max_drop: 1%`",
            )
        return
    low = -1.0 if metric in _SIGNED_METRICS else 0.0
    if not low <= floor <= 1:
        yield Finding(
            id="spec-range",
            paths=paths,
            message=f"{metric} is never {floor:g}",
            label=f"{metric} is from {low:g} to 1",
            help=f"write {floor:g}% for a percentage" if 1 < floor <= 100 else f"write a number from {low:g} to 1",
        )


def metric_fits_the_model(spec: Spec) -> Iterator[Finding]:
    """Text is scored by perplexity or exact match, arrays by everything else."""
    if spec.accuracy is None:
        return
    metric = spec.accuracy.metric
    if isinstance(spec.model, OnnxModel):
        if metric in TEXT_METRICS:
            yield _mismatch("accuracy.metric", f"{metric} is for language models", f"write {'|'.join(OUTPUT_METRICS)}")
    elif metric not in TEXT_METRICS:
        message = f"{metric} is for ONNX models; this one generates tokens"
        help = "write perplexity (rows of {text}) or exact_match (rows of {prompt, answer}), with a .jsonl dataset"
        yield _mismatch("accuracy.metric", message, help)


def quantization_has_data(spec: Spec) -> Iterator[Finding]:
    """A spec that allows only quantised precisions needs data to find their scales."""
    allowed = spec.constraints.precision or ()
    is_onnx = isinstance(spec.model, OnnxModel)
    has_data = spec.quantization.calibration is not None or (is_onnx and spec.accuracy is not None)
    needing = _CALIBRATED if is_onnx else frozenset({"fp4"})
    if allowed and not has_data and all(p in needing for p in allowed):
        data = "data/inputs.npz}` or an accuracy dataset" if is_onnx else "data/texts.jsonl}`"
        yield Finding(
            id="spec-calibration-missing",
            paths=("constraints.precision", "quantization", "accuracy"),
            message=f"{', '.join(allowed)} cannot be calibrated: the spec names no data",
            help=f"add `quantization: {{calibration: {data}, or allow {'fp16' if is_onnx else 'fp8'}",
        )


def quantization_fits_the_model(spec: Spec) -> Iterator[Finding]:
    """Histograms are for ONNX models, sequences for language models."""
    written = spec.quantization.model_fields_set
    if isinstance(spec.model, OnnxModel):
        if "sequence_length" in written:
            what = "`sequence_length` is for language models"
            yield _mismatch("quantization.sequence_length", what, "remove it", is_about_key=True)
        return
    calibration = spec.quantization.calibration
    if calibration is not None and spec.accuracy is not None and calibration == spec.accuracy.dataset:
        yield Finding(
            id="spec-calibration-tested",
            paths=("quantization.calibration", "accuracy.dataset"),
            message="the texts that calibrate are those that the accuracy is measured on",
            help="name other texts of the same kind",
        )
    if "method" in written:
        what = "`method` is for ONNX models: language models are quantised by llm-compressor, as their precision needs"
        yield _mismatch("quantization.method", what, "remove it", is_about_key=True)


def _mismatch(path: str, message: str, help: str, *, is_about_key: bool = False) -> Finding:
    return Finding(
        id="spec-model-mismatch", paths=(path, "model"), message=message, help=help, is_about_key=is_about_key
    )
