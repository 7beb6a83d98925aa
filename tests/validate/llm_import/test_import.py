"""Results of vllm bench 0.32, AIPerf 0.13 and guidellm 0.8.1, made on a real vLLM server, read as measurements.

The recorded files are shortened to what is read (texts and parts of the configuration are left out).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.accuracy import Verdict
from infc.ir.llm_measurement import TokenMetric
from infc.ir.problem import LatencyTarget
from infc.validate.llm_import import import_result, read_result
from infc.validate.llm_import.run import ImportedRun
from tests.validate.llm_import.contracts import contract, target

DATA = Path(__file__).parent / "data"
Targets = Mapping[TokenMetric, tuple[LatencyTarget, ...]]
EASY: Targets = {"ttft": (target(50, 30.0),), "tpot": (target(50, 3.0),), "e2e": (target(50, 60.0),)}
HARD: Targets = {"ttft": (target(50, 0.001),), "tpot": (target(50, 0.0001),)}


def run_of(name: str) -> ImportedRun:
    """A recorded result, which must be readable."""
    run, problems = read_result(DATA / name)
    assert run is not None, problems
    return run


def test_vllm_bench_keeps_every_request() -> None:
    """With --save-detailed: the same means that the tool computed itself, of the same 80 requests."""
    run = run_of("vllm-bench-detailed.json")
    own = json.loads((DATA / "vllm-bench-detailed.json").read_text())
    assert (run.tool, run.requests, run.errors, run.model, run.asked_rps) == ("vllm-bench", 80, 0, "demo", 8.0)
    records = run.records
    assert records is not None
    assert float(records.ttft_s.mean()) * 1e3 == pytest.approx(own["mean_ttft_ms"], rel=1e-4)
    assert float(records.tpot_s.mean()) * 1e3 == pytest.approx(own["mean_tpot_ms"], rel=1e-3)
    assert float(records.gaps_s.mean()) * 1e3 == pytest.approx(own["mean_itl_ms"], rel=1e-3)
    assert float(records.e2e_s.mean()) * 1e3 == pytest.approx(own["mean_e2el_ms"], rel=1e-4)
    assert not records.has_lag
    assert run.offered_rps == pytest.approx(8.0, rel=0.15)


def test_vllm_bench_without_requests_gives_its_figures() -> None:
    """Without --save-detailed: percentiles as given, end-to-end times of each request, and how to get more."""
    run = run_of("vllm-bench.json")
    assert run.records is None
    assert run.summaries["ttft"].percentiles_s.keys() == {50.0, 90.0, 95.0, 99.0}
    assert len(run.e2e_s) == 40
    assert any("--save-detailed" in note for note in run.notes)


def test_aiperf_folder_keeps_every_request() -> None:
    """Requests from one file, how they were made from the other; its inter token latency is TPOT, once a request."""
    run = run_of("aiperf")
    own = json.loads((DATA / "aiperf" / "profile_export_aiperf.json").read_text())
    assert (run.tool, run.version, run.requests, run.asked_rps, run.is_open_loop) == ("aiperf", "0.13.0", 60, 5.0, True)
    records = run.records
    assert records is not None
    assert records.has_lag
    assert float(records.lag_s.mean()) * 1e3 == pytest.approx(own["credit_to_start_latency"]["avg"], rel=0.3)
    assert float(records.tpot_s.mean()) * 1e3 == pytest.approx(own["inter_token_latency"]["avg"], rel=1e-3)
    recomputed = (records.e2e_s - records.ttft_s) / (records.output_tokens - 1)
    assert np.allclose(recomputed, records.tpot_s, rtol=0.01)
    assert run.mean_output_tokens == 32


def test_aiperf_figures_alone_are_read() -> None:
    """The file of figures has percentiles up to p99 and the maximum."""
    run = run_of("aiperf/profile_export_aiperf.json")
    assert run.records is None
    assert run.summaries["tpot"].percentiles_s[100.0] == pytest.approx(0.0926, abs=1e-4)
    assert (run.requests, run.asked_rps) == (60, 5.0)
    assert run.duration_s == pytest.approx(13.3, abs=0.1)


def test_guidellm_keeps_every_request() -> None:
    """Its inter token latency is TPOT; its time per output token, which holds the TTFT, is not read."""
    run = run_of("guidellm.json")
    records = run.records
    assert (run.tool, run.version, run.requests, run.asked_rps) == ("guidellm", "0.8.1", 60, 5.0)
    assert records is not None
    assert np.allclose((records.e2e_s - records.ttft_s) / (records.output_tokens - 1), records.tpot_s, rtol=0.11)
    assert records.has_lag
    assert len(records.gaps_s) == 0


def test_guidellm_schedules_of_late_workers_are_not_believed() -> None:
    """Due times of guidellm 0.8.1 that are seconds after 1970: the lag is not known, and the report says so."""
    run = run_of("guidellm-late-workers.json")
    assert run.records is not None
    assert not run.records.has_lag
    assert any("does not say when requests were due" in note for note in run.notes)


FILES = ["vllm-bench-detailed.json", "aiperf", "guidellm.json", "guidellm-late-workers.json"]


@pytest.mark.parametrize("name", FILES)
def test_easy_targets_pass_and_hard_ones_fail(name: str) -> None:
    """With every request in the file, verdicts are those of infc's own tests, with bounds."""
    run = run_of(name)
    rate, prompt = run.offered_rps, round(run.mean_prompt_tokens)
    for targets, verdict in ((EASY, Verdict.PASS), (HARD, Verdict.FAIL)):
        asked = contract(targets, rate_rps=rate, prompt_tokens=prompt)
        measurement, problems = import_result(DATA / name, asked)
        assert problems == ()
        assert measurement is not None
        assert measurement.verdict is verdict
        assert measurement.stopped_by == "imported"
        assert measurement.percentiles_s["ttft"]["p50"].high < float("inf")
        assert measurement.requests == run.requests
        goodput = measurement.goodput_rps
        assert goodput == pytest.approx(run.requests / run.duration_s) if verdict is Verdict.PASS else goodput == 0


