"""Drift of a Triton without one: what is expected, what a histogram says, and servers that are something else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.ir.problem import Problem
from infc.lock.drift import DriftVerdict, Observed
from infc.lock.drift.triton import server_items
from infc.lock.drift.triton_config import ExpectedConfig, config_from_text
from infc.lock.drift.triton_load import HISTOGRAM, triton_objective_items, triton_prediction_items
from infc.lock.drift.triton_window import TritonReading, TritonWindow
from infc.pipeline.drift.bundle import find_bundle
from infc.pipeline.drift.locked import Deployed, open_locked, resolve_locked
from infc.pipeline.drift.triton import TritonPlace, expected_server, triton_drift
from infc.serve.prometheus import parse_metrics
from infc.serve.statistics import BatchStatistics, ModelStatistics
from infc.serve.triton_view import TritonView
from tests.pipeline.drift_workspace import EXAMPLE, MODEL, SPEC, Compiled, compiled
from tests.pipeline.vllm_pages import serving

pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are part of a checkout, not of a wheel")
pytest.importorskip("tritonclient", reason="the extra `triton` is not installed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """A compiled deployment with a dynamic batcher."""
    return compiled(tmp_path_factory.mktemp("drift") / "workspace")


@pytest.fixture(scope="module")
def deployed(made: Compiled) -> Deployed[Problem]:
    """It, with its problem."""
    opened, _ = open_locked(made.root / SPEC)
    assert opened is not None
    resolved, _ = resolve_locked(opened)
    assert resolved is not None
    assert isinstance(resolved.problem, Problem)
    return Deployed(loaded=opened.loaded, entry=made.entry, problem=resolved.problem, stale=())


def test_without_the_bundle_the_configuration_is_made_again(made: Compiled, deployed: Deployed[Problem]) -> None:
    """It is the emitted one, but for what follows from a builder's word, which then is not judged."""
    bundle, _ = find_bundle(made.entry, made.bundle)
    emitted, _ = expected_server(deployed, bundle)
    again, _ = expected_server(deployed, None)
    assert emitted is not None
    assert again is not None
    assert emitted.config.unknown == ()
    for field in again.config.unknown:
        emitted.config.config.ClearField(field)
        again.config.config.ClearField(field)
    assert again.config.config == emitted.config.config


def test_a_bundle_that_was_changed_is_not_believed(made: Compiled) -> None:
    """A file counts only where its digest is the locked one."""
    path = f"model_repository/{MODEL}/config.pbtxt"
    file = made.bundle / path
    emitted = file.read_bytes()
    file.write_bytes(emitted.replace(b"max_batch_size: 8", b"max_batch_size: 4"))
    try:
        bundle, problems = find_bundle(made.entry, made.bundle)
        assert problems == ()
        assert bundle is not None
        assert bundle.read(path) is None
    finally:
        file.write_bytes(emitted)


def view(config: dict[str, object]) -> TritonView:
    """A server that shows this configuration."""
    return TritonView(
        url="http://here:8000",
        metrics_url="http://here:8002",
        version="2.51.0",
        loaded={MODEL: ("1",)},
        config=config,
        statistics=None,
        metrics=None,
        silent={},
    )


def test_what_a_server_says_cannot_move_a_cursor(deployed: Deployed[Problem]) -> None:
    """Names and values of a configuration are text of somebody else's: nothing that a terminal obeys is in a report."""
    expected, _ = expected_server(deployed, None)
    assert expected is not None
    parameters = {"a\x1b[2J": {"string_value": "b\x1b]0;owned\x07"}}
    items = server_items(expected, view({"name": MODEL, "max_batch_size": 8, "metric_tags": {"\x1b[1m": "c\r\nd"}}))
    items += server_items(expected, view({"name": MODEL, "max_batch_size": 8, "parameters": parameters}))
    assert all(str(text).isprintable() for item in items for text in (item.id, item.name, item.observed))


