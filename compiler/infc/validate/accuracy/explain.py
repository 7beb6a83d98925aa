"""What is said of evidence that does not pass, and of a part of the data that loses more than the whole."""

from collections.abc import Iterator

from infc.diag import Diagnostic, Severity
from infc.ir.accuracy import AccuracyEvidence, SliceDelta, Verdict, is_lower_better

SHOWN = 3


def said_of(evidence: AccuracyEvidence) -> tuple[Diagnostic, ...]:
    """What the user should know of evidence: why it does not pass, or which part of the data loses most."""
    warning = slice_warning(evidence) if evidence.verdict is Verdict.PASS else explained(evidence)
    return () if warning is None else (warning,)


def explained(evidence: AccuracyEvidence) -> Diagnostic:
    """The warning of a verdict other than pass: the numbers, the goal, and the samples that would settle it."""
    notes = tuple(_notes(evidence))
    if evidence.verdict is Verdict.FAIL:
        return Diagnostic(
            id="accuracy-below-goal",
            severity=Severity.WARNING,
            message=f"{evidence.precision.value} does not keep the accuracy that the spec asks for",
            notes=notes,
            help="infc takes the next precision; to keep this one, relax the bounds of `accuracy`",
        )
    more = f"about {evidence.samples_needed} samples would settle it" if evidence.samples_needed else None
    return Diagnostic(
        id="accuracy-inconclusive",
        severity=Severity.WARNING,
        message=f"the data does not settle whether {evidence.precision.value} keeps the accuracy the spec asks for",
        notes=(*notes, *([more] if more else [])),
        help="add labelled samples, or move the goal away from the measured value",
    )


def slice_warning(evidence: AccuracyEvidence) -> Diagnostic | None:
    """The warning that some part of the data loses clearly more than all of it; None when none does.

    Clearly: the low bound of its drop, corrected for the number of parts, is above the high bound of the whole.
    """
    worse = losing_more(evidence)
    if not worse:
        return None
    listed = [slice_words(part, _loss(evidence)) for part in worse[:SHOWN]]
    return Diagnostic(
        id="accuracy-slice-drop",
        severity=Severity.WARNING,
        message=f"{evidence.precision.value} loses clearly more on {worse[0].name} than on the whole data",
        notes=(
            *listed,
            f"the whole: {_loss(evidence)} {evidence.drop.value:.2%}, at most {evidence.drop.high:.2%}",
        ),
        help="set accuracy.max_slice_drop to bound every part of the data on its own",
    )


def losing_more(evidence: AccuracyEvidence) -> tuple[SliceDelta, ...]:
    """Parts of the data that lose clearly more than the whole."""
    return tuple(part for part in evidence.slices if part.drop.low > max(evidence.drop.high, 0.0))


def slice_words(part: SliceDelta, loss: str = "drop") -> str:
    """`class 6: 0.7120 of 0.7880 (200 samples), drop 9.64% (1.20% to 14.10%)`."""
    return (
        f"{part.name}: {part.value:.4f} of {part.reference:.4f} ({part.samples} samples), "
        f"{loss} {part.drop.value:.2%} ({part.drop.low:.2%} to {part.drop.high:.2%})"
    )


def _loss(evidence: AccuracyEvidence) -> str:
    """What a worse metric does."""
    return "rise" if is_lower_better(evidence.metric) else "drop"


def _notes(evidence: AccuracyEvidence) -> Iterator[str]:
    value, drop = evidence.value, evidence.drop
    yield (
        f"{evidence.metric} {value.value:.4f} ({value.low:.4f} to {value.high:.4f}), "
        f"reference {evidence.reference:.4f}, {evidence.samples} samples, {evidence.confidence:.0%} confidence"
    )
    if evidence.floor is not None:
        yield (
            f"at most {evidence.floor:g} is asked for"
            if is_lower_better(evidence.metric)
            else f"floor {evidence.floor:g}"
        )
    if evidence.max_drop is not None:
        yield f"{_loss(evidence)} {drop.value:.2%} ({drop.low:.2%} to {drop.high:.2%}), limit {evidence.max_drop:.2%}"
    if evidence.max_slice_drop is not None:
        over = [part for part in evidence.slices if part.drop.high > evidence.max_slice_drop]
        of_all = f"of {evidence.slices_judged} parts of the data"
        yield from (
            f"{slice_words(part, _loss(evidence))}, limit {evidence.max_slice_drop:.2%} {of_all}"
            for part in over[:SHOWN]
        )
        if not evidence.slices:
            yield "the data has no parts to judge: no classes, no array `slices`, and inputs of one size"
