"""A server whose pace varies: a processor that others share goes now faster, now slower, for longer than a request."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from infc.sim.continuous_batching.requests import Floats, TokenRequests

PACES = 6
"""Paces that are equally likely."""
_SEGMENT = 100
"""Requests that come at one pace: many more than are in the server at once, so that few see two of them."""


def paces(spread: float) -> tuple[float, ...]:
    """Factors on the time that work takes, of which nine of ten lie within the factor `spread` of 1.

    They are spread like a normal variable in their logarithm.

    >>> [round(each, 2) for each in paces(1.25)]
    [0.83, 0.91, 0.97, 1.03, 1.1, 1.21]
    """
    deviation = math.log(spread) / NormalDist().inv_cdf(0.95)
    return tuple(math.exp(deviation * NormalDist().inv_cdf((index + 0.5) / PACES)) for index in range(PACES))


def paced(requests: TokenRequests, spread: float) -> tuple[TokenRequests, Floats]:
    """Requests as a server of an even pace sees them in place of one whose pace varies, and each one's pace.

    Where the server takes `f` times as long for everything, requests come `f` times as fast in its own time. Latencies
    of the simulation times the returned float64[requests] are those of the clock.
    """
    found = np.random.default_rng(PACES).permutation(PACES)
    factors = np.asarray(paces(spread))[found]
    each = factors[np.arange(len(requests)) // _SEGMENT % PACES]
    gaps = np.diff(requests.arrivals_s, prepend=0.0)
    return replace(requests, arrivals_s=np.cumsum(gaps / each)), each
