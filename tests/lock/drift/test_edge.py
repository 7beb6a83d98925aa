"""An edge device against its lock entry: what agrees, each thing that can drift, and what cannot be seen."""

from collections.abc import Mapping
from typing import Any

import pytest

from infc.ir.problem import LatencyTarget
from infc.lock.drift.edge import LockedEdge, compare_device
from infc.lock.drift.values import DriftItem, DriftReport, DriftVerdict, Observed
from infc.lock.values import LockedRelease
from tests.lock.entries import choice, entry, prediction
from tests.validate.edge.recorded import ACCEPTANCE, CONTENT, changed, status

ADDRESS = "ssh://lab@orin-3"


def locked(limit_s: float = 0.033, **changes: Any) -> LockedEdge:
    """The deployment that the recorded device runs."""
    found = entry(
        name="dock-camera",
        target="jetson-orin-nx-16gb@25W",
        choice=choice(server="jetson", hardware="jetson-orin-nx-16gb", power_mode="25W"),
        predicted=prediction(latency_ms={"p50": 4.0, "p99": 5.5}, power_w=13.0),
        release=LockedRelease(version="7", content=CONTENT, repeats=CONTENT),
    )
    values: dict[str, Any] = {
        "entry": found,
        "spec": "dock.infc.yaml",
        "modules": ("p3767-0000", "p3767-0002"),
        "latency": (LatencyTarget(percentile=99.0, limit_s=limit_s),),
        "confidence": 0.95,
    }
    return LockedEdge(**{**values, **changes})


def _journal(release: str | None) -> dict[str, Any]:
    return {"step": "build", "release": release, "purpose": "install", "is_under_way": release is not None}


def items(report: DriftReport) -> Mapping[str, DriftItem]:
    """The items by id."""
    return {item.id: item for item in report.items}


def drifted(report: DriftReport) -> list[str]:
    """Ids of the items that drifted."""
    return [item.id for item in report.drifted]


def test_a_device_as_it_was_accepted_is_the_same() -> None:
    """Every item agrees, the objective is met by what was measured, and all of it is named."""
    report = compare_device(locked(), ADDRESS, status())
    assert report.verdict == "same"
    assert {item.verdict for item in report.items} == {DriftVerdict.SAME}
    assert list(items(report)) == [
        "lock",
        "installed",
        "module",
        "journal",
        "release",
        "content",
        "power-mode",
        "l4t",
        "tensorrt",
        "engine",
        "acceptance",
        "service-active",
        "service-ready",
        "latency-p50",
        "latency-p99",
        "power",
    ]
    (objective,) = report.objectives
    assert (objective.verdict, objective.low_s, objective.high_s) == (Observed.MET, 0.0058, 0.0066)
    assert (report.requests, report.duration_s, report.is_of_acceptance) == (900, 15.0, True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"power_mode": "15W"}, ["power-mode"]),
        ({"device__l4t": "36.4.4", "deployments__0__engine_key_now": "9" * 64}, ["l4t", "engine"]),
        ({"device__tensorrt": "10.7.0", "deployments__0__engine_key_now": "9" * 64}, ["tensorrt", "engine"]),
        ({"device__module": "p3767-0003"}, ["module"]),
        ({"deployments__0__service__is_active": False}, ["service-active"]),
        ({"deployments__0__service__is_ready": False}, ["service-ready"]),
        ({"deployments__0__journal": _journal("8-111111111111")}, ["journal"]),
        ({"deployments__0__journal": _journal(None)}, ["journal"]),
        ({"deployments__0__release": None, "deployments__0__acceptance": None}, ["installed"]),
        ({"deployments": []}, ["installed"]),
        (
            {
                "deployments__0__release": "6-ba9876543210",
                "deployments__0__acceptance__version": "6",
                "deployments__0__acceptance__content_digest": "sha256:" + "ba9876543210" + "0" * 52,
            },
            ["release", "content"],
        ),
        ({"deployments__0__acceptance__verdict": "fail"}, ["acceptance"]),
        (
            {"deployments__0__acceptance__latency_s__p50": {"value": 0.006, "low": 0.0058, "high": 0.0062}},
            ["latency-p50"],
        ),
        ({"deployments__0__acceptance__power_w": {"mean": 16.5, "max": 18.0}}, ["power"]),
    ],
)
def test_each_thing_that_changed_is_named(changes: dict[str, Any], expected: list[str]) -> None:
    """And nothing else is."""
    report = compare_device(locked(), ADDRESS, status(**changes))
    assert drifted(report) == expected
    assert report.verdict == "drifted"
    assert all(item.note for item in report.drifted if item.id not in ("acceptance",))


def test_a_device_without_an_agent_has_nothing_installed() -> None:
    """That is drift; nothing else can be said."""
    report = compare_device(locked(), ADDRESS, None)
    assert drifted(report) == ["installed"]
    assert report.objectives == ()
    assert items(report)["installed"].observed == "nothing"


def test_what_cannot_be_seen_is_not_taken_for_the_same() -> None:
    """No nvpmodel, no key, no systemd, no acceptance."""
    report = compare_device(
        locked(),
        ADDRESS,
        status(
            power_mode=None,
            deployments__0__engine_key_now=None,
            deployments__0__service={"unit": "x", "is_active": None, "is_ready": True},
        ),
    )
    silent = [item.id for item in report.items if item.verdict is DriftVerdict.NOT_VISIBLE]
    assert silent == ["power-mode", "engine", "service-active"]
    assert report.verdict == "same"
    without = compare_device(locked(), ADDRESS, status(deployments__0__acceptance=None))
    assert items(without)["acceptance"].verdict is DriftVerdict.NOT_VISIBLE
    assert without.verdict == "cannot-tell"


def test_the_objective_is_the_one_that_the_spec_states_now() -> None:
    """Another limit than the accepted one is judged by the interval that was measured."""
    for limit_s, verdict in ((0.005, Observed.MISSED), (0.0062, Observed.CANNOT_TELL), (0.01, Observed.MET)):
        report = compare_device(locked(limit_s), ADDRESS, status())
        assert report.objectives[0].verdict is verdict
    assert compare_device(locked(0.005), ADDRESS, status()).verdict == "slo-missed"
    unmeasured = locked(latency=(LatencyTarget(percentile=90.0, limit_s=1.0),))
    assert compare_device(unmeasured, ADDRESS, status()).objectives[0].verdict is Observed.CANNOT_TELL


def test_a_rollback_of_the_locked_release_says_so() -> None:
    """The device runs the one before because the locked one missed its objective there."""
    older = {
        "deployments__0__release": "6-ba9876543210",
        "deployments__0__acceptance__version": "6",
        "deployments__0__rejected": changed(ACCEPTANCE, verdict="fail"),
    }
    report = compare_device(locked(), ADDRESS, status(**older))
    assert items(report)["release"].note == "release 7 was rolled back there: fail"


def test_a_stale_lock_is_drift() -> None:
    """What runs would be compared with an older spec's plan."""
    assert drifted(compare_device(locked(stale=("spec",)), ADDRESS, status())) == ["lock"]
