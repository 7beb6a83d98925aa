"""What a device did while it was measured: NVML through a stand-in, tegrastats through lines of real modules."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infc.ir.device_usage import DeviceUsage, UsageSource
from infc.validate.gpu.device import GpuDevice
from infc.validate.gpu.nvml import driver_version, nvml_reader
from infc.validate.gpu.sampler import DeviceSampler, Reading
from infc.validate.gpu.tegrastats import TegrastatsReader, reading_from_line
from infc.validate.gpu.watch import watch_device
from tests.gpu.stand_in import Nvml

DEVICE = GpuDevice(
    index=0,
    name="NVIDIA L4",
    compute_capability="8.9",
    memory_bytes=22 * 2**30,
    sm_count=58,
    pci_bus_id="0000:65:00.0",
    driver_cuda="13.0",
)
XAVIER_NX = (
    "07-09-2024 13:31:31 RAM 3168/6851MB (lfb 2x4MB) SWAP 161/3426MB (cached 0MB) CPU [23%@1397,17%@1192,16%@1190,"
    "13%@1190,23%@1190,10%@1190] EMC_FREQ 2%@204 GR3D_FREQ 0%@[114] VIC_FREQ 115 APE 150 AUX@45C CPU@46.5C "
    "thermal@45.6C AO@45C GPU@45.5C PMIC@50C VDD_IN 2763mW/2846mW VDD_CPU_GPU_CV 650mW/670mW VDD_SOC 650mW/711mW"
)
AGX_ORIN = (
    "04-11-2025 10:36:27 RAM 4321/62801MB (lfb 1759x4MB) SWAP 19/31400MB (cached 0MB) CPU [0%@729,0%@729] EMC_FREQ "
    "0%@2133 GR3D_FREQ 14%@[407,612] VIC_FREQ 729 APE 174 CV0@-256C CPU@44.562C Tboard@32C SOC2@40.093C GPU@-256C "
    "tj@44.343C SOC1@41.25C VDD_GPU_SOC 2340mW/2340mW VDD_CPU_CV 390mW/390mW VIN_SYS_5V0 4025mW/4025mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW"
)
THOR = (
    "08-08-2026 20:58:23 RAM 3429/125749MB (lfb 120x4MB) CPU [0%,5%,off]@2601 EMC_FREQ @4266 GR3D_FREQ "
    "@[1574,1574,1574] cpu@49.75C/49.75C tj@51.218C/51.218C gpu@51.218C/51.218C VDD_GPU 6330mW/6330mW/6330mW "
    "VIN 28906mW/14453mW/28906mW"
)
OLD = "RAM 1685/7854MB (lfb 1044x4MB) CPU [0%@1303] EMC_FREQ 0%@1866 GR3D_FREQ 45%@1300 APE 150 GPU@39C"


class Ramp:
    """A device whose power rises by 10 W at every look, and that was asked too often when it is asked after the end."""

    def __init__(self, *, has_counter: bool) -> None:
        self.looks = 0
        self.is_closed = False
        self._has_counter = has_counter

    @property
    def source(self) -> UsageSource:
        """Some sensors."""
        return "nvml"

    def read(self) -> Reading:
        """One look."""
        assert not self.is_closed
        self.looks += 1
        return Reading(power_w=10.0 * self.looks, energy_j=100.0 * self.looks if self._has_counter else None)

    def missing(self) -> tuple[str, ...]:
        """All is there."""
        return ()

    def close(self) -> None:
        """Once."""
        assert not self.is_closed
        self.is_closed = True


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread or process does, a minute at most."""
    deadline = time.monotonic() + 60.0
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)


