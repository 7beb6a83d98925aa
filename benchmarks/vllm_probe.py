"""What a plan would measure of a vLLM server before anything else: step times, and what is around them.

The server logs every step (`--enable-logging-iteration-details`). Requests of equal lengths are sent together, so that
it is known how long the sequences of a step are, which the log does not say.
"""

import re
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from infc.ir.step_time import StepTimeModel, StepTimePoint
from infc.perf.llm.step_fit import StepTimeFit, fit
from vllm_client import Answer, Ask, send_all
from vllm_process import SERVED, VllmServer

_LINE = re.compile(
    r"Iteration\(\d+\): (\d+) context requests, (\d+) context tokens, (\d+) generation requests, "
    r"\d+ generation tokens, iteration elapsed time: ([0-9.]+) ms"
)
_OUTPUT = 40
ROUNDS = 3
_VOCABULARY = 4000


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A fitted step-time model, overheads included, and what it was made of."""

    steps: StepTimeModel
    fitted: StepTimeFit
    points: tuple[StepTimePoint, ...]
    overhead_s: float


def probe(
    server: VllmServer, log: Path, bursts: tuple[tuple[int, int], ...], prompts: tuple[int, ...], seed: int
) -> Probe:
    """Measure bursts of (requests, prompt tokens) and single prompts, and fit a model to the steps.

    The overhead of a step is the time per output token of requests that are alone, less that of the logged steps; the
    overhead of a request is what their first token took longer than its step. The first round only warms up: libraries
    prepare themselves for each new shape.
    """
    random = np.random.default_rng(seed)
    steps: dict[tuple[int, int, int], list[float]] = {}
    step_overheads_s: list[float] = []
    request_overheads_s: list[float] = []
    for round in range(ROUNDS):
        for count, prompt in bursts:
            answers, rows = _burst(server, log, random, count, prompt, _OUTPUT)
            if round == 0:
                continue
            decode_s = _decode_rows(rows, count)
            for index, seconds in enumerate(decode_s):
                context = count * (prompt + 10 * (index // 10) + 5)
                steps.setdefault((0, count, context), []).append(seconds)
            if count == 1:
                [answer] = answers
                around_s = (answer.last_s - answer.first_s) / (_OUTPUT - 1) - statistics.mean(decode_s)
                step_overheads_s.append(around_s)
                request_overheads_s.append(answer.first_s - answer.sent_s - rows[0][2] - around_s)
        for prompt in prompts:
            _, rows = _burst(server, log, random, 1, prompt, 2)
            for context_tokens, generating, seconds in rows if round else ():
                if context_tokens == prompt and not generating:
                    steps.setdefault((prompt, 0, 0), []).append(seconds)
    points = tuple(
        StepTimePoint(
            prefill_tokens=prefill,
            decode_seqs=decoding,
            context_tokens=context,
            seconds=statistics.median(seconds),
            samples=len(seconds),
        )
        for (prefill, decoding, context), seconds in sorted(steps.items())
    )
    fitted = fit(points)
    model = fitted.model
    step_overhead_s = statistics.median(step_overheads_s)
    request_s = statistics.median(request_overheads_s)
    whole = replace(model, fixed_s=model.fixed_s + max(step_overhead_s, 0.0), request_s=max(request_s, 0.0))
    return Probe(steps=whole, fitted=fitted, points=points, overhead_s=step_overhead_s)


def random_prompt(random: np.random.Generator, tokens: int) -> tuple[int, ...]:
    """Token numbers that share nothing with other prompts."""
    return tuple(int(each) for each in random.integers(10, _VOCABULARY, tokens))


def _burst(
    server: VllmServer, log: Path, random: np.random.Generator, count: int, prompt: int, output: int
) -> tuple[list[Answer], list[tuple[int, int, float]]]:
    """Send `count` requests together. Returns: answers, and the logged steps: prompt tokens, decoding, seconds."""
    before = log.stat().st_size
    asks = [Ask(at_s=0.0, prompt=random_prompt(random, prompt), output_tokens=output) for _ in range(count)]
    answers = send_all(server.host, server.port, SERVED, asks, timeout_s=120.0)
    time.sleep(0.3)
    with log.open("rb") as lines:
        lines.seek(before)
        text = lines.read().decode(errors="replace")
    rows = [(int(tokens), int(decoding), float(ms) * 1e-3) for _, tokens, decoding, ms in _LINE.findall(text)]
    return answers, rows


def _decode_rows(rows: list[tuple[int, int, float]], count: int) -> list[float]:
    return [seconds for tokens, decoding, seconds in rows if tokens == 0 and decoding == count]
