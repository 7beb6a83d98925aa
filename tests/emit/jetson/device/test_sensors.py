"""What is read of a device while it is measured."""

import time
from pathlib import Path

import pytest

from infc.emit.jetson.device.sensors import SensorWatch, gpu_ceiling_hz, slowdown_counts
from infc.validate.far.tegrastats import tegrastats_line
from tests.emit.jetson.device.stand_ins import bench

BUSY = "RAM 3429/15656MB GR3D_FREQ 97%@[{mhz}] gpu@58.5C tj@61C VDD_IN {mw}mW/8801mW"


@pytest.mark.parametrize("form", ["jetpack5", "jetpack6", "thor"])
def test_every_form_of_tegrastats(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power of the module and temperature of its junction; the tool has ended afterwards."""
    place = bench(tmp_path, monkeypatch, tegrastats=form, power_w=12.0, temperature_c=63.5)
    with SensorWatch(place.root) as watch:
        watch.begin()
        deadline = time.monotonic() + 20.0
        while watch.power_w() is None and time.monotonic() < deadline:
            time.sleep(0.02)
            watch.read()
    assert watch.power_w() == {"mean": 12.0, "max": 12.0}
    assert watch.temperature_c() == {"mean": 63.5, "max": 63.5}
    assert watch.is_throttled() is None


def test_without_the_tool_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sensor is no failure."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("infc.emit.jetson.device.programs.PROGRAM_FOLDERS", ())
    with SensorWatch(str(tmp_path)) as watch:
        watch.begin()
    assert (watch.power_w(), watch.temperature_c(), watch.is_throttled()) == (None, None, None)


def put(root: Path, path: str, text: str) -> Path:
    """A file of the kernel's."""
    place = root / "sys" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text + "\n")
    return place


def watched(root: Path, *texts: str) -> SensorWatch:
    """A watch that saw these lines since it began."""
    with SensorWatch(str(root)) as watch:
        watch.begin()
    watch.lines = [line for line in map(tegrastats_line, texts) if line is not None]
    assert len(watch.lines) == len(texts)
    return watch


@pytest.mark.parametrize(
    ("line", "power_w", "temperature_c"),
    [
        ("RAM 1/2MB gpu@-12.5C tj@-11C VDD_IN 5000mW/5000mW", 5.0, -11.0),
        ("RAM 1/2MB GPU@-256C tj@0C VDD_GPU_SOC 2000mW/1mW VDD_CPU_CV 0mW/1mW VIN_SYS_5V0 3000mW/1mW", 5.0, 0.0),
        ("RAM 1/2MB GPU@-256C VDD_GPU_SOC 2000mW/1mW VIN_SYS_5V0 3000mW/1mW", None, None),
        ("RAM 1/2MB VDD_GPU 6330mW/6330mW VIN_SYS_5V0 3000mW/1mW", None, None),
        ("RAM 1/2MB gpu@5", None, None),
        ("RAM 1/2MB VDD_IN 92", None, None),
        ("RAM 1/2MB VDD_IN -1mW/0mW tj@nanC", None, None),
    ],
)
def test_odd_lines_say_no_more_than_stands_there(line: str, power_w: float | None, temperature_c: float | None) -> None:
    """Frost is a temperature, a part that is off has none; some of the rails are not the module."""
    said = tegrastats_line(line)
    assert said is not None
    assert (said.power_w, said.temperature_c) == (power_w, temperature_c)


def test_mean_and_most(tmp_path: Path) -> None:
    """Of all lines."""
    watch = watched(tmp_path, BUSY.format(mhz=918, mw=10000), BUSY.format(mhz=918, mw=12000))
    assert watch.power_w() == {"mean": 11.0, "max": 12.0}


@pytest.mark.parametrize(("mhz", "is_throttled"), [(918, False), (612, True)])
def test_a_busy_gpu_below_its_clock_is_throttled(mhz: int, is_throttled: bool, tmp_path: Path) -> None:
    """The clock that the power mode allows stands in devfreq."""
    put(tmp_path, "class/devfreq/17000000.gpu/max_freq", "918000000")
    put(tmp_path, "class/devfreq/2c60000.dla/max_freq", "1")
    assert gpu_ceiling_hz(str(tmp_path)) == 918e6
    line = BUSY.format(mhz=mhz, mw=9000)
    assert watched(tmp_path, line, line).is_throttled() is is_throttled


@pytest.mark.parametrize(
    "path",
    ["devices/platform/gpu-throttle-alert/thermal_trip_event", "class/hwmon/hwmon3/oc3_event_cnt"],
)
def test_what_the_kernel_counted_meanwhile_is_throttling(path: str, tmp_path: Path) -> None:
    """Trips by heat, too much current; earlier ones are not of this measurement."""
    counter = put(tmp_path, path, "4")
    put(tmp_path, "class/thermal/cooling_device7/type", "cpu-throttle-alert")
    put(tmp_path, "class/thermal/cooling_device7/cur_state", "0")
    put(tmp_path, "class/thermal/cooling_device8/type", "pwm-fan")
    put(tmp_path, "class/thermal/cooling_device8/cur_state", "3")
    watch = watched(tmp_path)
    assert sorted(slowdown_counts(str(tmp_path)).values()) == [0, 4]
    assert watch.is_throttled() is False
    counter.write_text("5\n")
    assert watch.is_throttled() is True