@pytest.mark.parametrize("name", ["vllm-bench.json", "aiperf/profile_export_aiperf.json"])
def test_figures_alone_give_no_bounds(name: str) -> None:
    """Percentiles stand as given; 60 requests and their maximum settle little, and the report says what is missing."""
    run = run_of(name)
    asked = contract({"ttft": (target(99, 30.0),)}, rate_rps=run.offered_rps)
    measurement, _ = import_result(DATA / name, asked)
    assert measurement is not None
    assert measurement.percentiles_s["ttft"]["p99"].high == float("inf")
    assert measurement.verdict is Verdict.INCONCLUSIVE
    assert any("without bounds" in note for note in measurement.notes)


def test_a_metric_that_the_file_lacks_is_not_known(tmp_path: Path) -> None:
    """No end-to-end times: the other targets are judged, and the whole is open."""

    def forget(document: dict[str, object]) -> None:
        for key in [key for key in document if "e2el" in key or key == "latencies"]:
            del document[key]

    path = changed("vllm-bench.json", forget, tmp_path)
    asked = contract({"e2e": (target(50, 60.0),)}, rate_rps=8.0)
    measurement, _ = import_result(path, asked)
    assert measurement is not None
    assert measurement.verdicts == ()
    assert measurement.verdict is Verdict.INCONCLUSIVE
    assert any("says nothing of e2e p50" in note for note in measurement.notes)


def test_figures_alone_can_fail() -> None:
    """A p50 over the limit of a p99 is enough, whatever the bounds."""
    run = run_of("aiperf/profile_export_aiperf.json")
    asked = contract({"ttft": (target(99, 0.02),)}, rate_rps=run.offered_rps)
    measurement, _ = import_result(DATA / "aiperf" / "profile_export_aiperf.json", asked)
    assert measurement is not None
    assert measurement.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("rate", "output", "targets", "reason"),
    [
        (80.0, 32, EASY, "no pass by it"),
        (0.8, 32, HARD, "no failure by it"),
        (8.0, 320, EASY, "shorter than the spec's"),
        (8.0, 3, HARD, "longer than the spec's"),
    ],
)
def test_another_load_is_no_evidence(rate: float, output: int, targets: Targets, reason: str) -> None:
    """A pass at a lower rate or with shorter outputs shows nothing of the spec's, nor a failure at a higher one."""
    asked = contract(targets, rate_rps=rate, output_tokens=output)
    measurement, _ = import_result(DATA / "vllm-bench-detailed.json", asked)
    assert measurement is not None
    assert measurement.verdict is Verdict.INCONCLUSIVE
    assert any(reason in note for note in measurement.notes)


