"""From a decision on a language model to an accepted checkpoint: quantise, test, plan again where that fails."""

from dataclasses import dataclass, replace

from infc.diag import Diagnostic, Severity, has_errors
from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.checkpoint import Checkpoint
from infc.ir.plan import Infeasible, Plan
from infc.ir.problem import AccuracyGoal, LlmProblem
from infc.pipeline.checkpoints import placed, source_checkpoint
from infc.pipeline.settle import known_evidence, planned_again, refused
from infc.pipeline.settled import SettledLlm, Unsettled
from infc.pipeline.workshop import Workshop
from infc.plan.evidence import is_for
from infc.plan.llm.fleet import chosen_model


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """A planned precision and what came of it."""

    checkpoint: Checkpoint | None = None
    evidence: AccuracyEvidence | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether there is a checkpoint, and nothing speaks against it."""
        return self.checkpoint is not None and (self.evidence is None or self.evidence.verdict is Verdict.PASS)

    def is_news(self, problem: LlmProblem) -> bool:
        """Whether the plan was made without knowing what was found: then it is made again."""
        return not self.is_accepted or (self.evidence is not None and self.evidence not in problem.evidence)


def settle_llm(
    problem: LlmProblem, plan: Plan, shop: Workshop, models: tuple[LlmProblem, ...] = ()
) -> SettledLlm | Unsettled:
    """Take the plan to an accepted checkpoint, planning again without a precision that does not keep its accuracy.

    As for an engine: evidence is stored as soon as it is there, and compiling again changes nothing. `problem` is that
    of the model that was chosen, `models` are those of all that the spec names, where it names several.
    """
    notes: list[Diagnostic] = []
    while True:
        attempt = _attempt(problem, plan, shop)
        if has_errors(attempt.diagnostics):
            return Unsettled(problem=problem, decision=plan, verdict=None, diagnostics=attempt.diagnostics)
        notes += [d for d in attempt.diagnostics if d.severity is not Severity.ERROR and d not in notes]
        decision = plan
        if attempt.is_news(problem):
            measured = () if attempt.evidence is None else (attempt.evidence,)
            problem = replace(problem, evidence=known_evidence(problem, measured, shop))
            models = tuple(problem if each.source == problem.source else each for each in models or (problem,))
            family = replace(models[0], alternatives=models[1:])
            again = planned_again(family, plan, shop, is_accepted=attempt.is_accepted)
            if isinstance(again, Infeasible):
                return refused(models, again, notes)
            decision, problem = again, chosen_model(family, again)
        if decision.candidate == plan.candidate and attempt.checkpoint is not None:
            return SettledLlm(
                problem=problem,
                plan=decision,
                checkpoint=attempt.checkpoint,
                evidence=attempt.evidence,
                diagnostics=tuple(notes),
            )
        plan = decision


def _attempt(problem: LlmProblem, plan: Plan, shop: Workshop) -> _Attempt:
    """The checkpoint in the planned precision, held against the accuracy goal where it was quantised here."""
    from infc.lower.llm import lower_checkpoint, quantization_settings

    source, problems = source_checkpoint(shop.loaded, problem)
    if source is None:
        return _Attempt(diagnostics=problems)
    settings = quantization_settings(shop.loaded)
    folder = shop.cache / "checkpoints"
    lowered, more = lower_checkpoint(source, problem, plan, settings, folder, shop.announce)
    problems = (*problems, *placed(more, shop.loaded))
    if lowered is None or not lowered.recipe_digest or problem.accuracy is None or has_errors(problems):
        return _Attempt(checkpoint=lowered, diagnostics=problems)
    evidence, more = _judged(problem, source, lowered, problem.accuracy, shop)
    return _Attempt(checkpoint=lowered, evidence=evidence, diagnostics=(*problems, *placed(more, shop.loaded)))


def _judged(
    problem: LlmProblem, source: Checkpoint, lowered: Checkpoint, goal: AccuracyGoal, shop: Workshop
) -> tuple[AccuracyEvidence | None, tuple[Diagnostic, ...]]:
    """What the paired test says of a quantised checkpoint; what is known already is not measured again."""
    from infc.validate.llm_accuracy import judge_checkpoint

    known = _known(problem, lowered, goal)
    if known is not None:
        shop.announce(f"accuracy of {lowered.precision.value} is known: {known.verdict.value}")
        return known, ()
    evidence, problems = judge_checkpoint(
        problem,
        source,
        lowered,
        goal,
        shop.loaded.file(goal.dataset),
        cache=shop.cache / "answers",
        progress=shop.progress,
    )
    if evidence is not None and not shop.is_read_only:
        shop.store.add_accuracy(evidence)
    return evidence, problems


def _known(problem: LlmProblem, lowered: Checkpoint, goal: AccuracyGoal) -> AccuracyEvidence | None:
    """Stored evidence on the same recipe, data and goal."""
    for known in problem.evidence:
        identity = (known.recipe_digest, known.precision, known.metric)
        if identity == (lowered.recipe_digest, lowered.precision, goal.metric) and is_for(known, goal):
            return known
    return None
