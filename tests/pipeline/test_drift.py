"""Drift of a running vLLM: recorded pages of a real server, what is found when one thing changes, bad servers."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from infc.diag import ToolError
from infc.ir.plan import Plan
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.lock.drift import (
    DriftReport,
    Observed,
    ObservedPlan,
    observed_peak_rps,
    observed_tokens,
)
from infc.lock.entry import locked_choice, locked_prediction
from infc.lock.values import InputDigests, LockedEngine, LockEntry
from infc.pipeline.drift.locked import Deployed
from infc.pipeline.drift.observed import plan_for_observed
from infc.pipeline.drift.vllm import compare, observe
from infc.pipeline.plan import plan_loaded
from infc.report.drift_json import drift_json, drift_schema
from infc.report.drift_text import render_drift_text
from infc.resolve.targets import data_directory
from infc.serve.vllm_view import view_vllm
from infc.sim.lengths import mean_length
from infc.spec import load_spec
from tests.pipeline.vllm_pages import SPEC, WINDOW_S, Recorded, as_recorded, recorded_pages, serving

MODEL = data_directory("targets").parent / "specs" / "tiny-llama" / "model"

pytestmark = pytest.mark.skipif(not MODEL.is_dir(), reason="the examples are part of a checkout, not of a wheel")


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    """The pages as they were."""
    return recorded_pages()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The spec that the server was recorded for, locked with the limits that it had."""
    root = tmp_path_factory.mktemp("workspace")
    (root / ".git").mkdir()
    shutil.copytree(MODEL, root / "model")
    (root / "tiny-llama.infc.yaml").write_text(SPEC)
    loaded = load_spec(root / "tiny-llama.infc.yaml")
    decided = plan_loaded(loaded, {}).decisions[0]
    plan, problem = decided.decision, decided.problem
    assert isinstance(plan, Plan)
    assert isinstance(problem, LlmProblem)
    digest = "sha256:" + "a" * 64
    entry = LockEntry(
        name=loaded.name,
        target="cpu",
        spec="tiny-llama.infc.yaml",
        profile=None,
        inputs=InputDigests(
            spec=digest,
            build_settings=digest,
            model=digest,
            dataset=None,
            calibration=None,
            trace=None,
            hardware=digest,
            price=None,
            toolchain="infc 0.1.0, vllm 0.32.0",
            profiles=(),
            catalogue=digest,
        ),
        choice=locked_choice(problem, plan.candidate),
        predicted=locked_prediction(plan.estimate),
        accuracy=None,
        engine=LockedEngine(
            kind="checkpoint", inputs=digest, key="b" * 64, file="model", is_pending=False, toolchain={}
        ),
        files={},
    )
    return Deployed(loaded=loaded, entry=as_recorded(entry), problem=problem, stale=())


def report_of(deployed: Deployed, recorded: Recorded) -> DriftReport:
    """The comparison over the recorded time."""
    with serving(recorded.pages) as url:
        view = view_vllm(url)
    return compare(deployed, view, recorded.window())


def drifted(report: DriftReport) -> set[str]:
    """Ids of what drifted."""
    return {item.id for item in report.drifted}


def test_nothing_drifted_where_nothing_changed(deployed: Deployed, recorded: Recorded) -> None:
    """The server that the plan describes, under the workload that the spec states: no drift, no objective missed."""
    report = report_of(deployed, recorded)
    assert drifted(report) == set()
    assert report.requests == 240
    assert all(each.verdict is not Observed.MISSED for each in report.objectives)
    assert [item.id for item in report.items if item.observed is None] == ["weights"]


Change = Callable[[Recorded], Recorded]

