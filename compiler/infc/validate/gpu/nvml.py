"""Sensors of an NVIDIA GPU through NVML (package nvidia-ml-py), whatever of them this GPU and its driver have."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from infc.ir.device_usage import UsageSource
from infc.validate.gpu.device import GpuDevice
from infc.validate.gpu.sampler import Reading

T = TypeVar("T")

SLOWDOWNS: Mapping[str, str] = {
    "SwPowerCap": "power cap",
    "SwThermalSlowdown": "heat (driver)",
    "HwThermalSlowdown": "heat (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
    "HwSlowdown": "hardware slowdown",
    "ApplicationsClocksSetting": "clocks set by a user",
    "SyncBoost": "sync boost",
}
"""NVML's reasons (`nvmlClocksEventReason...`, in older releases `nvmlClocksThrottleReason...`) in words.

Idle, and the display's clocks, hold nothing back.
"""


class NvmlReader:
    """Reads one GPU through NVML. A sensor that the GPU refuses once is not asked again; `missing` names it."""

    def __init__(self, nvml: ModuleType, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self._refused: set[str] = set()
        self._slowdown_bits = {
            int(getattr(nvml, name)): words
            for reason, words in SLOWDOWNS.items()
            for name in (f"nvmlClocksEventReason{reason}", f"nvmlClocksThrottleReason{reason}")
            if hasattr(nvml, name)
        }

    @property
    def source(self) -> UsageSource:
        """NVML."""
        return "nvml"

    def read(self) -> Reading:
        """All sensors now."""
        nvml, handle = self._nvml, self._handle
        rates = self._ask("utilization", lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        power_mw = self._ask("power", lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        energy_mj = self._ask("energy", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        memory = self._ask("memory", lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        clock = self._ask("clock", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
        memory_clock = self._ask("memory clock", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM))
        heat = self._ask("temperature", lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        return Reading(
            utilization=None if rates is None else rates.gpu / 100.0,
            memory_utilization=None if rates is None else rates.memory / 100.0,
            power_w=None if power_mw is None else power_mw / 1e3,
            energy_j=None if energy_mj is None else energy_mj / 1e3,
            memory_bytes=None if memory is None else int(memory.used),
            clock_hz=None if clock is None else clock * 1e6,
            memory_clock_hz=None if memory_clock is None else memory_clock * 1e6,
            temperature_c=None if heat is None else float(heat),
            slowdowns=self._slowdowns(),
        )

    def missing(self) -> tuple[str, ...]:
        """Sensors that this GPU or its driver has not."""
        return tuple(sorted(self._refused))

    def close(self) -> None:
        """Let go of NVML."""
        self._nvml.nvmlShutdown()

    def _slowdowns(self) -> frozenset[str]:
        mask = self._ask("slowdowns", self._reasons)
        return frozenset(words for bit, words in self._slowdown_bits.items() if mask is not None and mask & bit)

    def _reasons(self) -> int:
        nvml, handle = self._nvml, self._handle
        try:
            return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
        except nvml.NVMLError_FunctionNotFound:
            # Its name before release 535, and the only one that drivers before it know.
            return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))

    def _ask(self, sensor: str, ask: Callable[[], T]) -> T | None:
        if sensor in self._refused:
            return None
        try:
            return ask()
        except self._nvml.NVMLError:
            self._refused.add(sensor)
            return None


def nvml_reader(device: GpuDevice) -> NvmlReader | str:
    """A reader of this GPU, or why it cannot be watched, in words."""
    try:
        import pynvml
    except ImportError:
        return "nvidia-ml-py is not installed (pip install 'infc[gpu]')"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return f"NVML does not start: {error}"
    try:
        handle = (
            pynvml.nvmlDeviceGetHandleByIndex(device.index)
            if device.pci_bus_id is None
            else pynvml.nvmlDeviceGetHandleByPciBusId(device.pci_bus_id)
        )
    except pynvml.NVMLError as error:
        pynvml.nvmlShutdown()
        return f"NVML does not know this GPU: {error}"
    return NvmlReader(pynvml, handle)


def driver_version(device: GpuDevice) -> str | None:
    """The version of the GPU's driver, None where NVML does not tell."""
    reader = nvml_reader(device)
    if isinstance(reader, str):
        return None
    import pynvml

    try:
        version = pynvml.nvmlSystemGetDriverVersion()
        return version.decode() if isinstance(version, bytes) else str(version)
    except pynvml.NVMLError:
        return None
    finally:
        reader.close()
