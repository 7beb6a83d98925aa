"""A release on a device, and drift of devices, as people and programs read them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from infc.diag import Diagnostic
from infc.ir.accuracy import Verdict
from infc.ir.edge_validation import EdgeOutcome, EdgeValidation
from infc.lock.drift.edge import compare_device
from infc.lock.drift.fleet import DeviceDrift, FleetDrift
from infc.report.drift_fleet import fleet_drift_json, fleet_drift_schema, render_fleet_text
from infc.report.drift_json import drift_json, drift_schema
from infc.report.drift_text import render_drift_text
from infc.report.edge_json import edge_validation_json, edge_validation_schema
from infc.report.edge_text import render_edge_text
from infc.validate.edge.profile import service_times_of
from tests.lock.drift.test_edge import ADDRESS, locked
from tests.validate.edge.recorded import acceptance, release, status

TEXT = """\
dock-camera 7 on Jetson Orin NX 16GB: pass

           limit    predicted               measured                verdict
    p50             4.00 ms (3.00 to 6.00)  4.00 ms (3.90 to 4.10)
    p99    33.0 ms  5.50 ms (4.00 to 8.00)  6.00 ms (5.80 to 6.60)  pass
    power  25 W     13.0 W (11.0 to 15.0)   17.9 W                  pass

  load        60/s offered to the service, 900 requests in 15.0 s, 0 failed
  engine      built there in 3.5 min, 6.2 MB, key eeeeeeeeeeee; alone p50 3.00 ms (2.90 to 3.10),
              p99 4.00 ms (3.90 to 4.20)
  outputs     pass on 16 samples: scores at most 0.01 off, 0.001 in the mean, 100% with the same
              largest element
  power       14.2 W in the mean, 17.9 W at most, mode 25W; predicted 13.0 W
  temperature 51.0 C in the mean, 54.5 C at most, not slowed down
  device      ssh://lab@orin-3, NVIDIA Jetson Orin NX Engineering Reference Developer Kit,
              p3767-0000, L4T 36.4.3, TensorRT 10.3.0
  outcome     in service
"""
FLEET = """\
dock-camera on 4 devices: 2 drifted, 1 no answer, 1 same

    device            target                   release  power mode  verdict    what
    ssh://lab@orin-1  jetson-orin-nx-16gb@25W  7        25W         same
    ssh://lab@orin-2  jetson-orin-nx-16gb@25W  7        15W         drifted    power mode
    ssh://lab@orin-3  jetson-orin-nx-16gb@25W  -        -           drifted    installed
    ssh://lab@orin-4                                                no answer

    - ssh://lab@orin-4: it cannot be reached

  help: --detailed shows what was expected and seen on each device
"""


def validation(**changes: Any) -> EdgeValidation:
    """A release that was accepted."""
    made = EdgeValidation(
        device=ADDRESS,
        bundle=Path("dist/dock-camera/dock-camera-jetson-orin-nx-16gb-7.tar.zst"),
        release=release(),
        target=release().targets[0],
        outcome=EdgeOutcome.IN_SERVICE,
        code=0,
        verdict=Verdict.PASS,
        words=("keep",),
        acceptance=acceptance(),
        service_time=service_times_of(acceptance(), release()),
    )
    return replace(made, **changes)


def test_predicted_and_measured_stand_side_by_side() -> None:
    """Limits, engine, outputs, power, temperature, device and what came of it."""
    assert render_edge_text(validation()) + "\n" == TEXT


def test_what_missed_its_objective_says_what_to_do() -> None:
    """The verdict, the rollback and the device's code."""
    missed = acceptance(verdict="fail", verdicts__0__verdict="fail", latency_s__p99__high=None)
    text = render_edge_text(
        validation(outcome=EdgeOutcome.ROLLED_BACK, code=40, verdict=Verdict.FAIL, acceptance=missed)
    )
    assert "dock-camera 7 on Jetson Orin NX 16GB: fail" in text
    assert "rolled back to the release before (code 40)" in text
    assert "6.00 ms (5.80 to ?)" in text
    assert "help: relax the SLO" in text


def test_a_refusal_is_in_the_device_s_words() -> None:
    """Nothing was measured: no figure is shown, and no advice on the SLO."""
    words = ("error[31]: step build: the engine did not build", "help: look at the log")
    for outcome, code, verdict in (
        (EdgeOutcome.REFUSED, 31, None),
        (EdgeOutcome.NOTHING_IN_SERVICE, 41, Verdict.FAIL),
    ):
        text = render_edge_text(
            validation(outcome=outcome, code=code, verdict=verdict, acceptance=None, words=words, service_time=None)
        )
        assert f"(code {code})" in text
        assert "- error[31]: step build" in text
        assert "relax" not in text
        assert "limit" not in text


def test_json_is_of_its_schema() -> None:
    """With and without sensors, bounds and measurements."""
    unbounded = acceptance(
        power_w=None, temperature_c=None, is_throttled=None, engine=None, outputs=None, latency_s__p99__high=None
    )
    for each in (
        validation(),
        validation(acceptance=unbounded, service_time=None, was_in_service=True),
        validation(acceptance=None, service_time=None, verdict=None, outcome=EdgeOutcome.REFUSED, code=10),
    ):
        document = json.loads(edge_validation_json(each))
        Draft202012Validator(edge_validation_schema()).validate(document)
    assert document["measured"] is None
    assert json.loads(edge_validation_json(validation()))["measured"]["latency_ms"]["p99"]["value"] == 6.0


def test_drift_of_one_device_and_of_many() -> None:
    """The report of a server, and one table with the worst of all; both documents are of their schemas."""
    same, changed = (compare_device(locked(), ADDRESS, each) for each in (status(), status(power_mode="15W")))
    text = render_drift_text(changed)
    assert "power mode  25W       15W   drifted" in text
    assert "accepted with 900 requests" in text
    Draft202012Validator(drift_schema()).validate(json.loads(drift_json(changed)))

    silent = Diagnostic(id="builder-unreachable", message="it cannot be reached", help="look")
    devices = (
        DeviceDrift(address="ssh://lab@orin-1", report=same),
        DeviceDrift(address="ssh://lab@orin-2", report=changed),
        DeviceDrift(address="ssh://lab@orin-3", report=compare_device(locked(), ADDRESS, None)),
        DeviceDrift(address="ssh://lab@orin-4", report=None, problem=silent),
    )
    fleet = FleetDrift(name="dock-camera", spec="dock.infc.yaml", devices=devices)
    assert render_fleet_text(fleet) + "\n" == FLEET
    assert "what runs" in render_fleet_text(fleet, detailed=True)
    document = json.loads(fleet_drift_json(fleet))
    Draft202012Validator(fleet_drift_schema()).validate(document)
    assert document["summary"] == {"slo-missed": 0, "drifted": 2, "no-answer": 1, "cannot-tell": 0, "same": 1}


def test_the_worst_device_decides() -> None:
    """What is known to be wrong comes before what cannot be known."""
    missed = DeviceDrift(address="a", report=compare_device(locked(0.001), ADDRESS, status()))
    silent = DeviceDrift(address="b", report=None)
    same = DeviceDrift(address="c", report=compare_device(locked(), ADDRESS, status()))
    drifted = DeviceDrift(address="d", report=compare_device(locked(), ADDRESS, None))

    def worst(*devices: DeviceDrift) -> str:
        return FleetDrift(name="x", spec="x", devices=devices).verdict

    assert worst(same, silent) == "no-answer"
    assert worst(same, silent, drifted) == "drifted"
    assert worst(drifted, missed, silent) == "slo-missed"
    assert worst(same) == "same"