CHANGES: Mapping[str, Change] = {
    "version": lambda r: r.but("/version", "0.32.0", "0.31.1"),
    "served-model": lambda r: r.but("/v1/models", '"id": "tiny-llama"', '"id": "other"'),
    "model": lambda r: r.but("/v1/models", '"root": "model"', '"root": "/srv/llama-old"'),
    "max-model-len": lambda r: r.but("/v1/models", '"max_model_len": 352', '"max_model_len": 2048'),
    "max-num-seqs": lambda r: r.but("/server_info", '"max_num_seqs": 8', '"max_num_seqs": 256'),
    "max-num-batched-tokens": lambda r: r.but(
        "/server_info", '"max_num_batched_tokens": 2048', '"max_num_batched_tokens": 512'
    ),
    "kv-cache-tokens": lambda r: r.but("/metrics", 'kv_cache_size_tokens="2933"', 'kv_cache_size_tokens="1024"'),
    "kv-cache-dtype": lambda r: r.but("/metrics", 'cache_dtype="auto"', 'cache_dtype="fp8_e4m3"'),
    "prefix-caching": lambda r: r.but("/metrics", 'enable_prefix_caching="False"', 'enable_prefix_caching="True"'),
    "precision": lambda r: r.but("/server_info", '"quantization": null', '"quantization": "fp8"'),
    "chunked-prefill": lambda r: r.but(
        "/server_info", '"enable_chunked_prefill": true', '"enable_chunked_prefill": false'
    ),
    "tensor-parallel-size": lambda r: r.but("/server_info", '"tensor_parallel_size": 1', '"tensor_parallel_size": 2'),
    "speculation": lambda r: r.but(
        "/server_info", '"speculative_config": null', '"speculative_config": {"method": "ngram"}'
    ),
}


@pytest.mark.parametrize("id", CHANGES)
def test_each_change_of_what_runs_is_found(deployed: Deployed, recorded: Recorded, id: str) -> None:
    """One thing of the server differs: that is what drifted, and nothing else."""
    report = report_of(deployed, CHANGES[id](recorded))
    assert drifted(report) == {id}
    assert report.verdict == "drifted"


def scaled(recorded: Recorded, name: str, factor: float) -> Recorded:
    """With every value of a histogram `factor` times as large: edges are moved, and then counted at the old ones."""

    def moved(text: str) -> str:
        edges = [float(edge) for edge in re.findall(rf'{name}_bucket{{[^}}]*le="([^"]+)"', text)]
        counts = [float(count) for count in re.findall(rf"{name}_bucket{{.*}} (\S+)", text)]

        def line(match: re.Match[str]) -> str:
            edge = float(match[2])
            below = max((n for e, n in zip(edges, counts, strict=True) if e * factor <= edge), default=0.0)
            return f"{match[1]}{counts[-1] if edge == float('inf') else below}"

        text = re.sub(rf'({name}_bucket{{[^}}]*le="([^"]+)".*}} )\S+', line, text)
        return re.sub(rf"({name}_sum{{.*}} )(\S+)", lambda m: f"{m[1]}{float(m[2]) * factor}", text)

    return Recorded(
        pages={**recorded.pages, "/metrics": moved(recorded.pages["/metrics"])}, first=moved(recorded.first)
    )


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("vllm:request_prompt_tokens", "prompt-tokens"), ("vllm:request_generation_tokens", "output-tokens")],
)
def test_longer_requests_are_found(deployed: Deployed, recorded: Recorded, name: str, prefix: str) -> None:
    """Requests ten times as long: their mean and percentiles drifted, and nothing else did."""
    report = report_of(deployed, scaled(recorded, name, 10.0))
    assert {f"{prefix}-mean", f"{prefix}-p50", f"{prefix}-p90"} <= drifted(report)
    assert all(id.startswith(prefix) for id in drifted(report))


def test_longer_requests_are_planned_for(deployed: Deployed, recorded: Recorded) -> None:
    """A plan for what is seen is another one, and it stands in the report beside what is locked."""
    longer = scaled(recorded, "vllm:request_generation_tokens", 10.0)
    plan = plan_for_observed(deployed, longer.window())
    assert plan.workload["prompt_tokens"] != plan.workload["output_tokens"]
    assert plan.locked_candidate == deployed.entry.choice.candidate().label
    assert plan.candidate != plan.locked_candidate
    report = replace(report_of(deployed, longer), plan=plan)
    assert "the plan no longer fits" in render_drift_text(report)
    Draft202012Validator(drift_schema()).validate(json.loads(drift_json(report)))


