"""Ranges of activations from calibration data, by min-max, percentile or entropy, in memory that does not grow.

Own histograms in place of onnxruntime.quantization's calibrators (1.31), which hold every activation of every sample,
and whose entropy method compares a single threshold (128 bins for 128 levels), so that it is min-max.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from infc.lower import graph as g
from infc.lower.arrays import Calibration
from infc.lower.settings import CalibrationMethod

BATCH = 8
BINS = 2048
LEVELS = 128
STRIDE = 8
PERCENTILE = 99.999
_VERSION = 1
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Range:
    """The values that an activation takes; what lies outside is clipped."""

    lowest: float
    highest: float

    @property
    def magnitude(self) -> float:
        """The largest absolute value."""
        return max(abs(self.lowest), abs(self.highest))


@dataclass(kw_only=True)
class _Seen:
    """What was seen of one activation: its extremes, and how often each magnitude but zero occurred."""

    lowest: float = 0.0
    highest: float = 0.0
    counts: Counts = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))


def activation_ranges(
    model: onnx.ModelProto,
    names: Sequence[str],
    calibration: Calibration,
    method: CalibrationMethod,
    *,
    fixed_batch: int | None,
    cache: Path | None,
) -> Mapping[str, Range]:
    """The range of each named float activation over the calibration samples.

    Memory holds the activations of one batch, however many samples there are; percentile and entropy run the model
    twice, first for the extremes and then for histograms of 2048 bins. Zeros are not counted: every symmetric scale
    holds them exactly. `cache` keeps results by the digest of model, data and method, so that lowering with other
    exceptions calibrates once. A model of a fixed batch leaves out the samples that do not fill one.
    """
    wanted = sorted(set(names))
    digest = _digest(model, wanted, calibration, method)
    found = _read(cache, digest)
    if found is not None:
        return found
    seen = {name: _Seen() for name in wanted}
    for values in _runs(model, wanted, calibration, fixed_batch):
        for name, value in values.items():
            finite = value[np.isfinite(value)]
            if finite.size:
                seen[name].lowest = min(seen[name].lowest, float(finite.min()))
                seen[name].highest = max(seen[name].highest, float(finite.max()))
    if method != "minmax":
        for values in _runs(model, wanted, calibration, fixed_batch):
            for name, value in values.items():
                _count(seen[name], value)
    ranges = {name: _range(entry, method) for name, entry in seen.items()}
    _store(cache, digest, ranges)
    return ranges


def _runs(
    model: onnx.ModelProto, names: Sequence[str], calibration: Calibration, fixed_batch: int | None
) -> Iterator[dict[str, g.Array]]:
    """The named values, batch by batch. Inputs of the model are read from the data, everything else is computed."""
    import onnxruntime as ort

    inputs = [name for name in names if name in calibration.inputs]
    computed = [name for name in names if name not in calibration.inputs]
    probe = g.copy(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in computed)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = None
    if computed:
        session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fed = {value.name for value in session.get_inputs()} if session else set()
    size = fixed_batch or BATCH
    stop = calibration.samples - calibration.samples % size if fixed_batch else calibration.samples
    for start in range(0, stop, size):
        feeds = {name: values[start : start + size] for name, values in calibration.inputs.items()}
        values = {name: feeds[name] for name in inputs}
        if session is not None:
            results = session.run(computed, {name: value for name, value in feeds.items() if name in fed})
            values |= dict(zip(computed, results, strict=True))
        yield values


def _count(seen: _Seen, value: g.Array) -> None:
    top = max(-seen.lowest, seen.highest)
    if top <= 0:
        return
    magnitudes = np.abs(value[np.isfinite(value) & (value != 0)]).astype(np.float64)
    bins = np.minimum((magnitudes * (BINS / top)).astype(np.int64), BINS - 1)
    seen.counts += np.bincount(bins.ravel(), minlength=BINS)


def _range(seen: _Seen, method: CalibrationMethod) -> Range:
    top = max(-seen.lowest, seen.highest)
    if method == "minmax" or not seen.counts.any():
        return Range(lowest=seen.lowest, highest=seen.highest)
    bins = percentile_bins(seen.counts) if method == "percentile" else entropy_bins(seen.counts)
    threshold = top * bins / BINS
    return Range(lowest=max(seen.lowest, -threshold), highest=min(seen.highest, threshold))


def percentile_bins(counts: Counts) -> int:
    """How many leading bins hold 99.999% of everything counted.

    >>> percentile_bins(np.array([99_999, 0, 1])), percentile_bins(np.array([99_990, 9, 1]))
    (1, 2)
    """
    return int(np.searchsorted(np.cumsum(counts), counts.sum() * (PERCENTILE / 100) * (1 - 1e-12))) + 1


def entropy_bins(counts: Counts) -> int:
    """How many leading bins to keep, so that 128 even levels lose the least information about the distribution.

    Compares thresholds every 8 bins by the divergence between the clipped histogram and its 128-level version.
    Source: S. Migacz, 8-bit Inference with TensorRT, GTC 2017.
    """
    stops = range(LEVELS, BINS + 1, STRIDE)
    losses = [_divergence(counts, stop) for stop in stops]
    return stops[int(np.argmin(losses))]


def _divergence(counts: Counts, stop: int) -> float:
    """Kullback-Leibler divergence of `stop` bins, what is beyond clipped into the last, from 128 levels of them."""
    inside = counts[:stop].astype(np.float64)
    reference = inside.copy()
    reference[-1] += counts[stop:].sum()
    level = np.minimum(np.arange(stop) * LEVELS // stop, LEVELS - 1)
    occupied = inside > 0
    totals = np.bincount(level, weights=inside, minlength=LEVELS)
    members = np.bincount(level[occupied], minlength=LEVELS)
    spread = np.where(occupied, totals[level] / np.maximum(members[level], 1), 0.0)
    if spread.sum() == 0:
        return float("inf")
    used = reference > 0
    p = reference[used] / reference.sum()
    q = np.maximum(spread[used] / spread.sum(), 1e-12)
    return float(np.sum(p * np.log(p / q)))


def _digest(model: onnx.ModelProto, names: list[str], calibration: Calibration, method: CalibrationMethod) -> str:
    digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    digest.update(json.dumps([_VERSION, names, calibration.digest, method]).encode())
    return digest.hexdigest()


def _read(cache: Path | None, digest: str) -> Mapping[str, Range] | None:
    if cache is None:
        return None
    try:
        stored = json.loads((cache / f"{digest}.json").read_text())
        return {name: Range(lowest=float(low), highest=float(high)) for name, (low, high) in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _store(cache: Path | None, digest: str, ranges: Mapping[str, Range]) -> None:
    if cache is None:
        return
    cache.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".ranges-", dir=cache)
    with os.fdopen(handle, "w") as stream:
        json.dump({name: [entry.lowest, entry.highest] for name, entry in ranges.items()}, stream)
    os.replace(temporary, cache / f"{digest}.json")
