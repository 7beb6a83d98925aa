"""Sensors of a Jetson module, which has no NVML: NVIDIA's `tegrastats`, followed while something is measured."""

import contextlib
import re
import shutil
import subprocess
import threading

from infc.ir.device_usage import UsageSource
from infc.validate.far.tegrastats import tegrastats_line
from infc.validate.gpu.sampler import Reading

INTERVAL_MS = 100
_ENDS_WITHIN_S = 2.0


def reading_from_line(line: str) -> Reading | None:
    """What one line says; None for a line that is none of tegrastats."""
    said = tegrastats_line(line)
    return None if said is None else Reading(**said._asdict())


def power_mode() -> str | None:
    """The power mode of this Jetson as the catalogue names it; None where nvpmodel does not tell."""
    binary = shutil.which("nvpmodel")
    if binary is None:
        return None
    told = subprocess.run([binary, "-q"], capture_output=True, text=True, timeout=_ENDS_WITHIN_S, check=False)
    return mode_from_text(told.stdout)


def mode_from_text(text: str) -> str | None:
    """The mode in what `nvpmodel -q` prints; boards name it with or without a prefix.

    >>> mode_from_text("NV Power Mode: MODE_15W"), mode_from_text("NV Power Mode: MAXN_SUPER")
    ('15W', 'MAXN_SUPER')
    """
    found = re.search(r"NV Power Mode: (?:MODE_)?(\w+)", text)
    return None if found is None else found[1]


class TegrastatsReader:
    """Runs `tegrastats` and gives its last line's reading."""

    def __init__(self, binary: str) -> None:
        self._process = subprocess.Popen(
            [binary, "--interval", str(INTERVAL_MS)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._last: Reading | None = None
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._follow, name="tegrastats", daemon=True)
        self._thread.start()

    @property
    def source(self) -> UsageSource:
        """Tegrastats."""
        return "tegrastats"

    def read(self) -> Reading | None:
        """The last line that came."""
        return self._last

    def missing(self) -> tuple[str, ...]:
        """What this module never told; power needs root on most."""
        names = {"utilization": "utilization", "power_w": "power", "temperature_c": "temperature"}
        return tuple(sorted(word for name, word in names.items() if name not in self._told))

    def close(self) -> None:
        """End tegrastats."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDS_WITHIN_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._thread.join()

    def _follow(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        with self._process.stdout as lines:
            for line in lines:
                reading = reading_from_line(line)
                if reading is not None:
                    self._last = reading
                    self._told |= {name for name, value in vars(reading).items() if value is not None}


def tegrastats_reader() -> TegrastatsReader | str:
    """A reader of this Jetson, or why it cannot be watched, in words."""
    binary = shutil.which("tegrastats")
    return "tegrastats is not on the PATH" if binary is None else TegrastatsReader(binary)
