"""Fits an arrival process to recorded traffic and says how good the fit is."""

from infc.sim.trace_fit.fit import (
    FEWEST_REQUESTS,
    ArrivalFit,
    FittedProcess,
    Goodness,
    Miss,
    SizeSummary,
    fit_arrivals,
)
from infc.sim.trace_fit.goodness import Dispersion
from infc.sim.trace_fit.rates import Trend, WindowRate
from infc.sim.trace_fit.reference_queue import LOAD, ReferenceQueue

__all__ = [
    "FEWEST_REQUESTS",
    "LOAD",
    "ArrivalFit",
    "Dispersion",
    "FittedProcess",
    "Goodness",
    "Miss",
    "ReferenceQueue",
    "SizeSummary",
    "Trend",
    "WindowRate",
    "fit_arrivals",
]
