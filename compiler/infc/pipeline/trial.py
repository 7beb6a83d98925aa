"""One way to lower the planned precision, and what came of it: lowered, tested, built, tested again where it runs."""

import contextlib
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import Diagnostic, has_errors
from infc.ir.accuracy import EMULATED, LOWERED, AccuracyEvidence, Verdict
from infc.ir.engine import AnyEngine, Engine, LoweredModel
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, Problem
from infc.ir.spec.accuracy import PYTHON_METRIC_PREFIX
from infc.lower.arrays import Calibration
from infc.lower.lowering import lower
from infc.lower.settings import LoweringSettings
from infc.pipeline.engines import build_planned, planned_hardware
from infc.pipeline.workshop import Workshop
from infc.plan.evidence import is_for
from infc.resolve.accuracy_json import accuracy_from_text, text_from_accuracy
from infc.resolve.atomic_write import write_text_atomically
from infc.validate.accuracy import MeasureOptions, measure

NOT_HERE = "accuracy-needs-gpu"
_VERSION = 2
"""Raise it when the test gives other evidence for the same recipe and data."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A recipe and what came of it. `measured` is the evidence of every subject that was tested, the last decides."""

    lowered: LoweredModel | None = None
    engine: AnyEngine | None = None
    measured: tuple[AccuracyEvidence, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def evidence(self) -> AccuracyEvidence | None:
        """The evidence that decides."""
        return self.measured[-1] if self.measured else None

    @property
    def built(self) -> Engine | None:
        """The engine, where it was built here."""
        return self.engine if isinstance(self.engine, Engine) else None

    @property
    def holds(self) -> bool:
        """Whether nothing was found against it so far."""
        is_kept = all(evidence.verdict is Verdict.PASS for evidence in self.measured)
        return self.lowered is not None and is_kept and not has_errors(self.diagnostics)

    @property
    def is_accepted(self) -> bool:
        """Whether there is an engine, and all evidence passes."""
        return self.engine is not None and self.holds


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where recipes of one planned precision are tried."""

    problem: Problem
    plan: Plan
    shop: Workshop
    calibration: Calibration | None

    @property
    def precision(self) -> Precision:
        """The planned precision."""
        return self.plan.candidate.precision

    @property
    def is_cpu(self) -> bool:
        """Whether the device is a CPU, whose engine is what is tested."""
        return planned_hardware(self.problem, self.plan).kind == "cpu"

    def look(self, settings: LoweringSettings) -> Trial:
        """Lower and test: on the CPU the built engine, for a GPU the lowered model (`finish` builds)."""
        lowered, problems = lower(
            self.shop.source,
            self.problem.model,
            self.precision,
            self.calibration,
            settings,
            self.shop.cache / "lowered",
        )
        trial = Trial(lowered=lowered, diagnostics=problems)
        if lowered is None:
            return trial
        if self.is_cpu:
            trial = self._built(trial, lowered)
            engine = trial.engine
            if not isinstance(engine, Engine):
                return trial
            tested = self._tested(trial, engine, settings.kept)
            return self._tested(tested, lowered, settings.kept) if _is_not_here(tested) else tested
        return self._tested(trial, lowered, settings.kept)

    def finish(self, trial: Trial) -> Trial:
        """Build the engine of a recipe that holds, and test the engine itself where it can run."""
        if trial.lowered is None or trial.engine is not None or not trial.holds:
            return trial
        built = self._built(trial, trial.lowered)
        if not isinstance(built.engine, Engine) or trial.evidence is None:
            return built
        tested = self._tested(built, built.engine, trial.evidence.kept)
        if _is_not_here(tested):
            self.shop.announce(f"the {built.engine.kind} engine cannot run here: the lowered model speaks for it")
            kept = tuple(diagnostic for diagnostic in tested.diagnostics if diagnostic.id != NOT_HERE)
            tested = replace(tested, diagnostics=kept)
        if self.shop.is_read_only and tested.holds and tested.evidence not in self.problem.evidence:
            return replace(tested, measured=trial.measured)  # what the lock says was tested, and the engine holds, too
        return replace(tested, measured=tuple(replace(e, search=trial.evidence.search) for e in tested.measured))

    def measure_options(self, kept: tuple[str, ...] = ()) -> MeasureOptions:
        """How the spec's dataset is measured on."""
        goal = self.problem.accuracy
        return MeasureOptions(
            is_calibration_source=self.shop.spec.quantization.calibration is None,
            allow_code=self.shop.allow_code,
            code_root=self.shop.loaded.writer("accuracy.metric").parent,
            shown_as=goal.dataset if goal is not None else None,
            cache=self.shop.cache / "reference",
            kept=kept,
        )

    def _built(self, trial: Trial, lowered: LoweredModel) -> Trial:
        engine, problems = build_planned(
            self.problem, self.plan, lowered, self.shop.engines, promised_key=self.shop.promised_key
        )
        return replace(trial, engine=engine, diagnostics=(*trial.diagnostics, *problems))

    def _tested(self, trial: Trial, subject: LoweredModel | Engine, kept: tuple[str, ...]) -> Trial:
        goal = self.problem.accuracy
        if goal is None:
            return trial
        evidence, problems = self._evidence(subject, goal, kept)
        return replace(
            trial,
            measured=trial.measured if evidence is None else (*trial.measured, evidence),
            diagnostics=(*trial.diagnostics, *problems),
        )

    def _evidence(
        self, subject: LoweredModel | Engine, goal: AccuracyGoal, kept: tuple[str, ...]
    ) -> tuple[AccuracyEvidence | None, tuple[Diagnostic, ...]]:
        """The accuracy test; what is known already of the same recipe, data and goal is not measured again."""
        subjects = (subject.kind,) if isinstance(subject, Engine) else (LOWERED, EMULATED)
        for known in self.problem.evidence:
            identity = (known.recipe_digest, known.precision, known.metric)
            is_same = identity == (subject.recipe_digest, subject.precision, goal.metric)
            if is_same and known.subject in subjects and is_for(known, goal):
                self.shop.announce(f"accuracy of {subject.precision.value} is known: {known.verdict.value}")
                return known, ()
        dataset = self.shop.loaded.file(goal.dataset)
        options = self.measure_options(kept)
        path = self.shop.cache / "trials" / f"{_trial_name(subject, dataset, goal, options)}.json"
        is_repeatable = not goal.metric.startswith(PYTHON_METRIC_PREFIX)  # the user's code may change
        cached = _read(path) if is_repeatable else None
        if cached is not None:
            return cached, ()
        evidence, problems = measure(
            self.shop.source,
            subject,
            dataset,
            goal,
            model=self.problem.model,
            options=options,
            progress=self.shop.progress,
        )
        if evidence is not None and is_repeatable:
            with contextlib.suppress(OSError):  # a read-only workspace: the next compile measures again
                write_text_atomically(path, text_from_accuracy(evidence))
        return evidence, problems


def _is_not_here(trial: Trial) -> bool:
    """Whether the engine could not run on this machine."""
    return any(diagnostic.id == NOT_HERE for diagnostic in trial.diagnostics)


def _trial_name(subject: LoweredModel | Engine, dataset: Path, goal: AccuracyGoal, options: MeasureOptions) -> str:
    """Names everything that decides the evidence."""
    try:
        with dataset.open("rb") as file:
            data = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        data = ""
    identity = {
        "recipe": subject.recipe_digest,
        "engine": [subject.kind, subject.digest] if isinstance(subject, Engine) else None,
        "data": data,
        "goal": [goal.metric, goal.floor, goal.max_drop, goal.max_slice_drop, goal.confidence],
        "calibrates": options.is_calibration_source,
        "version": _VERSION,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> AccuracyEvidence | None:
    try:
        return accuracy_from_text(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
