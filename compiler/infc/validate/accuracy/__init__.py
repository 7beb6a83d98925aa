"""The accuracy gate: a lowered model (or the built CPU engine) against the unquantised reference, on labelled samples.

`measure` gives evidence with bounds and a verdict; `gate` also says what to do about it.
"""

from dataclasses import dataclass
from pathlib import Path

from infc.build import onnxruntime_settings
from infc.diag import Diagnostic, Severity
from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.engine import Engine, LoweredModel
from infc.ir.model_profile import ModelProfile
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal
from infc.validate.accuracy.bootstrap import PairedIntervals
from infc.validate.accuracy.dataset import Dataset, check_classes, read_dataset
from infc.validate.accuracy.inference import Outputs, Progress, run_model
from infc.validate.accuracy.python_metric import PREFIX, load_metric
from infc.validate.accuracy.reference import reference_answers
from infc.validate.accuracy.scoring import Predictions, score
from infc.validate.accuracy.verdict import judge, samples_needed

__all__ = ["GateResult", "MeasureOptions", "gate", "measure"]

NEEDS_REWRITES_OFF = (Precision.INT8, Precision.FP8, Precision.INT4, Precision.FP4)


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """How to measure. `is_calibration_source`: the dataset's first samples calibrated, so they are left out.

    `allow_code` lets a `python:` metric run; its module is searched in `code_root` first. `shown_as` is the dataset's
    path as the user wrote it. `cache` is a folder where the reference's answers stay for the next precision.
    """

    is_calibration_source: bool = False
    allow_code: bool = False
    code_root: Path | None = None
    shown_as: str | None = None
    cache: Path | None = None


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """Evidence (None when it could not be had) and what the user should know; the verdict decides."""

    evidence: AccuracyEvidence | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict; inconclusive without evidence."""
        return self.evidence.verdict if self.evidence is not None else Verdict.INCONCLUSIVE


def measure(
    reference: Path,
    subject: LoweredModel | Engine,
    dataset: Path,
    goal: AccuracyGoal,
    *,
    model: ModelProfile,
    options: MeasureOptions | None = None,
    progress: Progress | None = None,
) -> tuple[AccuracyEvidence | None, tuple[Diagnostic, ...]]:
    """Run the FP32 reference and the subject over the dataset and compare them sample by sample.

    Everything runs on this CPU in ONNX Runtime. A lowered model with Q/DQ runs without graph rewrites, which corrupt
    some of them; an ONNX Runtime engine with exactly the settings of its server. TensorRT engines cannot run without
    their GPU: measure the lowered model they are built from. Same inputs, same evidence.
    """
    chosen = options or MeasureOptions()
    report = progress or _silent
    if isinstance(subject, Engine) and subject.kind != "onnxruntime":
        return None, (_needs_gpu(subject),)
    function = None
    if goal.metric.startswith(PREFIX):
        loaded = load_metric(goal.metric, allow_code=chosen.allow_code, code_root=chosen.code_root)
        if isinstance(loaded, Diagnostic):
            return None, (loaded,)
        function = loaded
    data, diagnostics = read_dataset(
        dataset, model, goal.metric, is_calibration_source=chosen.is_calibration_source, shown_as=chosen.shown_as
    )
    if data is None:
        return None, diagnostics
    answers = _answers(reference, subject, model, data, chosen, report)
    if isinstance(answers, Diagnostic):
        return None, (answers,)
    for predictions in answers:
        problem = check_classes(data, goal.metric, predictions.first, chosen.shown_as or dataset.name)
        if problem is not None:
            return None, (problem,)
    scored = score(goal.metric, function, answers[0], answers[1], data, model, goal.confidence)
    if isinstance(scored, Diagnostic):
        return None, (scored,)
    return _evidence(subject, model, data, goal, scored), ()


def _answers(
    reference: Path,
    subject: LoweredModel | Engine,
    model: ModelProfile,
    data: Dataset,
    options: MeasureOptions,
    report: Progress,
) -> tuple[Predictions, Predictions] | Diagnostic:
    """What the reference and the subject answer, in that order."""
    of_reference = reference_answers(
        model.digest,
        data,
        options.cache,
        lambda: _predict(reference, model, data, has_rewrites=True, report=report, what="the reference"),
    )
    if isinstance(of_reference, Diagnostic):
        return of_reference
    of_subject = _predict(
        subject.path, model, data, has_rewrites=_has_rewrites(subject), report=report, what=_subject_name(subject)
    )
    return of_subject if isinstance(of_subject, Diagnostic) else (of_reference, of_subject)


def _evidence(
    subject: LoweredModel | Engine, model: ModelProfile, data: Dataset, goal: AccuracyGoal, scored: PairedIntervals
) -> AccuracyEvidence:
    return AccuracyEvidence(
        model_digest=model.digest,
        precision=subject.precision,
        recipe_digest=subject.recipe_digest,
        subject=subject.kind if isinstance(subject, Engine) else "lowered",
        dataset_digest=data.digest,
        metric=goal.metric,
        samples=data.samples,
        confidence=goal.confidence,
        reference=scored.reference,
        value=scored.value,
        drop=scored.drop,
        floor=goal.floor,
        max_drop=goal.max_drop,
        verdict=judge(scored.value, scored.drop, floor=goal.floor, max_drop=goal.max_drop),
        samples_needed=samples_needed(
            scored.value,
            scored.drop,
            floor=goal.floor,
            max_drop=goal.max_drop,
            samples=data.samples,
            confidence=goal.confidence,
        ),
    )


def gate(
    reference: Path,
    subject: LoweredModel | Engine,
    dataset: Path,
    goal: AccuracyGoal,
    *,
    model: ModelProfile,
    options: MeasureOptions | None = None,
    progress: Progress | None = None,
) -> GateResult:
    """`measure`, with a warning that explains a verdict other than pass; the caller then tries the next settings."""
    evidence, diagnostics = measure(reference, subject, dataset, goal, model=model, options=options, progress=progress)
    if evidence is None or evidence.verdict is Verdict.PASS:
        return GateResult(evidence=evidence, diagnostics=diagnostics)
    return GateResult(evidence=evidence, diagnostics=(*diagnostics, _explained(evidence)))


def _predict(
    path: Path, model: ModelProfile, data: Dataset, *, has_rewrites: bool, report: Progress, what: str
) -> Predictions | Diagnostic:
    sides: list[Outputs] = []
    for inputs in data.sides:
        outputs = run_model(path, model, inputs, has_rewrites=has_rewrites, progress=report, what=what)
        if isinstance(outputs, Diagnostic):
            return outputs
        sides.append(outputs)
    return Predictions(sides=tuple(sides))


def _has_rewrites(subject: LoweredModel | Engine) -> bool:
    if isinstance(subject, Engine):
        return onnxruntime_settings(subject).has_rewrites
    return subject.precision not in NEEDS_REWRITES_OFF


def _subject_name(subject: LoweredModel | Engine) -> str:
    what = f"{subject.kind} engine" if isinstance(subject, Engine) else "lowered model"
    return f"the {subject.precision.value} {what}"


def _needs_gpu(engine: Engine) -> Diagnostic:
    return Diagnostic(
        id="accuracy-needs-gpu",
        severity=Severity.NOTE,
        message=f"the {engine.kind} engine for {engine.hardware_id} cannot run on this machine",
        notes=("the lowered model that it was built from is measured instead",),
        help=f"infc validate on a host with a {engine.hardware_id} measures the engine itself",
    )


def _explained(evidence: AccuracyEvidence) -> Diagnostic:
    value, drop = evidence.value, evidence.drop
    notes = [
        f"{evidence.metric} {value.value:.4f} ({value.low:.4f} to {value.high:.4f}), "
        f"reference {evidence.reference:.4f}, {evidence.samples} samples, {evidence.confidence:.0%} confidence"
    ]
    if evidence.floor is not None:
        notes.append(f"floor {evidence.floor:g}")
    if evidence.max_drop is not None:
        notes.append(f"drop {drop.value:.2%} ({drop.low:.2%} to {drop.high:.2%}), limit {evidence.max_drop:.2%}")
    if evidence.verdict is Verdict.FAIL:
        return Diagnostic(
            id="accuracy-below-goal",
            severity=Severity.WARNING,
            message=f"{evidence.precision.value} does not keep the accuracy that the spec asks for",
            notes=tuple(notes),
            help="infc takes the next precision; to keep this one, lower accuracy.floor or raise accuracy.max_drop",
        )
    more = f"about {evidence.samples_needed} samples would settle it" if evidence.samples_needed else None
    return Diagnostic(
        id="accuracy-inconclusive",
        severity=Severity.WARNING,
        message=f"the data does not settle whether {evidence.precision.value} keeps the accuracy the spec asks for",
        notes=(*notes, *([more] if more else [])),
        help="add labelled samples, or move the goal away from the measured value",
    )


def _silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
