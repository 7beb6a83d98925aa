"""`accuracy` and `quantization`: what the lowered model must keep, and how it is quantised."""

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from infc.ir.spec.base import Fraction, RelativePath, Score, SpecModel, custom_error
from infc.ir.spec.names import is_function_reference

OutputMetric: TypeAlias = Literal["top1", "top5", "f1", "map", "cosine", "spearman", "pearson"]
TextMetric: TypeAlias = Literal["perplexity", "exact_match"]
OUTPUT_METRICS: tuple[str, ...] = get_args(OutputMetric)
"""Of ONNX models, on arrays (.npz)."""
TEXT_METRICS: tuple[str, ...] = get_args(TextMetric)
"""Of language models, on rows of text (.jsonl)."""
METRICS = OUTPUT_METRICS + TEXT_METRICS
PYTHON_METRIC_PREFIX = "python:"
_FUNCTION_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"


def _metric(value: object) -> object:
    reference = value.get("python") if isinstance(value, dict) and list(value) == ["python"] else None
    if isinstance(value, str) and value.startswith(PYTHON_METRIC_PREFIX):
        reference = value[len(PYTHON_METRIC_PREFIX) :].strip()
    if reference is not None:
        if isinstance(reference, str) and is_function_reference(reference):
            return PYTHON_METRIC_PREFIX + reference
        raise custom_error(
            "spec-metric",
            "a Python metric is named package.module:function",
            help="write {python: metrics.custom:recall_at_10}",
        )
    if isinstance(value, str) and value not in METRICS:
        raise custom_error("spec-unknown-value", f"unknown metric `{value[:40]}`", help="|".join(METRICS))
    return value


Metric: TypeAlias = Annotated[
    str,
    BeforeValidator(_metric),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(METRICS)},
                {
                    "type": "object",
                    "properties": {"python": {"type": "string", "pattern": _FUNCTION_PATTERN}},
                    "required": ["python"],
                    "additionalProperties": False,
                },
                {"type": "string", "pattern": "^python:" + _FUNCTION_PATTERN[1:]},
            ]
        }
    ),
]
"""A built-in metric, or `python:package.module:function` (runs only with --allow-code)."""


class AccuracySpec(SpecModel):
    """The accuracy that every lowered model must keep, as a paired test on labelled data."""

    dataset: RelativePath = Field(
        description="Labelled samples (.npz), relative to this spec: the model's inputs by name, and labels. For a "
        "language model rows of text (.jsonl): {text} for perplexity, {prompt, answer} for exact_match.",
        examples=["data/pairs.npz", "data/texts.jsonl"],
    )
    metric: Metric = Field(
        description="How outputs are scored against the labels; perplexity and exact_match are for language models.",
        examples=["top1", "spearman", "perplexity"],
    )
    floor: Score | None = Field(
        default=None,
        description="The lowest metric value that is acceptable; of perplexity, where less is better, the highest.",
    )
    max_drop: Fraction | None = Field(
        default=None,
        examples=["1%"],
        description="How far the metric may fall below the unquantised reference on the same data; how far perplexity "
        "may rise above it.",
    )
    max_slice_drop: Fraction | None = Field(
        default=None,
        examples=["5%"],
        description="How far the metric may fall on any part of the data: every class, or every value of the dataset's "
        "array (or field) `slices`, or every quarter by length or magnitude.",
    )
    confidence: Fraction = Field(default=0.95, description="Confidence of the verdict. Default: 95%.", examples=["95%"])


class QuantizationSpec(SpecModel):
    """How the scales of quantised precisions are found."""

    calibration: RelativePath | None = Field(
        default=None,
        description="Unlabelled samples (.npz) of the model's inputs. Default: the first samples of the dataset, "
        "which are then left out of the accuracy test. For a language model rows of {text} (.jsonl); without, scales "
        "are found from the weights alone.",
    )
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=256, description="Calibration samples to use at most."
    )
    sequence_length: Annotated[int, Field(ge=16, le=131_072)] = Field(
        default=2048, description="Tokens of a calibration text to use at most (language models)."
    )
    method: Literal["minmax", "entropy", "percentile"] = Field(
        default="minmax",
        description="How a tensor's range is taken from its calibration histogram (ONNX models).",
    )
