"""What was measured of a precision's accuracy: evidence that a plan may rest on."""

from dataclasses import dataclass
from enum import StrEnum

from infc.ir.interval import Interval
from infc.ir.precision import Precision


class Verdict(StrEnum):
    """Outcome of a test with a stated confidence."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class SliceDelta:
    """The metric on one part of the data: a class (`class 7`) or another slice (`group night`, `shortest quarter`).

    `value` and `reference` are those of the lowered model and the reference on its `samples`; `drop` is relative.
    """

    name: str
    samples: int
    reference: float
    value: float
    drop: Interval


@dataclass(frozen=True, kw_only=True)
class AccuracyEvidence:
    """A paired comparison of a lowered model (or built engine) with the unquantised reference on the same data.

    `value` is the metric of the lowered model and `drop` the reference minus it, relative to the reference (0.01 is
    1%), both with two-sided bounds at `confidence`. `samples_needed` is the size at which an inconclusive test is
    expected to settle. `subject` is "lowered" or the engine kind that ran. `kept` are the operators of the source model
    that were raised back to a higher precision, by name. `slices` are the parts of the data that lost most, worst
    first. Identity: model, recipe, dataset, metric.
    """

    model_digest: str
    precision: Precision
    recipe_digest: str
    subject: str
    dataset_digest: str
    metric: str
    samples: int
    confidence: float
    reference: float
    value: Interval
    drop: Interval
    floor: float | None
    max_drop: float | None
    verdict: Verdict
    samples_needed: int | None
    kept: tuple[str, ...] = ()
    slices: tuple[SliceDelta, ...] = ()
