"""The traffic of a problem: what the workload says, judged at its peak."""

from pathlib import Path

import pytest

from infc.diag import Severity
from infc.ir.arrival import BurstyArrival, ConstantArrival, PoissonArrival, TraceArrival
from infc.ir.problem import Traffic
from infc.spec import load_spec

from .test_problem import BASE, resolved


def traffic(folder: Path, workload: str) -> Traffic:
    """The traffic of a spec with this workload."""
    problem, ids = resolved(folder, BASE + f"workload: {workload}\n")
    assert problem is not None, ids
    return problem.traffic


def test_the_peak_of_a_diurnal_rate_is_what_an_slo_is_judged_at(tmp_path: Path) -> None:
    """The peak follows from the shape, the process there is steady; the shape of a day sets the hours of the cost."""
    found = traffic(tmp_path, "{rate: 50/s, arrival: {diurnal: {peak_to_mean: 3, cv: 2}}}")
    assert found.peak_rps == pytest.approx(150.0)
    assert found.arrival == BurstyArrival(cv=2.0)
    assert found.hourly is not None
    assert sum(found.hourly) == pytest.approx(24.0)
    assert max(found.hourly) == pytest.approx(3.0)


def test_hours_are_weights(tmp_path: Path) -> None:
    """Only the ratios of the hours count: their mean is the rate. A peak above them is kept."""
    hours = ", ".join(["1"] * 23 + ["25"])
    found = traffic(tmp_path, f"{{rate: 50/s, arrival: {{diurnal: {{hourly: [{hours}]}}}}}}")
    assert found.peak_rps == pytest.approx(50.0 * 25 / 2)
    assert found.arrival == PoissonArrival()
    higher = traffic(tmp_path, f"{{rate: 50/s, peak: 900/s, arrival: {{diurnal: {{hourly: [{hours}]}}}}}}")
    assert higher.peak_rps == 900.0


def test_a_short_period_has_no_hours(tmp_path: Path) -> None:
    """A wave of ten minutes sets the peak, but is no shape of a day."""
    found = traffic(tmp_path, "{rate: 50/s, arrival: {diurnal: {peak_to_mean: 1.5, period: 10min}}}")
    assert found.peak_rps == pytest.approx(75.0)
    assert found.hourly is None


def test_a_trace_brings_its_sizes(tmp_path: Path) -> None:
    """A simulation replays what each request of the trace held."""
    (tmp_path / "monday.jsonl").write_text('{"timestamp": 750, "batch": 4}\n{"timestamp": 250, "batch": 2}\n')
    found = traffic(tmp_path, "{rate: 50/s, arrival: {trace: monday.jsonl}}")
    assert found.arrival == TraceArrival(path="monday.jsonl", timestamps_s=(0.0, 0.5), sizes={"batch": (2, 4)})


@pytest.mark.parametrize(("written", "streams"), [("constant", 1), ("{constant: {streams: 4}}", 4)])
def test_cameras_are_counted(tmp_path: Path, written: str, streams: int) -> None:
    """The rate is of all senders together."""
    found = traffic(tmp_path, f"{{rate: 120/s, arrival: {written}}}")
    assert found.arrival == ConstantArrival(streams=streams)
    assert found.rate_rps == found.peak_rps == 120.0


@pytest.mark.parametrize("streams", ["0", "10001", "2.5", "many"])
def test_a_number_of_cameras_that_is_none_is_refused(tmp_path: Path, streams: str) -> None:
    """One to ten thousand senders; the error stands at the number."""
    spec = tmp_path / "test.infc.yaml"
    spec.write_text(BASE + f"workload: {{rate: 120/s, arrival: {{constant: {{streams: {streams}}}}}}}\n")
    loaded = load_spec(spec)
    assert loaded.spec is None
    (found,) = [
        d for d in loaded.diagnostics if d.severity is Severity.ERROR and "streams" in (d.message + str(d.help))
    ]
    assert found.span is not None
    assert found.span.line == len(BASE.splitlines()) + 1
