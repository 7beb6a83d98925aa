"""Deep learning accelerators: only where there is one, and only what it runs."""

import pytest

from infc.ir.hardware import Hardware
from infc.ir.interval import Basis, Interval
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimeCurve
from infc.perf import Unsupported, dla_service_time, dla_throughput_per_s, kernel_work
from infc.resolve.targets import load_catalogue
from tests.plan.problems import network

WORK = kernel_work(network(gflops=8.2), {})


def test_two_dlas_of_orin_add_what_was_measured_for_resnet50() -> None:
    """MLPerf v3.1: about 2,750 images/s beside the GPU at MAXN."""
    orin = load_catalogue(None).find("jetson-agx-orin-64gb")
    assert orin is not None
    found = dla_throughput_per_s(WORK, orin, Precision.INT8, "MAXN")
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(2750, rel=0.1)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("hardware", ["jetson-orin-nano-8gb", "l4"])
def test_a_device_without_a_dla_has_none(hardware: str) -> None:
    """Orin Nano and cards have no DLA."""
    device = load_catalogue(None).find(hardware)
    assert device is not None
    found = dla_throughput_per_s(WORK, device, Precision.INT8)
    assert isinstance(found, Unsupported)
    assert "no deep learning accelerator" in found.reason


def device(id: str) -> Hardware:
    """A module of the catalogue."""
    found = load_catalogue(None).find(id)
    assert found is not None
    return found


def test_one_core_runs_one_item_in_its_share_of_the_throughput() -> None:
    """Two equal cores at MAXN: an item takes two over their throughput, and what the server adds; a rough guess."""
    orin = device("jetson-agx-orin-64gb")
    both = dla_throughput_per_s(WORK, orin, Precision.INT8, "MAXN")
    one = dla_service_time(WORK, orin, Precision.INT8, "MAXN")
    assert isinstance(both, Interval)
    assert isinstance(one, ServiceTimeCurve)
    assert len(one.seconds) == 1
    assert one.basis is Basis.ANALYTIC
    assert 0.0 < one.at(1).value - 2.0 / both.value < 0.6e-3
    assert one.at(1).high > 1.7 * one.at(1).value > 3.0 * one.at(1).low


def test_a_mode_that_slows_the_accelerator_makes_it_slow() -> None:
    """10W of Orin NX clocks the first core to a quarter."""
    orin = device("jetson-orin-nx-16gb")
    slow, fast = (dla_service_time(WORK, orin, Precision.INT8, mode) for mode in ("10W", "25W"))
    assert isinstance(slow, ServiceTimeCurve)
    assert isinstance(fast, ServiceTimeCurve)
    assert slow.at(1).value > 3.0 * fast.at(1).value


@pytest.mark.parametrize(
    ("id", "precision", "mode", "words"),
    [
        ("jetson-orin-nano-8gb", Precision.INT8, "15W", "no deep learning accelerator"),
        ("jetson-agx-orin-64gb", Precision.FP16, "MAXN", "INT8 only"),
        ("jetson-xavier-nx-8gb", Precision.INT8, None, "no clocks of the deep learning accelerators"),
    ],
)
def test_there_is_no_time_without_a_figure(id: str, precision: Precision, mode: str | None, words: str) -> None:
    """No accelerator, no measurement in the precision, no clocks of Xavier's modes: no number."""
    found = dla_service_time(WORK, device(id), precision, mode)
    assert isinstance(found, Unsupported)
    assert words in found.reason


def test_a_mode_is_found_with_and_without_its_prefix() -> None:
    """`infc predict --power-mode 30W` means AGX Orin's MODE_30W."""
    orin = device("jetson-agx-orin-64gb")
    assert dla_service_time(WORK, orin, Precision.INT8, "30W") == dla_service_time(
        WORK, orin, Precision.INT8, "MODE_30W"
    )