def sampled(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> DeviceUsage:
    """What a span of some samples saw."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with watch_device(DEVICE) as watch:
        with watch.span():
            wait_until(lambda: (seen := watch.usage()) is not None and seen.samples >= 4)
        usage = watch.usage()
    assert usage is not None
    assert nvml.opened == 0
    return usage


def test_nvml_tells_everything_in_base_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Percent are shares, MHz Hz, milliwatts watts; the energy counter gives the mean power."""
    usage = sampled(Nvml(), monkeypatch)
    assert usage.samples >= 4
    assert usage.utilization == pytest.approx(0.93)
    assert usage.memory_utilization == pytest.approx(0.41)
    assert usage.power_w is not None
    assert 0.0 < usage.power_w <= 50.5  # less where the span goes on after the last look at the counter
    assert usage.power_max_w == 60.0
    assert usage.energy_j == pytest.approx(usage.power_w * usage.seconds)
    assert (usage.memory_bytes, usage.clock_hz, usage.memory_clock_hz) == (3 * 2**30, 1.5e9, 6.251e9)
    assert usage.temperature_max_c == 71.0
    assert dict(usage.slowdowns) == {"power cap": 1.0}
    assert usage.missing == ()


def test_what_the_gpu_refuses_is_absent_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an energy counter power is the mean of the samples; an old driver's name for slowdowns is tried."""
    refused = (
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetCurrentClocksEventReasons",
    )
    usage = sampled(Nvml(refused=refused, reasons=0x20 | 1), monkeypatch)
    assert usage.utilization is None
    assert usage.power_w == 60.0
    assert usage.energy_j == pytest.approx(60.0 * usage.seconds)
    assert usage.missing == ("energy", "utilization")
    assert dict(usage.slowdowns) == {"heat (driver)": 1.0}


@pytest.mark.parametrize(
    ("nvml", "reason"), [(None, "nvidia-ml-py is not installed"), (Nvml(refused=("nvmlInit",)), "NVML does not start")]
)
def test_without_nvml_nothing_is_sampled_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, nvml: Nvml | None, reason: str
) -> None:
    """Calibration goes on without."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with watch_device(DEVICE) as watch:
        with watch.span():
            pass
        assert watch.usage() is None
        assert watch.last_span() is None
    assert watch.reason.startswith(reason)
    assert str(nvml_reader(DEVICE)).startswith(reason)
    assert driver_version(DEVICE) is None


def test_only_spans_count() -> None:
    """What the device does between two measurements is neither in the samples nor in the energy."""
    reader = Ramp(has_counter=True)
    with DeviceSampler(reader, period_s=0.01) as sampler:
        with sampler.span():
            wait_until(lambda: reader.looks >= 3)
        first, looks = sampler.last_span(), reader.looks
        time.sleep(0.05)
        assert reader.looks == looks
        with sampler.span():
            pass
        both = sampler.usage()
    assert reader.is_closed
    assert first.samples == looks >= 3
    assert first.energy_j == 100.0 * (looks - 1)
    assert both.samples == looks + 2
    assert both.energy_j == first.energy_j + 100.0


@pytest.mark.parametrize(
    ("line", "load", "clock_hz", "power_w", "heat_c", "used_mib"),
    [
        (XAVIER_NX, 0.0, 114e6, 2.763, 45.5, 3168),
        (AGX_ORIN, 0.14, 612e6, 2.340 + 0.390 + 4.025, 44.343, 4321),
        (THOR, None, 1574e6, 28.906, 51.218, 3429),
        (OLD, 0.45, 1300e6, None, 39.0, 1685),
    ],
)
def test_lines_of_real_modules(
    line: str, load: float | None, clock_hz: float, power_w: float | None, heat_c: float, used_mib: int
) -> None:
    """The three forms of the GPU's field; module power is the input rail, or on AGX Orin the sum of its three."""
    reading = reading_from_line(line)
    assert reading is not None
    assert (reading.utilization, reading.clock_hz) == (load, clock_hz)
    assert reading.power_w == (None if power_w is None else pytest.approx(power_w))
    assert (reading.temperature_c, reading.memory_bytes) == (heat_c, used_mib * 2**20)


def test_other_lines_are_no_readings() -> None:
    """A word of the tool about itself, and nothing."""
    assert reading_from_line("tegrastats: run with sudo for more") is None
    assert reading_from_line("") is None


def test_tegrastats_is_followed_and_ended(tmp_path: Path) -> None:
    """Its last line is the reading; closing ends the process; what it never told is named."""
    tool = tmp_path / "tegrastats"
    tool.write_text(f"#!/bin/sh\necho '{THOR}'\nexec sleep 60\n")
    tool.chmod(0o755)
    reader = TegrastatsReader(str(tool))
    wait_until(lambda: reader.read() is not None)
    assert reader.read() == reading_from_line(THOR)
    assert reader.missing() == ("utilization",)
    reader.close()
