"""The real gate on the tiny Llama: it needs the environment with llm-compressor."""

from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.ir.accuracy import CHECKPOINT, Verdict
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal
from infc.lower.llm import QuantizationSettings, find_llmcompressor, local_checkpoint, lower_checkpoint
from infc.resolve.accuracy_json import accuracy_from_text, text_from_accuracy
from infc.validate.llm_accuracy import judge_checkpoint
from tests.lower.llm.samples import FOLDER, MODEL, plan, problem


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fp8_keeps_the_perplexity_of_the_tiny_llama(tmp_path: Path) -> None:
    """Paired on the same texts, stored like all evidence; a second look costs the reference nothing."""
    try:
        find_llmcompressor()
    except ToolError as error:
        pytest.skip(f"{error}: set INFC_LLMCOMPRESSOR to the python of an environment with llm-compressor")
    asked = problem()
    source, _ = local_checkpoint(MODEL, asked)
    assert source is not None
    fp8, problems = lower_checkpoint(
        source, asked, plan(Precision.FP8), QuantizationSettings(), tmp_path / "checkpoints", print
    )
    assert fp8 is not None, problems
    rows = tmp_path / "texts.jsonl"
    rows.write_text("".join((FOLDER / "texts.jsonl").read_text().splitlines(keepends=True)[:64]))
    goal = AccuracyGoal(dataset="texts.jsonl", metric="perplexity", floor=None, max_drop=0.05, confidence=0.95)
    cache = tmp_path / "answers"
    evidence, said = judge_checkpoint(asked, source, fp8, goal, rows, cache=cache)
    assert evidence is not None, said
    assert (evidence.verdict, evidence.subject, evidence.samples) == (Verdict.PASS, CHECKPOINT, 64)
    assert 1 < evidence.reference < asked.model.vocabulary / 4
    assert evidence.drop.low < evidence.drop.high < 0.05
    assert evidence.slices_judged == 4
    assert accuracy_from_text(text_from_accuracy(evidence)) == evidence
    assert len(list(cache.iterdir())) == 2
    again, _ = judge_checkpoint(asked, source, fp8, goal, rows, cache=cache)
    assert again == evidence
