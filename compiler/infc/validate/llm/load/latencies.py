"""Latencies of the requests of a run, and which of them are known while others are still on their way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infc.ir.llm_measurement import TokenMetric
from infc.validate.llm.load.generator import UNANSWERED, LlmLoadGenerator

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A metric of requests in the order of their sending: seconds, infinite where a request failed or was too long.

    `lags_s` is how late each was sent.
    """

    seconds: Floats
    lags_s: Floats


def known_sample(
    generator: LlmLoadGenerator, metric: TokenMetric, limit_s: float, first: int, last: int, *, is_final: bool
) -> Sample:
    """The requests [first, last) up to the first whose outcome against a limit is open; at the end, all of them.

    A request that has taken longer than the limit already is over, whether its end is known or not. Counting those that
    are done without those before them that are not would favour the fast.

    `tpot` leaves out requests that were to have one token.
    """
    asked = generator.requests.output_tokens[first:last]
    due_s = generator.due_s[first:last]
    values, has_failed = seconds_of(generator, metric, first, last)
    if metric == "tpot":
        begun_s = generator.first_s[first:last]
        is_over = generator.now_s - begun_s > limit_s * np.maximum(asked - 1, 1)
    else:
        is_over = generator.now_s - due_s > limit_s
    is_known = ~np.isnan(values) | has_failed | is_over
    count = len(values) if is_final or np.all(is_known) else int(np.argmin(is_known))
    seconds = np.where(np.isnan(values) | has_failed, np.inf, values)[:count]
    lags_s = (generator.sent_s[first:last] - due_s)[:count]
    if metric == "tpot":
        kept = asked[:count] > 1
        return Sample(seconds=seconds[kept], lags_s=lags_s[kept])
    return Sample(seconds=seconds, lags_s=lags_s)


def seconds_of(generator: LlmLoadGenerator, metric: TokenMetric, first: int, last: int) -> tuple[Floats, Flags]:
    """A metric of the requests [first, last), NaN where it is not known yet, and which of them failed."""
    due_s, first_s = generator.due_s[first:last], generator.first_s[first:last]
    last_s, tokens = generator.last_s[first:last], generator.tokens[first:last]
    outcomes = generator.outcomes[first:last]
    match metric:
        case "ttft":
            values = first_s - due_s
        case "e2e":
            values = last_s - due_s
        case _:
            values = np.where(tokens > 1, (last_s - first_s) / np.maximum(tokens - 1, 1), np.nan)
    return values, (outcomes != 0) & (outcomes != UNANSWERED)


def token_times_s(generator: LlmLoadGenerator) -> tuple[Floats, Floats]:
    """When every token came that followed another one, and the gap before it; in the order of time."""
    times, gaps = [np.empty(0)], [np.empty(0)]
    for index, each in generator.gaps_s.items():
        wide = each.astype(np.float64)
        times.append(generator.first_s[index] + np.cumsum(wide))
        gaps.append(wide)
    when, between = np.concatenate(times), np.concatenate(gaps)
    order = np.argsort(when, kind="stable")
    return when[order], between[order]
