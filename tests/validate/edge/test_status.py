"""What a device says of itself is read, with fields that a newer agent adds; anything else is named."""

import json

from infc.ir.edge_status import DeviceStatus
from infc.validate.edge.status import status_from_bytes
from tests.validate.edge.recorded import ACCEPTANCE, STATUS, acceptance, changed, status


def test_a_status_is_read() -> None:
    """Device, power mode, release in service with its acceptance, service."""
    found = status()
    assert (found.device.module, found.device.tensorrt, found.power_mode) == ("p3767-0000", "10.3.0", "25W")
    deployment = found.deployment("dock-camera")
    assert deployment is not None
    assert deployment.acceptance == acceptance()
    assert deployment.service is not None
    assert (deployment.release, deployment.previous, deployment.service.is_ready) == (
        "7-0123456789ab",
        "6-ba9876543210",
        True,
    )
    assert found.deployment("other") is None


def test_what_a_device_does_not_know_is_none() -> None:
    """A fresh device under an install that was cut off."""
    found = status(
        device__module=None,
        device__l4t=None,
        power_mode=None,
        deployments__0__release=None,
        deployments__0__acceptance=None,
        deployments__0__service=None,
        deployments__0__engine_key_now=None,
        deployments__0__journal={
            "step": "build",
            "release": "8-111111111111",
            "purpose": "install",
            "is_under_way": False,
        },
        deployments__0__rejected=changed(ACCEPTANCE, verdict="fail", version="8"),
    )
    (deployment,) = found.deployments
    assert deployment.journal is not None
    assert (deployment.release, deployment.acceptance, deployment.journal.step) == (None, None, "build")
    assert deployment.rejected is not None
    assert deployment.rejected.verdict == "fail"


def test_newer_agents_are_read_and_other_formats_are_not() -> None:
    """Added fields are not looked at; another major version, damage and no JSON are problems with their places."""
    assert isinstance(status(deployments__0__acceptance__later="x", later=1), DeviceStatus)
    for content, words in (
        (json.dumps({**STATUS, "format_version": "2.0"}), "format_version is 2.0"),
        (json.dumps({**STATUS, "deployments": [{"name": "x"}]}), "$.deployments[0].release is missing"),
        ("error[1]: the disk is full", "is not JSON"),
        ("", "is not JSON"),
    ):
        problems = status_from_bytes(content.encode())
        assert not isinstance(problems, DeviceStatus)
        assert any(words in f"{problem.path} {problem.message}".replace("$.f", "f") for problem in problems), problems


def test_percentiles_without_a_bound_are_infinite() -> None:
    """Null is a side that the samples do not bound."""
    found = acceptance(latency_s__p99__high=None, latency_s__p99__low=None)
    assert (found.latency_s["p99"].low, found.latency_s["p99"].high) == (0.0, float("inf"))
