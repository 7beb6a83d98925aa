"""Every precision of the tiny Llama through the accuracy gate: perplexity and exact match, paired, with intervals.

Quantises `specs/tiny-llama/model` with llm-compressor (INFC_LLMCOMPRESSOR names its python) and writes the table in
docs/precision.md. Everything is kept in `--cache` under its own key: a run that was ended goes on where it was, and a
second run only writes the table. About ten minutes of one core.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from infc.ir.accuracy import AccuracyEvidence
from infc.ir.candidate import Candidate, ContinuousBatching
from infc.ir.checkpoint import Checkpoint
from infc.ir.estimate import Estimate, MemoryBreakdown
from infc.ir.interval import Basis, Interval
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import AccuracyGoal, LlmProblem
from infc.lower.llm import QuantizationSettings, local_checkpoint, lower_checkpoint
from infc.resolve.problem import resolve_problem
from infc.resolve.store import ProfileStore
from infc.resolve.targets import load_catalogue
from infc.spec import load_spec
from infc.validate.llm_accuracy import judge_checkpoint

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "specs" / "tiny-llama"
DOCUMENT = ROOT / "docs" / "precision.md"
BEGIN, END = "<!-- tiny-llama: begin -->", "<!-- tiny-llama: end -->"
CASES: tuple[tuple[Precision, bool], ...] = (
    (Precision.FP8, False),
    (Precision.INT8, True),
    (Precision.INT8, False),
    (Precision.INT4, True),
    (Precision.INT4, False),
    (Precision.FP4, True),
)
"""Precisions, each with calibration texts or without."""
TASKS = (("perplexity", "texts.jsonl", 0.02), ("exact_match", "answers.jsonl", 0.05))
TEXTS, TOKENS = 64, 256
HEAD = f"""\
`benchmarks/llm_precision.py` on the tiny Llama (a million parameters, BF16; the smaller a model, the more it loses).
{TEXTS} calibration texts of up to {TOKENS} tokens, 240 held-out texts and 240 held-out lines, 95% intervals. Loss: how
far perplexity rises (2% would do here), or exact match falls (5%).
"""


def main() -> None:
    """Measure what the cache does not hold, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=ROOT / ".infc" / "llm-precision")
    cache = parser.parse_args().cache
    problem = tiny_llama(cache)
    source, problems = local_checkpoint(FOLDER / "model", problem)
    if source is None:
        raise SystemExit(str(problems))
    lines = [
        "| precision | weights | metric | BF16 | value (95% interval) | loss (95% interval) | gate |",
        "|" + "---|" * 7,
    ]
    for precision, has_texts in CASES:
        lines += rows(problem, source, precision, has_texts=has_texts, cache=cache)
    text = DOCUMENT.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    table = "\n".join(lines)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{HEAD}\n{table}\n{END}{after}", encoding="utf-8")


def tiny_llama(cache: Path) -> LlmProblem:
    """The problem of the example."""
    loaded = load_spec(FOLDER / "tiny-llama.infc.yaml")
    assert loaded.spec is not None
    store = ProfileStore(root=cache / "profiles", cache=cache)
    resolved, problems = resolve_problem(loaded, load_catalogue(None), store)
    assert resolved is not None, problems
    assert isinstance(resolved.problem, LlmProblem)
    return resolved.problem


def rows(
    problem: LlmProblem, source: Checkpoint, precision: Precision, *, has_texts: bool, cache: Path
) -> Iterator[str]:
    """The rows of one precision, one a task."""
    name = precision.value.upper() + ("" if has_texts or precision is Precision.FP8 else ", no texts")
    settings = QuantizationSettings(
        calibration=FOLDER / "calibration.jsonl" if has_texts else None, samples=TEXTS, sequence_length=TOKENS
    )
    lowered, problems = lower_checkpoint(
        source, problem, in_precision(precision), settings, cache / "checkpoints", said
    )
    if lowered is None or lowered.folder is None:
        raise SystemExit(str(problems))
    megabytes = (lowered.folder / "model.safetensors").stat().st_size / 1e6
    for metric, file, limit in TASKS:
        goal = AccuracyGoal(dataset=file, metric=metric, floor=None, max_drop=limit, confidence=0.95)
        evidence, problems = judge_checkpoint(problem, source, lowered, goal, FOLDER / file, cache=cache / "answers")
        if evidence is None:
            raise SystemExit(str(problems))
        said(f"{name} {metric}: {evidence.verdict.value}")
        yield f"| {name} | {megabytes:.2f} MB | {metric} | {columns(evidence)} |"


def columns(evidence: AccuracyEvidence) -> str:
    """Reference, value, loss and verdict of a row."""
    value, drop = evidence.value, evidence.drop
    digits = ".2f" if evidence.metric == "perplexity" else ".3f"
    return (
        f"{evidence.reference:{digits}} | {value.value:{digits}} ({value.low:{digits}} to {value.high:{digits}}) | "
        f"{drop.value:.2%} ({drop.low:.2%} to {drop.high:.2%}) | {evidence.verdict.value}"
    )


def in_precision(precision: Precision) -> Plan:
    """A plan of which only the precision matters."""
    nothing = MemoryBreakdown(weights_bytes=0.0, activations_bytes=0.0, kv_cache_bytes=0.0, runtime_bytes=0.0)
    batching = ContinuousBatching(max_num_seqs=8, max_num_batched_tokens=512)
    return Plan(
        name="tiny-llama",
        spec_path="",
        candidate=Candidate(hardware_id="cpu", server="vllm", precision=precision, batching=batching),
        estimate=Estimate(
            e2e_s={},
            throughput_rps=Interval.exact(0.0),
            goodput_rps=0.0,
            utilization=0.0,
            mean_batch_size=0.0,
            memory=nothing,
            power_w=None,
            cost=None,
            service_time=None,
            basis=Basis.ANALYTIC,
            confidence=0.9,
        ),
        reasons=(),
        comments=(),
        rejections=(),
        runners_up=(),
    )


def said(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
