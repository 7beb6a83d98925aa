"""When the server has warmed up: latencies no longer fall from one second of traffic to the next."""

import numpy as np
from numpy.typing import NDArray

MIN_REQUESTS = 50
_SLICE_S = 1.0
_TOLERANCE = 1.25


def is_warm(
    sent_s: NDArray[np.float64],
    latency_s: NDArray[np.float64],
    *,
    start_s: float,
    now_s: float,
    least_s: float,
    least_requests: int = MIN_REQUESTS,
) -> bool:
    """Whether the warm-up may end.

    The first requests pay for lazily loaded kernels, and the queue starts empty. At least `least_s` and
    `least_requests` requests must have passed, and the median of the last second must not be far below the one before
    it (then it would still be falling).

    Args:
        sent_s: send times of answered requests, ascending.
        latency_s: their latencies.
        start_s: when the traffic began.
        now_s: the time of this look.
        least_s: shortest warm-up.
        least_requests: fewest answered requests.
    """
    if now_s - start_s < least_s or len(sent_s) < least_requests:
        return False
    last = latency_s[sent_s >= now_s - _SLICE_S]
    before = latency_s[(sent_s >= now_s - 2 * _SLICE_S) & (sent_s < now_s - _SLICE_S)]
    if not len(last) or not len(before):
        return True
    return bool(np.median(before) <= _TOLERANCE * np.median(last))
