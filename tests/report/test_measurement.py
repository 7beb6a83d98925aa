"""Measurements as text and JSON: every number where a reader looks for it, rehearsals marked, schema kept."""

import json
import math
from dataclasses import replace

import pytest

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.measurement import LatencyLayers, Measurement, SloVerdict
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.report.measurement_json import render_measurement_json
from infc.report.measurement_schema import measurement_schema
from infc.report.measurement_text import render_measurement_text

jsonschema = pytest.importorskip("jsonschema", reason="a development dependency")

P50 = SloVerdict(
    label="p50",
    limit_s=0.010,
    predicted_s=Interval(value=0.006, low=0.005, high=0.007),
    measured_s=Interval(value=0.0064, low=0.0062, high=0.0066),
    confidence=0.99,
    verdict=Verdict.PASS,
    samples=480,
    overs=12,
    effective_samples=240.0,
)
P99 = SloVerdict(
    label="p99",
    limit_s=0.025,
    predicted_s=None,
    measured_s=Interval(value=0.0171, low=0.0162, high=math.inf),
    confidence=0.99,
    verdict=Verdict.PASS,
    samples=4800,
    overs=1,
    effective_samples=2400.0,
)
PROFILE = ServiceTimeProfile(
    model_digest="0" * 64,
    precision=Precision.INT8,
    hardware_id="cpu",
    engine_kind="onnxruntime",
    instances=1,
    points=(
        ServiceTimePoint(
            batch_size=1, axes={}, seconds=Interval(value=0.0043, low=0.0042, high=0.0044), executions=4000
        ),
    ),
    environment={"server": "tritonserver 2.51.0"},
)
MEASURED = Measurement(
    name="encoder",
    target="cpu",
    offered_rps=250.0,
    completed_rps=249.5,
    requests=5000,
    errors=0,
    duration_s=20.0,
    e2e_s={"mean": Interval(value=0.0071, low=0.007, high=0.0072), "p50": P50.measured_s, "p99": P99.measured_s},
    layers=LatencyLayers(
        transport_s=0.0006, queue_s=0.0027, compute_input_s=0.0001, compute_s=0.0034, compute_output_s=0.0003
    ),
    mean_batch_size=1.25,
    send_lag_p99_s=0.0002,
    verdicts=(P50, P99),
    verdict=Verdict.PASS,
    stopped_by="settled",
    is_rehearsal=False,
    service_time=PROFILE,
    environment={"server": "tritonserver 2.51.0", "device": "a processor"},
    batch_sizes={1: 3000, 2: 1000},
    predicted_s={"p50": Interval(value=0.006, low=0.005, high=0.007)},
    warmup_s=2.0,
)
EXPECTED = """\
encoder on cpu: pass

         limit     predicted (90%)          measured (95%)           verdict
  mean                                      7.10 ms (7.00 to 7.20)
  p50    10.0 ms   6.00 ms (5.00 to 7.00)   6.40 ms (6.20 to 6.60)   pass (12 of 480 over, 99% sure)
  p99    25.0 ms                            17.1 ms (16.2 to ?)      pass (1 of 4800 over, 99% sure)

where an answered request's time goes (mean 7.10 ms)
  transport         0.60 ms   8%  #####
  queue             2.70 ms  38%  ########################
  compute input     0.10 ms   1%  #
  compute           3.40 ms  48%  ##############################
  compute output    0.30 ms   4%  ###

load         250/s offered open loop, 249.5/s answered, 5000 requests in 20.0 s after 2.0 s of warm-up, 0 errors, \
send lag p99 0.20 ms
batches      mean 1.25 (1: 75%, 2: 25%)
service time ms by batch size 1: 4.30
environment  server tritonserver 2.51.0; device a processor
stopped      the verdict was settled"""


def test_text_shows_predicted_and_measured_side_by_side() -> None:
    """One line a percentile; an upper bound that the samples do not give is a question mark."""
    assert render_measurement_text(MEASURED) == EXPECTED


def test_color_changes_only_the_verdict() -> None:
    """Without its escape sequences the colored text is the plain one."""
    colored = render_measurement_text(MEASURED, color=True)
    assert "\x1b[" in colored
    for code in ("\x1b[32m", "\x1b[1m", "\x1b[0m"):
        colored = colored.replace(code, "")
    assert colored == EXPECTED


def test_a_rehearsal_says_so_wherever_the_verdict_stands() -> None:
    """Nobody may mistake a rehearsal for a measurement."""
    text = render_measurement_text(replace(MEASURED, is_rehearsal=True, service_time=None))
    assert text.splitlines()[0].startswith("encoder on cpu: pass (rehearsal: scheduling only")
    assert "verdict (rehearsal)" in text
    assert json.loads(render_measurement_json(replace(MEASURED, is_rehearsal=True)))["is_rehearsal"] is True


def test_an_inconclusive_verdict_says_how_long_a_test_would_take() -> None:
    """A budget that suffices when the percentile has room, the truth when it has not."""
    open_p99 = replace(P99, verdict=Verdict.INCONCLUSIVE, samples_needed=9000)
    spent = replace(MEASURED, verdict=Verdict.INCONCLUSIVE, stopped_by="budget", verdicts=(P50, open_p99))
    assert "about 9000 samples would settle it: --budget 46s" in render_measurement_text(spent)
    hopeless = replace(spent, verdicts=(P50, replace(open_p99, samples_needed=None)))
    assert "too close to its limit" in render_measurement_text(hopeless)
    untrusted = replace(spent, notes=("not trusted: the load generator sent late",))
    assert "run it on an idle machine" in render_measurement_text(untrusted)


def test_what_the_plan_did_not_expect_is_pointed_out() -> None:
    """Predicted and measured intervals that do not meet."""
    surprised = replace(MEASURED, predicted_s={"p50": Interval(value=0.001, low=0.0009, high=0.002)})
    assert "outside the predicted interval: p50" in render_measurement_text(surprised)


@pytest.mark.parametrize(
    "measurement",
    [
        MEASURED,
        replace(MEASURED, is_rehearsal=True, service_time=None),
        replace(MEASURED, stopped_by="saturated", verdict=Verdict.FAIL, errors=7, notes=("saturated",)),
        replace(MEASURED, verdicts=(replace(P99, verdict=Verdict.INCONCLUSIVE, samples_needed=9000),)),
    ],
)
def test_json_keeps_its_schema(measurement: Measurement) -> None:
    """An infinite bound is null: JSON has no infinity."""
    document = json.loads(render_measurement_json(measurement), parse_constant=pytest.fail)
    jsonschema.validate(document, measurement_schema())
    assert document["latency_ms"]["p99"]["high"] is None
    assert document["latency_ms"]["p99"]["value"] == pytest.approx(17.1)


def test_the_schema_is_one_and_refuses_unknown_fields() -> None:
    """A consumer that relies on the schema sees every change."""
    jsonschema.Draft202012Validator.check_schema(measurement_schema())
    document = json.loads(render_measurement_json(MEASURED)) | {"surprise": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, measurement_schema())
