"""The steps that vLLM logs with `--enable-logging-iteration-details`.

Source: vLLM 0.32 and 0.33, v1/metrics/loggers.py (`_log_iteration_details`) and v1/engine/core.py
(`capture_iteration_details`): a line for each step, written by the API server, whatever stands before it. The time
runs from when the step was handed to the workers until its tokens are there. Earlier releases end the line after it.
"""

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from infc.ir.step_time import StepTimePoint

_STEP = re.compile(
    r"(?:Engine (?P<engine>\d+): )?Iteration\((?P<index>\d+)\): (?P<prompts>\d+) context requests, "
    r"(?P<prefill>\d+) context tokens, (?P<decoding>\d+) generation requests, (?P<decoded>\d+) generation tokens, "
    r"iteration elapsed time: (?P<ms>\d+(?:\.\d+)?) ms(?P<dummy> \(dummy\))?"
    r"(?:, \w+ KV cache usage: (?P<usage>\d+(?:\.\d+)?)%)?"
)
_CACHE_SIZE = re.compile(r"KV cache size: (?P<tokens>[\d,]+) tokens")
_PER_DOUBLING = 3
"""Shapes of real traffic are joined where they differ by less than this part of a doubling."""


@dataclass(frozen=True, kw_only=True)
class LoggedStep:
    """One line: what a step computed, and its seconds.

    `prefill_tokens` are of `prefill_seqs` prompts, the chunks of long ones included. `decode_tokens` are more than
    `decode_seqs` where tokens are drafted. `cache_usage` is the share of the KV cache in use after the step, None where
    the line does not say it. `index` counts the steps of one `engine` (a data-parallel server has several).
    """

    engine: int
    index: int
    prefill_seqs: int
    prefill_tokens: int
    decode_seqs: int
    decode_tokens: int
    seconds: float
    cache_usage: float | None


def logged_steps(text: str) -> tuple[LoggedStep, ...]:
    r"""The steps of a log in its order; other lines, lines cut short and steps without a request are left out.

    >>> line = ("(APIServer pid=7) INFO 11-21 21:08:08 [loggers.py:199] Engine 000: Iteration(3): 1 context requests, "
    ...         "64 context tokens, 2 generation requests, 2 generation tokens, iteration elapsed time: 17.25 ms, "
    ...         "CPU KV cache usage: 0.4%")
    >>> [step] = logged_steps("Application startup complete.\n" + line)
    >>> step.prefill_tokens, step.decode_seqs, step.seconds, step.cache_usage
    (64, 2, 0.01725, 0.004)
    """
    found = []
    for match in _STEP.finditer(text):
        usage = match["usage"]
        step = LoggedStep(
            engine=int(match["engine"] or 0),
            index=int(match["index"]),
            prefill_seqs=int(match["prompts"]),
            prefill_tokens=int(match["prefill"]),
            decode_seqs=int(match["decoding"]),
            decode_tokens=int(match["decoded"]),
            seconds=round(float(match["ms"]) * 1e-3, 9),
            cache_usage=None if usage is None else round(float(usage) * 1e-2, 9),
        )
        if match["dummy"] is None and step.prefill_tokens + step.decode_tokens > 0:
            found.append(step)
    return tuple(found)


def kv_cache_tokens(text: str) -> int | None:
    """The size of the KV cache that the server logged as it started, in tokens; None where the log does not have it.

    >>> kv_cache_tokens("[kv_cache_utils.py:2327] CPU KV cache size: 200,032 tokens, Maximum concurrency ...")
    200032
    """
    match = _CACHE_SIZE.search(text)
    return None if match is None else int(match["tokens"].replace(",", ""))


def steps_from_log(text: str, *, cache_tokens: int | None = None, block_tokens: int = 16) -> tuple[StepTimePoint, ...]:
    """Step times of whatever traffic a server had while it logged: the median of steps of about the same shape.

    A line does not say how long the sequences are. The KV cache in use says it: its share after the step, of the
    `cache_tokens` (by default those that the log itself names), less the half-empty last block of each sequence. Where
    neither is known, context counts as none. Steps that decode drafted tokens are left out, as are those with no time.
    """
    size = cache_tokens or kv_cache_tokens(text)
    shapes: defaultdict[tuple[int, ...], list[tuple[LoggedStep, int]]] = defaultdict(list)
    for step in logged_steps(text):
        if step.decode_tokens != step.decode_seqs or step.seconds <= 0.0:
            continue
        context = _context_tokens(step, size, block_tokens)
        shape = (step.prefill_seqs, *map(_class_of, (step.prefill_tokens, step.decode_seqs, context)))
        shapes[shape].append((step, context))
    return tuple(_point(shapes[shape]) for shape in sorted(shapes))


def usual_s(seconds: Iterable[float]) -> float:
    """The mean without the tenths at both ends: means add up to what requests see, and a hiccup does not count.

    >>> usual_s([1.0, 2.0, 3.0, 99.0])
    2.5
    """
    ordered = sorted(seconds)
    cut = max(len(ordered) // 10, 1) if len(ordered) > 2 else 0
    return statistics.fmean(ordered[cut : len(ordered) - cut])


def _context_tokens(step: LoggedStep, size: int | None, block_tokens: int) -> int:
    """Tokens in the caches of the step's sequences before it."""
    if size is None or step.cache_usage is None:
        return 0
    sequences = step.prefill_seqs + step.decode_seqs
    held = step.cache_usage * size - sequences * block_tokens / 2
    return max(round(held) - step.prefill_tokens - step.decode_tokens, 0)


def _class_of(count: int) -> int:
    """Small counts are classes of their own, larger ones share one with their neighbours."""
    return count if count <= 4 else 4 + round(_PER_DOUBLING * math.log2(count / 4))


def _point(steps: list[tuple[LoggedStep, int]]) -> StepTimePoint:
    return StepTimePoint(
        prefill_tokens=round(statistics.fmean(step.prefill_tokens for step, _ in steps)),
        decode_seqs=round(statistics.fmean(step.decode_seqs for step, _ in steps)),
        context_tokens=round(statistics.fmean(context for _, context in steps)),
        seconds=statistics.median(step.seconds for step, _ in steps),
        samples=len(steps),
        prefill_seqs=steps[0][0].prefill_seqs,
    )
