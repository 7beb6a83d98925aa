"""What was measured of a precision's accuracy: evidence that a plan may rest on."""

from dataclasses import dataclass
from enum import StrEnum

from infc.ir.interval import Interval
from infc.ir.precision import Precision

LOWER_IS_BETTER = frozenset({"perplexity"})


def is_lower_better(metric: str) -> bool:
    """Whether a metric counts errors: its drop is then a rise, and its floor the highest value that will do.

    >>> is_lower_better("perplexity"), is_lower_better("top1")
    (True, False)
    """
    return metric in LOWER_IS_BETTER


class Verdict(StrEnum):
    """Outcome of a test with a stated confidence."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class SliceDelta:
    """The metric on one part of the data: a class (`class 7`) or another slice (`slice night`, `length 3 to 5`).

    `value` and `reference` are those of the lowered model and the reference on its `samples`; `drop` is relative. Its
    low bound is corrected for the number of slices that were looked at, so that a slice which is said to lose does; its
    high bound needs no correction, because "no slice loses more" asks it of all of them (intersection-union test).
    """

    name: str
    samples: int
    reference: float
    value: float
    drop: Interval


@dataclass(frozen=True, kw_only=True)
class OutputErrors:
    """How far the outputs of single samples lie from the reference's, as shares of the reference's norm (0.01 is 1%).

    `worst_sample` is the position, counted from 0, among the samples of the test.
    """

    median: float
    p99: float
    worst: float
    worst_sample: int


@dataclass(frozen=True, kw_only=True)
class RaisedOperator:
    """An operator that was raised back, and the share of the output error that its quantisation alone causes."""

    name: str
    error_share: float


@dataclass(frozen=True, kw_only=True)
class SearchLook:
    """One recipe that the search held against the test data: how many operators it raised back, and what came of it."""

    raised: int
    value: Interval
    drop: Interval
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class PrecisionSearch:
    """How the exceptions of a quantised precision were found, or that none were good enough.

    `candidates` operators would be quantised; their sensitivity was measured on `samples` calibration samples.
    `raised` are those of the recipe (of the most careful one when nothing passed), most sensitive first. `looks` are
    the recipes that were tested, in their order, which was fixed beforehand. `left_error` is the share of the plain
    recipe's output error that the exceptions leave, on the calibration samples. `is_cut_short` when time ran out.
    """

    candidates: int
    samples: int
    raised: tuple[RaisedOperator, ...]
    left_error: float
    looks: tuple[SearchLook, ...]
    is_cut_short: bool = False


@dataclass(frozen=True, kw_only=True)
class AccuracyEvidence:
    """A paired comparison of a lowered model (or built engine) with the unquantised reference on the same data.

    `value` is the metric of the lowered model and `drop` the reference minus it, relative to the reference (0.01 is
    1%), both with two-sided bounds at `confidence`; where less is better (`is_lower_better`), `drop` is the rise
    and `floor` the highest value that will do. `samples_needed` is the size at which an inconclusive test is
    expected to settle. `subject` is "lowered", `EMULATED`, `CHECKPOINT` or the engine kind that ran. `kept` are the
    operators of the source model that were raised back to a higher precision, by name. `slices` are the parts of
    the data that lost most, worst first, of the `slices_judged` that there are. `search` is there when exceptions
    were looked for.
    Identity: model, recipe, subject, dataset, metric, goal.
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
    slices_judged: int = 0
    max_slice_drop: float | None = None
    errors: OutputErrors | None = None
    search: PrecisionSearch | None = None


CHECKPOINT = "checkpoint, arithmetic emulated"
"""The subject of evidence on a language model's quantised checkpoint: weights and activations are rounded as a server's
kernels round them, products are summed in wider formats."""
LOWERED = "lowered"
"""The subject of evidence on a lowered model whose arithmetic this CPU has."""
EMULATED = "lowered, 16-bit rounding emulated"
"""The subject of evidence on a lowered model whose 16-bit operators ran in FP32 and were rounded one by one."""
