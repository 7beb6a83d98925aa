"""The simulated scheduler against vLLM's own scheduler code, request by request.

The scheduler and the KV-cache manager of vLLM 0.32 are run on a simulated clock: no model, no server, no waiting. So
nothing but the scheduling can differ, and a request's first and last token should come at the very same times. Random
cases: rates from light to overload, lengths, token budgets, sequence limits, caps on long prompts, short KV caches with
preemption, prefix caches, with and without chunked prefill and async scheduling.

Needs an environment with vLLM 0.32 (`--vllm-env`), which this project does not install. Takes minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from infc.ir.candidate import ContinuousBatching
from infc.ir.step_time import StepTimeModel
from infc.sim.continuous_batching import TokenRequests, simulate
from infc.validate.llm.rehearsal import PACE_FOLDER
from vllm_model import write_model

RESULT = Path(__file__).parent / "results" / "sim_vs_scheduler.md"
SCRIPT = Path(__file__).parent / "vllm_server" / "virtual_scheduler.py"
SAME_S = 1e-6
GOAL = 0.99
"""Share of the requests whose times are the same, but for those of `INEXACT`."""
INEXACT = "short KV cache, prefix cache"
"""Where a prefix is evicted while copies of its blocks live on, which the simulator does not follow."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Settings of a scheduler, a step-time model and requests: (arrival, prompt, output, prefix)."""

    kind: str
    pace: dict[str, float | list[float]]
    max_num_seqs: int
    max_num_batched_tokens: int
    kv_cache_tokens: int
    has_prefix_caching: bool
    has_chunked_prefill: bool
    long_prefill_tokens: int
    is_async: bool
    requests: list[tuple[float, int, int, int]] = field(repr=False)
    block_tokens: int = 16
    max_model_len: int = 8192


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How many requests of a case had other times, and the preemptions of both."""

    case: Case
    differing: int
    largest_s: float
    preemptions: tuple[int, int]


def main() -> int:
    """Run, compare, print and write the table; exit 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm-env", type=Path, required=True, help="Python environment with vLLM 0.32")
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-file", action="store_true", help="write no result")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    cases = [random_case(random, number, options.requests) for number in range(options.cases)]
    compared = compare(options.vllm_env, cases)
    text = render(compared)
    print(text)
    if not options.no_file:
        RESULT.write_text(text + "\n", encoding="utf-8")
    return 0 if same_share(compared) >= GOAL else 1


KINDS = ("plain", "capped prompts", "short KV cache", "prefix cache", INEXACT, "unchunked")


