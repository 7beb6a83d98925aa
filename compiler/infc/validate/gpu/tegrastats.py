"""Sensors of a Jetson module, which has no NVML: lines of NVIDIA's `tegrastats`.

The GPU stands there in three forms: `GR3D_FREQ 45%@1300` (JetPack 5), `GR3D_FREQ 0%@[1300,1300]` (one clock for each
GPC, JetPack 6) and `GR3D_FREQ @[1574,1574,1574]` (Thor: no load). Rails are instant and mean milliwatts.
Source: "Tegrastats Utility" of the Jetson Linux Developer Guide; lines of real modules, which the tests hold.
"""

import contextlib
import re
import shutil
import subprocess
import threading

from infc.ir.device_usage import UsageSource
from infc.validate.gpu.sampler import Reading

INTERVAL_MS = 100
_GPU = re.compile(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?(\d+(?:,\d+)*)\]?)?")
_MEMORY = re.compile(r"\bEMC_FREQ (?:(\d+)%)?(?:@(\d+))?")
_RAM = re.compile(r"\bRAM (\d+)/\d+MB")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d+)mW/\d+mW")
_HEAT = re.compile(r"\b(gpu|tj)@(-?\d+(?:\.\d+)?)C", re.IGNORECASE)
_WHOLE_MODULE = ("VDD_IN", "VIN")
"""Rails that feed everything, by their names on Orin NX, Orin Nano and Xavier NX, and on Thor."""
_PARTS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
"""Rails of AGX Orin that together feed the module."""
_ENDS_WITHIN_S = 2.0


def reading_from_line(line: str) -> Reading | None:
    """What one line says; None for a line that is none of tegrastats.

    >>> reading = reading_from_line("RAM 6712/7620MB (lfb 12x4MB) GR3D_FREQ 99%@[612] gpu@58.5C VDD_IN 9210mW/8801mW")
    >>> reading.utilization, reading.clock_hz, reading.power_w, reading.temperature_c
    (0.99, 612000000.0, 9.21, 58.5)
    """
    ram = _RAM.search(line)
    if ram is None:
        return None
    load, clock_hz = _load_and_clock(_GPU.search(line))
    memory_load, memory_clock_hz = _load_and_clock(_MEMORY.search(line))
    rails = {name: int(milliwatts) / 1e3 for name, milliwatts in _RAIL.findall(line)}
    heats = [float(degrees) for _, degrees in _HEAT.findall(line) if float(degrees) > 0.0]  # -256: the part is off
    return Reading(
        utilization=load,
        memory_utilization=memory_load,
        power_w=_module_power_w(rails),
        memory_bytes=int(ram[1]) * 2**20,
        clock_hz=clock_hz,
        memory_clock_hz=memory_clock_hz,
        temperature_c=max(heats, default=None),
    )


def _load_and_clock(found: re.Match[str] | None) -> tuple[float | None, float | None]:
    if found is None:
        return None, None
    load, clocks = found.groups()
    megahertz = max(map(int, clocks.split(",")), default=0) if clocks else None
    return None if load is None else int(load) / 100.0, None if megahertz is None else megahertz * 1e6


def _module_power_w(rails: dict[str, float]) -> float | None:
    whole = next((rails[name] for name in _WHOLE_MODULE if name in rails), None)
    if whole is not None:
        return whole
    parts = [rails[name] for name in _PARTS if name in rails]
    return sum(parts) if parts else None


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
