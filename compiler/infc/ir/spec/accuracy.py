"""`accuracy` and `quantization`: what the lowered model must keep, and how it is quantised."""

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from infc.ir.spec.base import Fraction, RelativePath, Score, SpecModel, custom_error
from infc.ir.spec.names import is_function_reference

BuiltInMetric: TypeAlias = Literal["top1", "top5", "f1", "map", "cosine", "spearman", "pearson"]
METRICS: tuple[str, ...] = get_args(BuiltInMetric)
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
        description="Labelled samples (.npz), relative to this spec: the model's inputs by name, and labels.",
        examples=["data/pairs.npz"],
    )
    metric: Metric = Field(description="How outputs are scored against the labels.", examples=["top1", "spearman"])
    floor: Score | None = Field(default=None, description="The lowest metric value that is acceptable.")
    max_drop: Fraction | None = Field(
        default=None,
        examples=["1%"],
        description="How far the metric may fall below the unquantised reference on the same data.",
    )
    max_slice_drop: Fraction | None = Field(
        default=None,
        examples=["5%"],
        description="How far the metric may fall on any part of the data: every class, or every value of the dataset's "
        "array `slices`, or every quarter by length or magnitude.",
    )
    confidence: Fraction = Field(default=0.95, description="Confidence of the verdict. Default: 95%.", examples=["95%"])


class QuantizationSpec(SpecModel):
    """How INT8 and FP8 scales are found."""

    calibration: RelativePath | None = Field(
        default=None,
        description="Unlabelled samples (.npz) of the model's inputs. Default: the first samples of the dataset, "
        "which are then left out of the accuracy test.",
    )
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=256, description="Calibration samples to use at most."
    )
    method: Literal["minmax", "entropy", "percentile"] = Field(
        default="minmax", description="How a tensor's range is taken from its calibration histogram."
    )