def test_other_models_of_the_bundle_have_their_configuration_compared(deployed: Deployed[Problem]) -> None:
    """A model beside the served one, such as a shadow: one item where it is as emitted, its fields where it is not."""
    expected, _ = expected_server(deployed, None)
    assert expected is not None
    emitted = ExpectedConfig(config=config_from_text('name: "x-shadow" backend: "python" instance_group { count: 1 }'))
    expected = replace(expected, beside={"x-shadow": emitted})
    shown: dict[str, object] = {
        "name": "x-shadow",
        "backend": "python",
        "default_model_filename": "model.py",
        "instance_group": [{"name": "x-shadow_0", "count": 1}],
        "optimization": {"input_pinned_memory": {"enable": True}, "output_pinned_memory": {"enable": True}},
    }
    seen = replace(view({"name": MODEL}), beside={"x-shadow": shown})
    ids = {item.id: item.verdict for item in server_items(expected, seen)}
    assert ids["config-of-x-shadow"] is DriftVerdict.SAME
    seen = replace(seen, beside={"x-shadow": {**shown, "instance_group": [{"count": 4}]}})
    ids = {item.id: item.verdict for item in server_items(expected, seen)}
    assert ids["config-of-x-shadow-instances"] is DriftVerdict.DRIFTED


def window(page: Callable[[int], str], requests: int) -> TritonWindow:
    """Two readings, the requests between them, each with a page of metrics."""

    def reading(at_s: float, count: int) -> TritonReading:
        batch = BatchStatistics(
            batch_size=1, executions=count, compute_input_s=0.0, compute_s=0.001 * count, compute_output_s=0.0
        )
        counted = ModelStatistics(
            requests=count,
            failures=0,
            queue_s=0.0,
            compute_input_s=0.0,
            compute_s=0.001 * count,
            compute_output_s=0.0,
            batches=(batch,) if count else (),
        )
        return TritonReading(at_s=at_s, statistics=counted, metrics=parse_metrics(page(count)))

    return TritonWindow(readings=(reading(0.0, 0), reading(30.0, requests)))


def histogram(within: float) -> Callable[[int], str]:
    """A page with a histogram in milliseconds: this share of the requests within 5 ms, the others within 80."""

    def page(count: int) -> str:
        labels = f'model="{MODEL}",version="1"'
        rows = ((5, round(within * count)), (80, count), ("+Inf", count))
        buckets = "".join(f'{HISTOGRAM}_bucket{{{labels},le="{edge}"}} {value}\n' for edge, value in rows)
        totals = f"{HISTOGRAM}_sum{{{labels}}} 1\n{HISTOGRAM}_count{{{labels}}} {count}\n"
        return f"# TYPE {HISTOGRAM} histogram\n{buckets}{totals}"

    return page


def test_a_histogram_of_the_window_settles_the_slo(made: Compiled, deployed: Deployed[Problem]) -> None:
    """Edges in milliseconds: p99 has its limit on one and is met; p50 lies surely below 10 ms, or surely above 5."""
    fast = triton_objective_items(deployed.problem, made.entry, window(histogram(0.9), 2000))
    assert [each.verdict for each in fast] == [Observed.MET, Observed.MET]
    assert fast[0].high_s == pytest.approx(0.005)
    slow = triton_objective_items(deployed.problem, made.entry, window(histogram(0.1), 2000))
    assert slow[0].low_s == pytest.approx(0.005)
    assert slow[0].verdict is Observed.CANNOT_TELL
    assert "model_metrics" in slow[0].note
    items = triton_prediction_items(deployed.problem, made.entry, None, window(histogram(0.1), 2000))
    p50 = next(item for item in items if item.id == "predicted-e2e-p50")
    assert (p50.verdict, p50.source) == (DriftVerdict.DRIFTED, HISTOGRAM)


def test_without_metrics_the_slo_is_open(made: Compiled, deployed: Deployed[Problem]) -> None:
    """Statistics alone have no percentiles: cannot tell, with what to start the server with."""
    open_ones = triton_objective_items(deployed.problem, made.entry, window(lambda _: "", 100))
    assert {each.verdict for each in open_ones} == {Observed.CANNOT_TELL}
    assert all("summary_latencies" in each.note for each in open_ones)


def test_what_is_no_triton_is_said(deployed: Deployed[Problem]) -> None:
    """Nobody there, and a server of another kind."""
    with pytest.raises(ToolError, match=r"127\.0\.0\.1:1"):
        triton_drift(deployed, None, None, TritonPlace(endpoint="127.0.0.1:1", window_s=None), announce=print)
    with serving({"/version": "{}"}) as url, pytest.raises(ToolError, match="is no Triton: HTTP 404"):
        triton_drift(deployed, None, None, TritonPlace(endpoint=url, window_s=None), announce=print)


def test_a_repository_that_is_none_is_said(deployed: Deployed[Problem], tmp_path: Path) -> None:
    """Before the server is asked."""
    place = TritonPlace(endpoint="127.0.0.1:1", window_s=None, repository=tmp_path / "none")
    with pytest.raises(ToolError, match="is not a folder"):
        triton_drift(deployed, None, None, place, announce=print)