def changed(name: str, change: Callable[[dict[str, object]], object], folder: Path) -> Path:
    """A recorded file with one thing changed."""
    document = json.loads((DATA / name).read_text())
    change(document)
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def test_a_closed_loop_judges_nothing(tmp_path: Path) -> None:
    """Requests that wait for answers hide queueing: no verdict, whatever the figures."""
    path = changed("vllm-bench-detailed.json", lambda d: d.update(max_concurrency=8), tmp_path)
    for targets in (EASY, HARD):
        measurement, _ = import_result(path, contract(targets, rate_rps=8.0))
        assert measurement is not None
        assert measurement.verdict is Verdict.INCONCLUSIVE
        assert any("closed loop" in note for note in measurement.notes)


def test_failed_requests_are_over_every_limit(tmp_path: Path) -> None:
    """Half of the requests failed: no target holds, and the upper bounds are gone."""

    def fail(document: dict[str, object]) -> None:
        document.update(errors=["HTTP 503", ""] * 40, failed=40, completed=40)
        document.update(total_input_tokens=2550, total_output_tokens=1350)

    path = changed("vllm-bench-detailed.json", fail, tmp_path)
    measurement, _ = import_result(path, contract({"ttft": (target(99, 30.0),)}, rate_rps=8.0))
    assert measurement is not None
    assert (measurement.errors, measurement.verdict) == (40, Verdict.FAIL)
    assert measurement.percentiles_s["ttft"]["p99"].value > 0
    assert measurement.percentiles_s["ttft"]["p50"].high == float("inf")
    assert any("40 of 80 requests failed" in note for note in measurement.notes)


def test_a_late_tool_is_not_held_against_the_server(tmp_path: Path) -> None:
    """Requests that AIPerf sent two seconds late fail a target only by that: inconclusive."""
    text = (DATA / "aiperf" / "profile_export.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        row["metadata"]["credit_issued_ns"] -= 2_000_000_000
    (tmp_path / "profile_export.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = contract({"ttft": (target(90, 1.0),)}, rate_rps=5.0)
    measurement, _ = import_result(tmp_path / "profile_export.jsonl", asked)
    assert measurement is not None
    assert measurement.verdict is Verdict.INCONCLUSIVE
    assert measurement.send_lag_p99_s > 2.0
    assert any("ttft p90 would fail, but only with requests" in note for note in measurement.notes)
    assert measurement.percentiles_s["ttft"]["p50"].value > 2.0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"hello", "line 1 is not a JSON object"),
        (b"[1, 2]", "line 1 is not a JSON object"),
        (b"{}", "no load generator that is known"),
        (b"\xff\xfe\x00", "it is not text"),
        (b"[" * 100_000, "line 1 is not a JSON object"),
        (b'{"metadata": {"guidellm_version": "0.8"}, "benchmarks": []}', "it holds 0 runs"),
        (b'{"backend": "x", "num_prompts": 1, "request_throughput": 1, "duration": "soon"}', "`duration` is not"),
        (b'{"aiperf_version": "1", "request_throughput": 3}', "`request_count` or"),
    ],
)
def test_what_is_no_result_is_a_diagnostic(content: bytes, reason: str, tmp_path: Path) -> None:
    """Wrong, empty, foreign and hostile files are one diagnostic with what is read."""
    path = tmp_path / "result.json"
    path.write_bytes(content)
    measurement, (problem,) = import_result(path, contract(EASY))
    assert measurement is None
    assert problem.id == "import-unreadable"
    assert reason in problem.message


def test_several_results_in_one_file_are_refused(tmp_path: Path) -> None:
    """`--append-result` writes one object after the other: which one is meant, nobody said."""
    text = json.dumps(json.loads((DATA / "vllm-bench.json").read_text()))
    path = tmp_path / "many.json"
    path.write_text(f"{text}\n{text}\n")
    _, (problem,) = read_result(path)
    assert "2 results" in problem.message


def test_missing_files_are_diagnostics(tmp_path: Path) -> None:
    """No file, and a folder without one."""
    for path, reason in ((tmp_path / "no.json", "No such file"), (tmp_path, "neither profile_export.jsonl")):
        run, (problem,) = read_result(path)
        assert run is None
        assert reason in problem.message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from([*FILES[:1], "vllm-bench.json", "guidellm.json"]), value=_JSON, data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_field_of_another_type_crashes(
    name: str, value: object, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in any one field, the file is read or refused."""
    document = json.loads((DATA / name).read_text())
    place, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = value
    path = tmp_path_factory.mktemp("changed") / "result.json"
    path.write_text(json.dumps(document))
    import_result(path, contract(EASY))
