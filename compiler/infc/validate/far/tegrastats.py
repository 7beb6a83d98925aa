"""What one line of NVIDIA's `tegrastats` says.

The GPU stands there in three forms: `GR3D_FREQ 45%@1300` (JetPack 5), `GR3D_FREQ 0%@[1300,1300]` (one clock for each
GPC, JetPack 6) and `GR3D_FREQ @[1574,1574,1574]` (Thor: no load). Rails are instant and mean milliwatts.
Source: "Tegrastats Utility" of the Jetson Linux Developer Guide; lines of real modules, which the tests hold.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_GPU = re.compile(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?(\d+(?:,\d+)*)\]?)?")
_MEMORY = re.compile(r"\bEMC_FREQ (?:(\d+)%)?(?:@(\d+))?")
_RAM = re.compile(r"\bRAM (\d+)/\d+MB")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d+)mW/\d+mW")
_HEAT = re.compile(r"\b(gpu|tj)@(-?\d+(?:\.\d+)?)C", re.IGNORECASE)
_WHOLE_MODULE = ("VDD_IN", "VIN")
"""Rails that feed everything, by their names on Orin NX, Orin Nano and Xavier NX, and on Thor."""
_PARTS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
"""Rails of AGX Orin that together feed the module; without one of them its draw is not known."""
_COLDEST_C = -200.0
"""A zone whose part is switched off says -256; a device outdoors may well say -20."""


class TegrastatsLine(NamedTuple):
    """Shares are 0 to 1; None where the line does not say. `temperature_c` is the hotter of GPU and junction."""

    utilization: float | None
    memory_utilization: float | None
    power_w: float | None
    memory_bytes: int
    clock_hz: float | None
    memory_clock_hz: float | None
    temperature_c: float | None


def tegrastats_line(line: str) -> TegrastatsLine | None:
    """What a line says; None for one that is none of tegrastats.

    >>> said = tegrastats_line("RAM 6712/7620MB (lfb 12x4MB) GR3D_FREQ 99%@[612] gpu@58.5C VDD_IN 9210mW/8801mW")
    >>> said.utilization, said.clock_hz, said.power_w, said.temperature_c
    (0.99, 612000000.0, 9.21, 58.5)
    """
    ram = _RAM.search(line)
    if ram is None:
        return None
    load, clock_hz = _load_and_clock(_GPU.search(line))
    memory_load, memory_clock_hz = _load_and_clock(_MEMORY.search(line))
    rails = {name: int(milliwatts) / 1e3 for name, milliwatts in _RAIL.findall(line)}
    heats = [float(degrees) for _, degrees in _HEAT.findall(line) if float(degrees) > _COLDEST_C]
    return TegrastatsLine(
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
    return sum(rails[name] for name in _PARTS) if all(name in rails for name in _PARTS) else None
