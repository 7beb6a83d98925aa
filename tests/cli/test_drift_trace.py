"""`infc drift --trace`: recorded traffic against the workload, and what a record cannot tell."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.ir.arrival import BurstyArrival, ConstantArrival, PoissonArrival, TraceArrival
from infc.ir.problem import AxisDistribution, Problem
from infc.lock.drift import DriftItem, DriftVerdict
from infc.lock.drift.trace import trace_items
from infc.pipeline.drift.locked import open_locked, resolve_locked
from infc.report.drift_json import drift_schema
from infc.sim.arrivals import arrival_times_s
from infc.sim.trace_fit import fit_arrivals
from tests.pipeline.drift_workspace import EXAMPLE, SPEC, Compiled, compiled

pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are part of a checkout, not of a wheel")
pytest.importorskip("tritonclient", reason="the extra `triton` is not installed")

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """A deployment for 60/s, 100/s at the peak."""
    return compiled(tmp_path_factory.mktemp("drift") / "workspace")


@pytest.fixture(scope="module")
def problem(made: Compiled) -> Problem:
    """What its spec states."""
    opened, _ = open_locked(made.root / SPEC)
    assert opened is not None
    resolved, _ = resolve_locked(opened)
    assert resolved is not None
    assert isinstance(resolved.problem, Problem)
    return resolved.problem


def poisson(rate_rps: float, span_s: float, seed: int = 0) -> list[float]:
    """Times of a Poisson process."""
    times: list[float] = arrival_times_s(PoissonArrival(), rate_rps, int(rate_rps * span_s), seed).tolist()
    return times


def verdicts(problem: Problem, times_s: Sequence[float], **sizes: Sequence[int]) -> dict[str, DriftItem]:
    """The items of a record by id."""
    columns = {name: tuple(values) for name, values in sizes.items()}
    start = times_s[0]
    trace = TraceArrival(
        path="t.csv", timestamps_s=tuple(float(t - start) for t in times_s), sizes=columns, starts_at_s=0.0
    )
    return {item.id: item for item in trace_items(problem, fit_arrivals(trace))}


def test_traffic_as_planned_is_no_drift_and_a_short_record_says_little(problem: Problem) -> None:
    """Ten minutes at the planned rate: the pattern is the same; that no hour has more they cannot tell."""
    found = verdicts(problem, poisson(60.0, 600.0))
    assert found["burstiness"].verdict is DriftVerdict.SAME
    assert found["mean-rate"].verdict is DriftVerdict.NOT_VISIBLE
    assert found["peak-rate"].verdict is DriftVerdict.NOT_VISIBLE
    assert "not a day" in found["peak-rate"].note


def test_chance_alone_is_no_drift(problem: Problem) -> None:
    """Records at the planned peak itself, whose busiest stretch always lies above it: none of them drifts."""
    for seed in range(6):
        found = verdicts(problem, poisson(100.0, 120.0, seed))
        assert found["peak-rate"].verdict is not DriftVerdict.DRIFTED, seed
        assert found["burstiness"].verdict is not DriftVerdict.DRIFTED, seed


def test_more_than_the_peak_is_drift_however_short(problem: Problem) -> None:
    """Two minutes at 130/s surely are more than 100/s at the peak."""
    found = verdicts(problem, poisson(130.0, 120.0))
    assert found["peak-rate"].verdict is DriftVerdict.DRIFTED


def test_a_whole_day_tells_the_mean(problem: Problem) -> None:
    """A day of thin traffic of the same shape: the mean is known, within its bounds; more than planned is drift."""
    thin = replace(problem, traffic=replace(problem.traffic, rate_rps=0.2, peak_rps=0.4))
    same = verdicts(thin, poisson(0.2, DAY_S))
    assert same["mean-rate"].verdict is DriftVerdict.SAME
    more = verdicts(thin, poisson(0.3, DAY_S))
    assert more["mean-rate"].verdict is DriftVerdict.DRIFTED
    assert more["mean-rate"].low is not None
    assert more["mean-rate"].low > 0.2


def test_bursts_are_drift_and_evenness_is_not(problem: Problem) -> None:
    """Gaps that vary twice as much make longer queues; constant ones only shorter."""
    bursty = arrival_times_s(BurstyArrival(cv=2.0), 60.0, 20_000, seed=1)
    assert verdicts(problem, bursty.tolist())["burstiness"].verdict is DriftVerdict.DRIFTED
    even = arrival_times_s(ConstantArrival(), 60.0, 20_000, seed=1)
    assert verdicts(problem, even.tolist())["burstiness"].verdict is DriftVerdict.SAME


def test_hours_of_the_day_against_the_planned_shape(problem: Problem) -> None:
    """A day whose evening has twice its planned share: that hour is named; a record without a time of day is none."""
    shape = [1.0] * 24
    shape[20] = 2.0
    generator = np.random.default_rng(3)
    times = np.sort(
        np.concatenate([3600.0 * hour + generator.uniform(0.0, 3600.0, int(720 * m)) for hour, m in enumerate(shape)])
    )
    flat = replace(problem.traffic, rate_rps=0.2, peak_rps=1.0, hourly=(1.0,) * 24)
    found = verdicts(replace(problem, traffic=flat), times.tolist())
    assert found["hourly-shape"].verdict is DriftVerdict.DRIFTED
    assert str(found["hourly-shape"].observed).startswith("20:00")
    planned = replace(flat, hourly=tuple(shape))
    assert verdicts(replace(problem, traffic=planned), times.tolist())["hourly-shape"].verdict is DriftVerdict.SAME


def test_sizes_are_judged_as_surely_as_their_number_allows(problem: Problem) -> None:
    """Twice the planned length is drift; three requests cannot tell; one that is too long is."""
    axes = {"sequence": AxisDistribution(percentiles={50.0: 24, 90.0: 80}, maximum=128)}
    own = replace(problem, traffic=replace(problem.traffic, axes=axes))
    times = poisson(60.0, 60.0)
    longer = verdicts(own, times, sequence=[48, 100] * (len(times) // 2))
    assert longer["axis-sequence-p50"].verdict is DriftVerdict.DRIFTED
    few = verdicts(own, [0.0, 1.0, 2.0], sequence=[20, 24, 28])
    assert few["axis-sequence-p90"].verdict is DriftVerdict.NOT_VISIBLE
    over = verdicts(own, [0.0, 1.0, 2.0], sequence=[20, 24, 129])
    assert over["axis-sequence-max"].verdict is DriftVerdict.DRIFTED
    assert verdicts(own, times)["axis-sequence-mean"].verdict is DriftVerdict.NOT_VISIBLE
    rows = verdicts(own, times, batch=[1, 2] * (len(times) // 2))
    assert rows["rows-per-request"].verdict is DriftVerdict.DRIFTED


@pytest.fixture
def drift(made: Compiled, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`infc drift --trace` of these times: what it prints; the exit code must be the given one."""
    monkeypatch.chdir(made.root)

    def run(times_s: Sequence[float], code: int, *arguments: str) -> str:
        Path("t.csv").write_text("timestamp_s\n" + "".join(f"{each:.6f}\n" for each in times_s))
        capsys.readouterr()
        assert app.main(["drift", SPEC, "--trace", "t.csv", *arguments], standalone_mode=False) == code
        return capsys.readouterr().out

    return run


def test_the_plan_for_the_recorded_traffic_stands_beside_the_locked_one(drift: Callable[..., str]) -> None:
    """Traffic at six times the peak: more than one replica, with the workload that it is for."""
    text = drift(poisson(600.0, 60.0), 4, "--format", "json")
    document = json.loads(text)
    Draft202012Validator(drift_schema()).validate(document)
    assert document["subject"] == "trace"
    assert document["plan"]["workload"]["peak"].endswith("/s")
    assert document["plan"]["candidate"]
    assert document["plan"]["locked"]["replicas"] == 1


def test_what_is_as_planned_is_exit_0(drift: Callable[..., str]) -> None:
    """No plan is made where the locked one fits, and what the record cannot tell is listed."""
    text = drift(poisson(60.0, 60.0), 0)
    assert "nothing drifted" in text
    assert "not visible" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_file_that_is_no_trace_has_its_line_named(
    made: Compiled, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The diagnostics of traces, and exit 5."""
    monkeypatch.chdir(made.root)
    Path("bad.csv").write_text("timestamp_s\n1\nx\n")
    assert app.main(["drift", SPEC, "--trace", "bad.csv"], standalone_mode=False) == 5
    assert "bad.csv:3" in capsys.readouterr().err
