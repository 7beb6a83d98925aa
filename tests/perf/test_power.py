"""Power between idle and full draw, and what a calibration that saw the device at full draw changes."""

import pytest

from infc.perf import device_power
from infc.resolve.targets import load_catalogue


def test_measured_draw_takes_the_place_of_the_cap() -> None:
    """A model that draws 40 W of an L4's 72 W when it always runs draws less at half load, too; idle stays."""
    l4 = load_catalogue(None).find("l4")
    assert l4 is not None
    by_cap, measured = device_power(l4, 1.0), device_power(l4, 1.0, busy_w=40.0)
    assert by_cap is not None
    assert measured is not None
    assert by_cap.value == l4.tdp_w
    assert measured.value == 40.0
    half, idle = device_power(l4, 0.5, busy_w=40.0), device_power(l4, 0.0, busy_w=40.0)
    assert half is not None
    assert idle is not None
    assert half.value == pytest.approx((idle.value + 40.0) / 2)
    assert idle.value == pytest.approx(0.15 * 72.0)


def test_measured_draw_outside_of_what_the_card_can_is_bounded() -> None:
    """Never above the cap, and idle never above what was measured at work."""
    l4 = load_catalogue(None).find("l4")
    assert l4 is not None
    above, below = device_power(l4, 1.0, busy_w=500.0), device_power(l4, 0.0, busy_w=5.0)
    assert above is not None
    assert below is not None
    assert above.value == above.high == l4.tdp_w
    assert below.value == 5.0
