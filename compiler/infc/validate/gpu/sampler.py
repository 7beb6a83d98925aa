"""Watches a device while it is measured: a thread of its own reads the sensors, and a summary tells what they said."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

from infc.ir.device_usage import DeviceUsage, UsageSource

PERIOD_S = 0.05
"""Time between two readings of NVML: shorter than the 1/6 to 1 s over which the driver averages utilisation."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One look at the sensors; None where one does not tell. Shares are 0 to 1, `energy_j` counts from any start."""

    utilization: float | None = None
    memory_utilization: float | None = None
    power_w: float | None = None
    energy_j: float | None = None
    memory_bytes: int | None = None
    clock_hz: float | None = None
    memory_clock_hz: float | None = None
    temperature_c: float | None = None
    slowdowns: frozenset[str] = frozenset()


class DeviceReader(Protocol):
    """Reads one device. Called from one thread."""

    @property
    def source(self) -> UsageSource:
        """Whose sensors these are."""

    def read(self) -> Reading | None:
        """A reading now; None when there is none yet, or no more."""

    def missing(self) -> tuple[str, ...]:
        """What the device refused to tell."""

    def close(self) -> None:
        """Let go of the device."""


@dataclass
class _Span:
    """Readings of one stretch of time in which instances ran; `energy_j` between its two ends."""

    start_s: float
    end_s: float | None = None
    readings: list[tuple[float, Reading]] = field(default_factory=list)
    energy_j: float | None = None


class DeviceSampler:
    """Context manager: samples every `period_s` while a span is open; closes its reader at the end.

    `clock` is the sampler's own: monotonic seconds.
    """

    def __init__(
        self, reader: DeviceReader, *, period_s: float = PERIOD_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._spans: list[_Span] = []
        self._thread = threading.Thread(target=self._sample, name="device-sampler", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        self._is_over.set()
        self._thread.join()
        self._reader.close()

    @contextmanager
    def span(self) -> Iterator[None]:
        """What is read inside counts; readings between spans do not."""
        span = _Span(start_s=self._clock())
        with self._lock:
            first = self._reader.read()
            if first is not None:
                span.readings.append((self._clock(), first))
            self._spans.append(span)
        try:
            yield
        finally:
            with self._lock:
                last = self._reader.read()
                span.end_s = self._clock()
                if last is not None:
                    span.readings.append((span.end_s, last))
                span.energy_j = _energy(span.readings)

    def last_span(self) -> DeviceUsage:
        """What the last span saw."""
        return self._summary(self._spans[-1:])

    def usage(self) -> DeviceUsage:
        """What all spans saw."""
        return self._summary(self._spans)

    def _summary(self, spans: Sequence[_Span]) -> DeviceUsage:
        usage = summary([reading for span in spans for _, reading in span.readings], self._reader.source)
        seconds = sum((span.end_s or self._clock()) - span.start_s for span in spans)
        counted = [span.energy_j for span in spans]
        energy_j = None if not counted or None in counted else sum(e for e in counted if e is not None)
        power_w = usage.power_w if energy_j is None or seconds <= 0.0 else energy_j / seconds
        if energy_j is None and power_w is not None:
            energy_j = power_w * seconds
        return replace(usage, seconds=seconds, energy_j=energy_j, power_w=power_w, missing=self._reader.missing())

    def _sample(self) -> None:
        while not self._is_over.wait(self._period_s):
            with self._lock:
                span = self._spans[-1] if self._spans else None
                if span is None or span.end_s is not None:
                    continue
                reading = self._reader.read()
                if reading is not None:
                    span.readings.append((self._clock(), reading))


def summary(readings: Sequence[Reading], source: UsageSource) -> DeviceUsage:
    """Means, maxima and shares of readings at equal distances; `seconds`, energy and what is missing are not known.

    >>> usage = summary([Reading(power_w=50.0, slowdowns=frozenset({"power cap"})), Reading(power_w=70.0)], "nvml")
    >>> usage.power_w, usage.power_max_w, dict(usage.slowdowns), usage.utilization
    (60.0, 70.0, {'power cap': 0.5}, None)
    """
    reasons = sorted({reason for reading in readings for reason in reading.slowdowns})
    temperatures = [r.temperature_c for r in readings if r.temperature_c is not None]
    return DeviceUsage(
        source=source,
        samples=len(readings),
        seconds=0.0,
        utilization=_mean([r.utilization for r in readings]),
        memory_utilization=_mean([r.memory_utilization for r in readings]),
        power_w=_mean([r.power_w for r in readings]),
        power_max_w=max((r.power_w for r in readings if r.power_w is not None), default=None),
        memory_bytes=max((r.memory_bytes for r in readings if r.memory_bytes is not None), default=None),
        clock_hz=_mean([r.clock_hz for r in readings]),
        memory_clock_hz=_mean([r.memory_clock_hz for r in readings]),
        temperature_max_c=max(temperatures, default=None),
        slowdowns={reason: sum(reason in r.slowdowns for r in readings) / len(readings) for reason in reasons},
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _energy(readings: Sequence[tuple[float, Reading]]) -> float | None:
    """Joules between the first and the last reading by the device's own counter; None when it has none."""
    counted = [reading.energy_j for _, reading in readings if reading.energy_j is not None]
    return counted[-1] - counted[0] if len(counted) >= 2 else None
