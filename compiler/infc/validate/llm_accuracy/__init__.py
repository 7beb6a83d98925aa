"""The accuracy gate of language models: a quantised checkpoint against the unquantised one, on the same rows of text.

Both run in transformers, in the environment that has llm-compressor. What this machine's processor cannot compute is
emulated: weights and activations are rounded as the scheme says.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from infc.diag import Diagnostic, InternalError
from infc.ir.accuracy import CHECKPOINT, AccuracyEvidence
from infc.ir.checkpoint import Checkpoint
from infc.ir.problem import AccuracyGoal, LlmProblem
from infc.lower.llm import find_llmcompressor, weights_folder
from infc.validate.accuracy.explain import said_of
from infc.validate.accuracy.slices import judged_parts, parts_of_rows, reported
from infc.validate.accuracy.verdict import judge, samples_needed
from infc.validate.llm_accuracy.answers import LONGEST_TOKENS, Progress, Question, Subject, ask
from infc.validate.llm_accuracy.rows import TextRows, read_rows
from infc.validate.llm_accuracy.scoring import Likelihoods, Matches, is_match, likelihoods_from

__all__ = ["judge_checkpoint"]

Scored: TypeAlias = Likelihoods | Matches


def judge_checkpoint(
    problem: LlmProblem,
    reference: Checkpoint,
    lowered: Checkpoint,
    goal: AccuracyGoal,
    dataset: Path,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> tuple[AccuracyEvidence | None, tuple[Diagnostic, ...]]:
    """Evidence on the lowered checkpoint, with a warning where it does not pass; None where it could not be had.

    `cache` is a folder where answers stay for the next precision. Same checkpoints, rows and tool versions give
    the same evidence on the same machine.

    Raises:
        ToolError: there is no environment with llm-compressor.
    """
    rows = read_rows(dataset, goal.metric)
    if isinstance(rows, Diagnostic):
        return None, (rows,)
    longest = min(LONGEST_TOKENS, problem.model.max_context_tokens)
    question = Question(rows=rows, metric=goal.metric, longest=longest)
    tool = find_llmcompressor()
    answers: list[Sequence[object]] = []
    for checkpoint, words in ((reference, "the reference"), (lowered, f"the {lowered.precision.value} checkpoint")):
        folder = weights_folder(checkpoint, problem)
        if folder is None:
            raise InternalError(f"{words} has no weights here, and is asked")
        subject = Subject(folder=folder, digest=checkpoint.digest, words=words)
        said = ask(subject, question, tool, cache, progress or _silent)
        if isinstance(said, Diagnostic):
            return None, (said,)
        answers.append(said)
    scored = _scored(rows, goal.metric, answers[0], answers[1])
    evidence = _evidence(problem, lowered, goal, rows, scored)
    return evidence, said_of(evidence)


def _scored(rows: TextRows, metric: str, reference: Sequence[object], subject: Sequence[object]) -> Scored:
    if metric == "perplexity":
        return likelihoods_from(reference, subject)
    answers = [str(row["answer"]) for row in rows.rows]
    right = [
        np.array([is_match(str(said), answer) for said, answer in zip(each, answers, strict=True)])
        for each in (reference, subject)
    ]
    return Matches(reference=right[0], subject=right[1])


def _evidence(
    problem: LlmProblem, lowered: Checkpoint, goal: AccuracyGoal, rows: TextRows, scored: Scored
) -> AccuracyEvidence:
    whole = scored.intervals(goal.confidence)
    samples = len(scored.reference)
    parts = parts_of_rows(rows.parts, rows.lengths) if samples == len(rows.rows) else ()
    slices = judged_parts(parts, scored.part, goal.confidence)
    return AccuracyEvidence(
        model_digest=problem.model.digest,
        precision=lowered.precision,
        recipe_digest=lowered.recipe_digest,
        subject=CHECKPOINT,
        dataset_digest=rows.digest,
        metric=goal.metric,
        samples=samples,
        confidence=goal.confidence,
        reference=whole.reference,
        value=whole.value,
        drop=whole.drop,
        floor=goal.floor,
        max_drop=goal.max_drop,
        max_slice_drop=goal.max_slice_drop,
        verdict=judge(whole.value, whole.drop, slices, goal),
        samples_needed=samples_needed(whole.value, whole.drop, slices, goal, samples),
        slices=reported(slices),
        slices_judged=len(slices),
    )


def _silent(what: str, done: int, total: int) -> None:
    """Report nothing."""