def test_observed_lengths_keep_what_is_certain(deployed: Deployed, recorded: Recorded) -> None:
    """Percentiles of the observed workload lie in the buckets that hold them, and its mean is near the counted one."""
    window = recorded.window()
    tokens = observed_tokens(deployed.problem.tokens, window)
    assert 50 < tokens.prompt.percentiles[50.0] <= 100
    assert 100 < tokens.prompt.percentiles[90.0] <= 200
    assert mean_length(tokens.prompt) == pytest.approx(78, rel=0.15)
    assert mean_length(tokens.output) == pytest.approx(35, rel=0.15)


def test_shorter_prompts_are_found(deployed: Deployed, recorded: Recorded) -> None:
    """A plan for long prompts is too large for short ones: that is drift, too."""
    report = report_of(deployed, scaled(recorded, "vllm:request_prompt_tokens", 0.05))
    assert "prompt-tokens-mean" in drifted(report)


def test_a_higher_rate_is_found(deployed: Deployed, recorded: Recorded) -> None:
    """The same requests in a tenth of the time are ten times the rate: over the peak of the plan."""
    with serving(recorded.pages) as url:
        view = view_vllm(url)
    window = recorded.window(duration_s=WINDOW_S / 10)
    report = compare(deployed, view, window)
    assert drifted(report) == {"arrival-rate"}
    assert observed_peak_rps(deployed.entry, window) == pytest.approx(240 / WINDOW_S * 10)


def test_a_lower_rate_is_no_drift(deployed: Deployed, recorded: Recorded) -> None:
    """At night there is less to do."""
    with serving(recorded.pages) as url:
        view = view_vllm(url)
    assert drifted(compare(deployed, view, recorded.window(duration_s=WINDOW_S * 10))) == set()


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("ttft", "vllm:time_to_first_token_seconds"),
        ("tpot", "vllm:request_time_per_output_token_seconds"),
    ],
)
def test_a_missed_objective_is_found(deployed: Deployed, recorded: Recorded, metric: str, name: str) -> None:
    """A server a hundred times slower misses the SLO, surely; that weighs more than any drift."""
    report = report_of(deployed, scaled(recorded, name, 100.0))
    assert [each.metric for each in report.objectives if each.verdict is Observed.MISSED] == [metric]
    assert report.verdict == "slo-missed"


def test_an_objective_inside_a_bucket_cannot_be_told(deployed: Deployed, recorded: Recorded) -> None:
    """A limit between two edges that hold the percentile: cannot tell, with how to make it visible."""
    target = LatencyTarget(percentile=50.0, limit_s=0.05)
    tight = replace(deployed, problem=replace(deployed.problem, ttft=(target,), tpot=()))
    (judged,) = report_of(tight, recorded).objectives
    assert judged.verdict is Observed.CANNOT_TELL
    assert judged.fewest_within < judged.most_within
    assert "--custom-histogram-buckets" in judged.note
    assert report_of(tight, recorded).verdict == "cannot-tell"


def test_a_median_that_holds_is_told(deployed: Deployed, recorded: Recorded) -> None:
    """240 requests are enough to be sure of a median, and too few to be sure of a p99.9."""
    targets = (LatencyTarget(percentile=50.0, limit_s=2.5), LatencyTarget(percentile=99.9, limit_s=2.5))
    easy = replace(deployed, problem=replace(deployed.problem, ttft=targets, tpot=()))
    median, tail = report_of(easy, recorded).objectives
    assert median.verdict is Observed.MET
    assert tail.verdict is Observed.CANNOT_TELL
    assert "too few requests" in tail.note


def test_slower_than_predicted_is_drift(deployed: Deployed, recorded: Recorded) -> None:
    """The locked prediction is held to a quarter more; a faster server than predicted is no drift."""
    for predicted_ms, expected in ((0.001, {"predicted-tpot-mean"}), (10_000.0, set[str]())):
        entry = replace(deployed.entry, predicted=replace(deployed.entry.predicted, tpot_ms={"mean": predicted_ms}))
        assert drifted(report_of(replace(deployed, entry=entry), recorded)) == expected


