"""Power, temperature and throttling while a release is measured: tegrastats, and what the kernel says of slowdowns."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from infc.build.far.process import ender
from infc.validate.far.tegrastats import TegrastatsLine, tegrastats_line

from .programs import find_program

SENSOR_INTERVAL_MS = 250
_ENDS_WITHIN_S = 3.0
_BUSY = 0.9
_SLOWER = 0.95


class SensorWatch:
    """Context manager: reads the sensors from `begin` on; the methods tell what they said so far."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.lines: list[TegrastatsLine] = []
        self._slowdowns_before: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SensorWatch:
        """Ready to begin."""
        self._out = tempfile.TemporaryFile(prefix="infc-tegrastats-")
        return self

    def __exit__(self, *_: object) -> None:
        """End tegrastats."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._out.close()

    def begin(self) -> None:
        """Start tegrastats, where there is one. It writes to a file: no thread must be there when others fork."""
        self._slowdowns_before = slowdown_counts(self.root)
        tool = find_program("tegrastats")
        if tool is not None:
            self._process = subprocess.Popen(
                [tool, "--interval", str(SENSOR_INTERVAL_MS)],
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=subprocess.DEVNULL,
                preexec_fn=ender(),
            )

    def read(self) -> None:
        """Take in what was written so far."""
        handle = self._out.fileno()
        # The position in the file is shared with the process that writes: it must not be moved.
        texts = os.pread(handle, os.fstat(handle).st_size, 0).decode("utf-8", "replace").splitlines()
        self.lines = [line for line in map(tegrastats_line, texts) if line is not None]

    def power_w(self) -> dict[str, float] | None:
        """Mean and largest draw of the module."""
        return _mean_and_most([line.power_w for line in self.lines])

    def temperature_c(self) -> dict[str, float] | None:
        """Mean and largest temperature of the hotter of GPU and junction."""
        return _mean_and_most([line.temperature_c for line in self.lines])

    def is_throttled(self) -> bool | None:
        """Whether the module slowed itself down; None where nothing here would tell.

        It did when the kernel counted a slowdown, or the GPU, busy, mostly ran below the clock that its mode allows.
        """
        now, before = slowdown_counts(self.root), self._slowdowns_before
        ceiling_hz = gpu_ceiling_hz(self.root)
        busy = [
            line.clock_hz
            for line in self.lines
            if line.clock_hz and line.utilization is not None and line.utilization >= _BUSY
        ]
        if not now and (ceiling_hz is None or not busy):
            return None
        slow = [clock for clock in busy if ceiling_hz is not None and clock < _SLOWER * ceiling_hz]
        return any(count > before.get(name, 0) for name, count in now.items()) or 2 * len(slow) > max(len(busy), 1)


def slowdown_counts(root: str) -> dict[str, int]:
    """How often, or how strongly, each part was slowed down so far: by heat, by too much current.

    Source: the cooling devices `gpu-throttle-alert` and their like, which count trips in `thermal_trip_event`, and the
    over-current counters `oc<n>_event_cnt` of Jetson Linux 36; where a kernel has none, nothing is counted.
    """
    found = {}
    system = Path(root) / "sys"
    places = [
        *system.glob("devices/platform/*-throttle-alert/thermal_trip_event"),
        *system.glob("class/hwmon/hwmon*/oc*_event_cnt"),
    ]
    for kind in system.glob("class/thermal/cooling_device*/type"):
        if _text(kind).endswith("-throttle-alert"):
            places.append(kind.with_name("cur_state"))
    for path in places:
        text = _text(path)
        if text.isdigit():
            found[str(path)] = int(text)
    return found


def gpu_ceiling_hz(root: str) -> float | None:
    """The highest clock that the power mode leaves the GPU; None where the kernel does not say."""
    for folder in sorted((Path(root) / "sys" / "class" / "devfreq").glob("*")):
        if "gpu" in folder.name or folder.name.endswith(("ga10b", "gv11b")):
            text = _text(folder / "max_freq")
            if text.isdigit():
                return float(text)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _mean_and_most(values: list[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    return {"mean": sum(known) / len(known), "max": max(known)} if known else None
