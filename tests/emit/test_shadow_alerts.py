"""How far an alert on a shadow looks back follows from how rarely it samples."""

import pytest

from infc.emit.monitoring.alerts import Alert, alerts_of
from infc.emit.monitoring.scope import scope_of
from infc.emit.monitoring.signals import signals_of
from tests.emit.monitoring import deployments


def alerts(one_in: int | None) -> dict[str, Alert]:
    """The alerts of a deployment with a peak of 800 requests/s, by name."""
    served = deployments.triton(shadow_one_in=one_in)
    scope = scope_of(served, is_in_cluster=True)
    return {alert.name: alert for alert in alerts_of(served, signals_of(served, scope), scope)}


@pytest.mark.parametrize(
    ("one_in", "window"), [(None, "1h"), (1, "1h"), (3_000, "1h"), (10_000, "6h"), (54_000, "1d"), (10**6, "3d")]
)
def test_enough_is_compared_in_the_window(one_in: int | None, window: str) -> None:
    """Twice the fewest comparisons that say something, also at a quarter of the peak; three days at the most."""
    expr = alerts(one_in)["InfcShadowDisagrees"].expr
    assert expr.count(f"[{window}]") == 2


def test_a_shadow_that_samples_rarely_is_not_taken_for_silent() -> None:
    """Fifty comparisons should have come before silence means something."""
    assert " > 100000 unless" in alerts(100)["InfcShadowSilent"].expr
    assert " > 2700000 unless" in alerts(54_000)["InfcShadowSilent"].expr