def test_what_a_server_does_not_show_is_not_visible(deployed: Deployed, recorded: Recorded) -> None:
    """Without development mode the limits are not visible: never the same; and a full batch gives a limit away."""
    plain = recorded.without("/server_info")
    report = report_of(deployed, plain)
    assert drifted(report) == set()
    hidden = {item.id for item in report.items if item.observed is None}
    assert {"max-num-seqs", "max-num-batched-tokens", "precision", "tensor-parallel-size"} <= hidden
    text = render_drift_text(report)
    assert "VLLM_SERVER_DEV_MODE=1" in text
    busy = plain.but("/metrics", r"(vllm:num_requests_running\{.*\}) \S+", r"\1 40.0")
    assert "max-num-seqs" in drifted(report_of(deployed, busy))


def test_a_key_that_is_missing_is_said(deployed: Deployed, recorded: Recorded) -> None:
    """A server with a key answers 401: the report says which variable holds it."""
    with serving({"/metrics": recorded.pages["/metrics"]}, status=401) as url:
        view = view_vllm(url)
    report = compare(deployed, view, recorded.window())
    assert drifted(report) == set()
    assert any("VLLM_API_KEY" in item.note for item in report.items)


def test_a_stale_lock_is_drift(deployed: Deployed, recorded: Recorded) -> None:
    """What runs may be what is locked, but the spec has changed since."""
    report = report_of(replace(deployed, stale=("spec",)), recorded)
    assert drifted(report) == {"lock"}


def test_reports_are_of_their_schema_and_width(deployed: Deployed, recorded: Recorded) -> None:
    """JSON validates, and no line of the text is over 100 columns, with and without a plan and details."""
    report = report_of(deployed, CHANGES["version"](scaled(recorded, "vllm:request_prompt_tokens", 10.0)))
    plan = ObservedPlan(
        workload={"peak": "120/s", "prompt_tokens": "p50: 12000, p90: 32000, max: 131072"},
        candidate=None,
        choice="nothing allowed meets the SLO under it (memory)",
        replicas=None,
        usd_per_month=None,
        locked_candidate="bf16/cpu/tp1/s8/t2048",
        locked_replicas=1,
        locked_usd_per_month=1234.5,
    )
    for each in (report, replace(report, plan=plan)):
        Draft202012Validator(drift_schema()).validate(json.loads(drift_json(each)))
        for detailed in (False, True):
            text = render_drift_text(each, detailed=detailed)
            assert max(map(len, text.splitlines())) <= 100, text
    assert "0.31.1" in render_drift_text(report)


def test_a_window_is_watched(recorded: Recorded) -> None:
    """Readings over the time that was asked for, of one process; another process in between is refused."""
    said: list[str] = []
    with serving(recorded.pages) as url:
        _, window = observe(url, 1.0, announce=said.append)
        _, since = observe(url, None, announce=said.append)
    assert window.first is not None
    assert window.duration_s is not None
    assert 1.0 <= window.duration_s < 30.0
    assert len(window.usage) >= 3
    assert said == [f"watching {url} for 1 s"]
    assert since.first is None
    assert since.duration_s is not None


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ({"/metrics": "<html>hello</html>"}, "no metrics in Prometheus' text format"),
        ({"/metrics": "# TYPE nv_inference_count counter\nnv_inference_count 1\n"}, "is no vLLM"),
        ({}, "HTTP 404"),
    ],
)
def test_what_is_no_vllm_is_refused(pages: Mapping[str, str], reason: str) -> None:
    """Other servers, gateways and web sites are a tool error, not a report."""
    with serving(pages) as url, pytest.raises(ToolError, match=reason):
        view_vllm(url)


@pytest.mark.parametrize("page", ["[1, 2]", "nonsense", '{"data": [7, {"id": 3}]}', '{"data": 1}', "[" * 100_000])
def test_broken_pages_are_not_visible(deployed: Deployed, recorded: Recorded, page: str) -> None:
    """A page that is not what it should be says nothing; the rest of the report stands."""
    report = report_of(deployed, Recorded(pages={**recorded.pages, "/v1/models": page}, first=recorded.first))
    assert "served-model" in {item.id for item in report.items if item.observed is None}
    assert drifted(report) == set()
