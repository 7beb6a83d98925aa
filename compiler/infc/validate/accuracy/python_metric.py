"""Metrics of the user's own: `python:package.module:function`, imported and called only when code was allowed.

The function takes `(outputs, dataset)`, both mappings of names to arrays with one row per sample (`dataset` holds
labels, scores and every other array of the file), and returns one number, higher is better. It is called once per
bootstrap resample.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from infc.diag import Diagnostic
from infc.lower.arrays import Array
from infc.validate.accuracy.metrics import Floats, Statistic

PREFIX = "python:"
MetricFunction: TypeAlias = Callable[[Mapping[str, Array], Mapping[str, Array]], float]
USER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def load_metric(metric: str, *, allow_code: bool, code_root: Path | None) -> MetricFunction | Diagnostic:
    """The function of a `python:` metric. `code_root` is searched first while it is imported."""
    if not allow_code:
        return Diagnostic(
            id="accuracy-code-not-allowed",
            message=f"metric {metric} runs code of the repository",
            help="read the function, then run again with --allow-code",
        )
    module_name, _, function_name = metric.removeprefix(PREFIX).partition(":")
    search = [str(code_root)] if code_root is not None else []
    sys.path[:0] = search
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except USER_ERRORS as error:
        return _failed(metric, f"cannot import it: {error}")
    finally:
        if search:
            sys.path.remove(search[0])
    return function if callable(function) else _failed(metric, f"{function_name} is not a function")


def checked(
    metric: str, function: MetricFunction, outputs: Mapping[str, Array], data: Mapping[str, Array]
) -> Diagnostic | None:
    """Call the function once on everything; None when it returns a finite number."""
    try:
        value = float(function(outputs, data))
    except USER_ERRORS as error:
        return _failed(metric, f"it raised {type(error).__name__}: {error}")
    return None if np.isfinite(value) else _failed(metric, f"it returned {value}")


def statistic_of(function: MetricFunction, outputs: Mapping[str, Array], data: Mapping[str, Array]) -> Statistic:
    """The metric as a statistic of sample counts: each resample is built and scored on its own."""

    def statistic(weights: Floats) -> Floats:
        values = []
        for row in weights:
            rows = np.repeat(np.arange(len(row)), row.astype(np.intp))
            values.append(function({n: a[rows] for n, a in outputs.items()}, {n: a[rows] for n, a in data.items()}))
        return np.array(values, dtype=np.float64)

    return statistic


def _failed(metric: str, reason: str) -> Diagnostic:
    return Diagnostic(
        id="accuracy-metric-failed",
        message=f"metric {metric} did not give a number",
        notes=(reason[:300],),
        help="write it as function(outputs, dataset) -> float, both mappings of arrays with one row per sample",
    )
