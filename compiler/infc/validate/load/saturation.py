"""Whether a server falls behind: its backlog grows for as long as the load lasts, so no percentile exists."""

import numpy as np
from numpy.typing import NDArray

MIN_SPAN_S = 4.0
_SLICES = 8
_MIN_GROWTH_SHARE = 0.03
_MIN_BACKLOG_S = 0.5


def is_saturated(
    sent_s: NDArray[np.float64],
    done_s: NDArray[np.float64],
    *,
    start_s: float,
    now_s: float,
    busy_requests: int,
) -> bool:
    """Whether the backlog (requests sent and not answered) has been growing since `start_s`.

    It must hold more than the server can work on at a time, more than half a second of traffic, and grow by at least
    3% of what is offered, in both halves of the span and in most of its eighths: a queue that is merely busy rises
    and falls.

    Args:
        sent_s: send times, ascending.
        done_s: answer times of the same requests, NaN for those not answered.
        start_s: begin of the span looked at.
        now_s: its end; nothing is said of spans below `MIN_SPAN_S`.
        busy_requests: requests that the server can hold in execution at a time.
    """
    if now_s - start_s < MIN_SPAN_S:
        return False
    edges = np.linspace(start_s, now_s, _SLICES + 1)
    answered = np.sort(done_s[~np.isnan(done_s)])
    offered = np.searchsorted(sent_s, edges)
    backlog = offered - np.searchsorted(answered, edges)
    rate_rps = float(offered[-1] - offered[0]) / (now_s - start_s)
    if backlog[-1] <= max(4 * busy_requests, _MIN_BACKLOG_S * rate_rps):
        return False
    half = _SLICES // 2
    least = _MIN_GROWTH_SHARE * rate_rps * (now_s - start_s) / 2.0
    grows_in_halves = backlog[half] - backlog[0] > least and backlog[-1] - backlog[half] > least
    rising = int(np.count_nonzero(np.diff(backlog) > 0))
    return bool(grows_in_halves and rising >= _SLICES - 2)
