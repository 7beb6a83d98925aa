"""Deep learning accelerators: only where there is one, and only what it runs."""

import pytest

from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.perf import Unsupported, dla_throughput_per_s, kernel_work
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