def random_case(random: np.random.Generator, number: int, count: int) -> Case:
    """The number-th case; kinds take turns, async scheduling every other round."""
    kind = KINDS[number % len(KINDS)]
    is_async = number // len(KINDS) % 2 == 1
    median_prompt, median_output = int(random.integers(50, 1200)), int(random.integers(10, 150))
    prompts = lognormal(random, median_prompt, count, 4000)
    outputs = lognormal(random, median_output, count, 600)
    longest = int((prompts + outputs).max())
    has_prefix = "prefix" in kind
    common = int(random.integers(20, 2 * median_prompt)) if has_prefix else 0
    budget = int(random.choice([256, 512, 1024, 2048, 8192]))
    decode_s = float(random.uniform(0.005, 0.03))
    pace: dict[str, float | list[float]] = {
        "knots": [1, 64, 512, 8192],
        "seconds": [decode_s, decode_s * 1.1, decode_s * 2, decode_s * 25],
        "fixed_s": 0.001,
        "sequence_s": 1e-4,
        "context_s": float(random.choice([0.0, 2e-7, 2e-6])),
        "pair_s": 2e-9,
    }
    seqs = int(random.choice([4, 16, 64, 256]))
    work_s = prompts.mean() * decode_s * 25 / 8192 + outputs.mean() * decode_s * 1.5 / min(seqs, 20)
    rate_rps = float(random.uniform(0.3, 1.1)) / float(work_s)
    cv = float(random.choice([1.0, 1.0, 2.5]))
    arrivals = np.cumsum(random.gamma(1 / cv**2, cv**2 / rate_rps, count))
    kv_cache_tokens = 400_000
    if "short" in kind:
        kv_cache_tokens = longest + 16 + int(random.uniform(1, 6) * (prompts.mean() + outputs.mean()))
    is_chunked = kind != "unchunked"
    return Case(
        kind=kind,
        pace=pace,
        max_num_seqs=seqs,
        max_num_batched_tokens=budget if is_chunked else 8192,
        kv_cache_tokens=kv_cache_tokens,
        has_prefix_caching=has_prefix,
        has_chunked_prefill=is_chunked,
        long_prefill_tokens=int(random.choice([32, 128, 512])) if kind == "capped prompts" else 0,
        is_async=is_async,
        requests=[
            (float(at), int(prompt), int(output), min(common, int(prompt)))
            for at, prompt, output in zip(arrivals, prompts, outputs, strict=True)
        ],
        max_model_len=min(8192, kv_cache_tokens // 16 * 16),
    )


def lognormal(random: np.random.Generator, median: int, count: int, largest: int) -> np.ndarray:
    """Lengths around a median."""
    drawn = np.exp(random.normal(np.log(median), float(random.choice([0.0, 0.5, 1.0])), count))
    return np.clip(drawn.round().astype(np.int64), 1, largest)


def compare(environment: Path, cases: Sequence[Case]) -> list[Comparison]:
    """Serve the cases by both."""
    with tempfile.TemporaryDirectory() as folder:
        model, asked, answered = (Path(folder) / name for name in ("model", "cases.json", "answers.json"))
        write_model(model, hidden=128, layers=1, heads=2, kv_heads=1, inner=256)
        asked.write_text(json.dumps([{**asdict(case), "model": str(model)} for case in cases]), encoding="utf-8")
        variables = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
        python = environment / "bin" / "python"
        done = subprocess.run(
            [str(python), str(SCRIPT), str(asked), str(answered)],
            env={
                **variables,
                "TRANSFORMERS_OFFLINE": "1",
                "VLLM_HOST_IP": "127.0.0.1",
                "PYTHONPATH": str(PACE_FOLDER),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"the scheduler ended with {done.returncode}:\n{done.stderr[-3000:]}")
        answers = json.loads(answered.read_text(encoding="utf-8"))
    return [_compared(case, answer) for case, answer in zip(cases, answers, strict=True)]


def _compared(case: Case, answer: dict[str, list[float]]) -> Comparison:
    arrivals, prompts, outputs, prefixes = (np.asarray(column) for column in zip(*case.requests, strict=True))
    pace = case.pace
    result = simulate(
        TokenRequests(arrivals_s=arrivals, prompt_tokens=prompts, output_tokens=outputs, prefix_tokens=prefixes),
        StepTimeModel(
            token_knots=tuple(pace["knots"]),
            token_s=tuple(pace["seconds"]),
            **{name: pace[name] for name in ("fixed_s", "sequence_s", "context_s", "pair_s")},
        ),
        ContinuousBatching(
            max_num_seqs=case.max_num_seqs,
            max_num_batched_tokens=case.max_num_batched_tokens,
            has_prefix_caching=case.has_prefix_caching,
            has_chunked_prefill=case.has_chunked_prefill,
            long_prefill_tokens=case.long_prefill_tokens,
        ),
        case.kv_cache_tokens,
        block_tokens=case.block_tokens,
        has_async_scheduling=case.is_async,
    )
    first = np.abs(result.ttft_s - (np.asarray(answer["first_s"]) - arrivals))
    last = np.abs(result.e2e_s - (np.asarray(answer["last_s"]) - arrivals))
    return Comparison(
        case=case,
        differing=int(((first > SAME_S) | (last > SAME_S)).sum()),
        largest_s=float(max(first.max(), last.max())),
        preemptions=(int(answer["preemptions"]), result.preemptions),
    )


def same_share(compared: Sequence[Comparison]) -> float:
    """Share of the requests whose first and last token came at the same times, `INEXACT` left out."""
    judged = [each for each in compared if each.case.kind != INEXACT]
    return 1.0 - sum(each.differing for each in judged) / sum(len(each.case.requests) for each in judged)


def render(compared: Sequence[Comparison]) -> str:
    """The table by kind."""
    lines = [
        "# The simulated scheduler against the scheduler code of vLLM 0.32",
        "",
        "Both on the same simulated clock. A request differs when its first or its last token comes more than a "
        "microsecond earlier or later.",
        "",
        "| kind | scheduling | cases | requests | that differ | largest difference | preemptions (vLLM / simulated) |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        for is_async in (False, True):
            rows = [each for each in compared if each.case.kind == kind and each.case.is_async == is_async]
            if not rows:
                continue
            preemptions = [sum(each.preemptions[side] for each in rows) for side in (0, 1)]
            cells = [
                kind,
                "async" if is_async else "sync",
                str(len(rows)),
                str(sum(len(each.case.requests) for each in rows)),
                str(sum(each.differing for each in rows)),
                f"{max(each.largest_s for each in rows):.2g} s",
                "{} / {}".format(*preemptions),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"Same times: {same_share(compared):.2%} of the requests (goal {GOAL:.0%}), without those of"]
    lines += [f"*{INEXACT}*, where copies of blocks of an evicted prefix are not followed."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
