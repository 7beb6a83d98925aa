"""Accuracy evidence as text: the verdict first, then what it rests on, the exceptions, and the parts that lose most."""

from collections.abc import Iterator

from infc.ir.accuracy import CHECKPOINT, LOWERED, AccuracyEvidence, PrecisionSearch, SliceDelta, Verdict
from infc.ir.precision import Precision
from infc.report.layout import Style

_COLORS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}
SHOWN_SLICES = 3
SHOWN_OPERATORS = 6


def accuracy_facts(evidence: AccuracyEvidence) -> Iterator[tuple[str, str]]:
    """What is said under `accuracy`, `exceptions`, `slices` and `outputs`, of those that there are.

    The first sentence begins with the verdict. The name is empty where a sentence goes on under the one before.
    """
    yield "accuracy", f"{evidence.verdict.value}: {_measured(evidence)}; {_goals(evidence)}; {_basis(evidence)}"
    if evidence.search is not None and evidence.kept:
        yield "exceptions", _exceptions(evidence, evidence.search)
        yield "", _looks(evidence.search)
    shown = [part for part in evidence.slices if part.drop.value > 0][:SHOWN_SLICES]
    for index, part in enumerate(shown):
        of_all = f" (worst of {evidence.slices_judged})" if index == 0 else ""
        yield "" if index else "slices", _slice(part) + of_all
    if evidence.errors is not None:
        yield "outputs", _errors(evidence)


def verdict_styled(words: str, verdict: Verdict, style: Style) -> str:
    """A sentence that begins with a verdict, the verdict in its color."""
    return words.replace(verdict.value, style(_COLORS[verdict], verdict.value), 1)


def _measured(evidence: AccuracyEvidence) -> str:
    value, drop = evidence.value, evidence.drop
    return (
        f"{evidence.metric} {value.value:.4f} ({value.low:.4f} .. {value.high:.4f}), "
        f"reference {evidence.reference:.4f}, drop {drop.value:.2%} ({drop.low:.2%} .. {drop.high:.2%})"
    )


def _goals(evidence: AccuracyEvidence) -> str:
    goals = []
    if evidence.floor is not None:
        goals.append(f"floor {evidence.floor:g}")
    if evidence.max_drop is not None:
        goals.append(f"drop at most {evidence.max_drop:.2%}")
    if evidence.max_slice_drop is not None:
        goals.append(f"on every slice at most {evidence.max_slice_drop:.2%}")
    return ", ".join(goals)


def _basis(evidence: AccuracyEvidence) -> str:
    needed = f" (about {evidence.samples_needed} would settle it)" if evidence.samples_needed else ""
    return (
        f"{evidence.samples} samples{needed}, {evidence.confidence:.0%} confidence, "
        f"measured on {subject_words(evidence.subject)}"
    )


def subject_words(subject: str) -> str:
    """What was run, in words.

    >>> subject_words("lowered"), subject_words("tensorrt")
    ('the lowered model', 'the tensorrt engine')
    >>> subject_words("lowered, 16-bit rounding emulated")
    'the lowered model, 16-bit rounding emulated'
    >>> subject_words("checkpoint, arithmetic emulated")
    'the checkpoint, arithmetic emulated'
    """
    if subject == CHECKPOINT:
        return f"the {subject}"
    if subject.startswith(LOWERED):
        return f"the {subject.replace(LOWERED, 'lowered model', 1)}"
    return f"the {subject} engine"


def _exceptions(evidence: AccuracyEvidence, search: PrecisionSearch) -> str:
    shares = [f"{each.name} ({each.error_share:.1%} of the error)" for each in search.raised[:SHOWN_OPERATORS]]
    more = len(search.raised) - len(shares)
    listed = ", ".join(shares) + (f" and {more} more" if more > 0 else "")
    higher = "a higher precision" if evidence.precision is not Precision.INT4 else "unquantised weights"
    return (
        f"{len(evidence.kept)} of {search.candidates} operators keep {higher}, "
        f"which leaves {search.left_error:.1%} of the output error: {listed}"
    )


def _looks(search: PrecisionSearch) -> str:
    steps = ", ".join(f"{look.raised} {look.verdict.value}" for look in search.looks)
    cut = "; the search ran out of time" if search.is_cut_short else ""
    return f"operators raised back, as tested: {steps}; sensitivity from {search.samples} calibration samples{cut}"


def _slice(part: SliceDelta) -> str:
    drop = part.drop
    return (
        f"{part.name}: {part.value:.4f} of {part.reference:.4f}, {part.samples} samples, "
        f"drop {drop.value:.2%} ({drop.low:.2%} .. {drop.high:.2%})"
    )


def _errors(evidence: AccuracyEvidence) -> str:
    errors = evidence.errors
    assert errors is not None  # noqa: S101 - asked only where there are some
    return (
        f"off by {errors.median:.2%} of their size in the median sample, {errors.p99:.2%} in the 99th percentile, "
        f"{errors.worst:.2%} in the worst (sample {errors.worst_sample})"
    )
