"""Parts of the comparison with a Triton: configurations, summaries, means with bounds."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.diag import ToolError
from infc.emit.monitoring.triton_summary import rank_error, summary_quantiles
from infc.ir.problem import LatencyTarget
from infc.lock.drift import DriftVerdict, Observed
from infc.lock.drift.summary import Summary, judged_by_summary, summary_of
from infc.lock.drift.triton_window import TritonReading, TritonWindow, mean_bounds_s
from infc.serve.prometheus import parse_metrics
from infc.serve.statistics import ModelStatistics

pb = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="the extra `triton` is not installed")
from infc.lock.drift.triton_config import ExpectedConfig, config_from_json, config_from_text, config_items  # noqa: E402

GPU = """
name: "m" platform: "tensorrt_plan" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [4] }
dynamic_batching { }
instance_group { count: 2 kind: KIND_GPU }
parameters { key: "infc-engine" value { string_value: "ab" } }
"""
SHOWN: dict[str, object] = {
    "name": "m",
    "platform": "tensorrt_plan",
    "backend": "tensorrt",
    "runtime": "libtriton_tensorrt.so",
    "max_batch_size": 8,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "format": "FORMAT_NONE", "dims": [4]}],
    "optimization": {"input_pinned_memory": {"enable": True}, "output_pinned_memory": {"enable": True}},
    "dynamic_batching": {"preferred_batch_size": [8], "max_queue_delay_microseconds": 0},
    "instance_group": [{"name": "m_0", "kind": "KIND_GPU", "count": 2, "gpus": [0]}],
    "parameters": {"infc-engine": {"string_value": "ab"}},
    "a_field_of_a_later_release": {"x": 1},
}


def drifted(shown: dict[str, object], unknown: tuple[str, ...] = ()) -> set[str]:
    """Ids of what differs from the emitted configuration of a GPU's model."""
    expected = ExpectedConfig(config=config_from_text(GPU), unknown=unknown)
    items = config_items(expected, config_from_json(shown), "")
    return {item.id for item in items if item.verdict is DriftVerdict.DRIFTED}


def test_what_a_server_fills_in_for_a_gpu_is_no_drift() -> None:
    """Backend, runtime, pinned memory, the group's one GPU, the preferred size: as a GPU server shows them."""
    assert drifted(SHOWN) == set()


@pytest.mark.parametrize(
    ("change", "id"),
    [
        ({"instance_group": [{"kind": "KIND_GPU", "count": 2, "gpus": [0, 1]}]}, "instance-gpus"),
        ({"instance_group": [{"kind": "KIND_CPU", "count": 2}]}, "instance-kind"),
        (
            {"optimization": {"output_pinned_memory": {"enable": True}}},
            "config-optimization.input-pinned-memory.enable",
        ),
        ({"dynamic_batching": {"preferred_batch_size": [4]}}, "preferred-batch-sizes"),
        ({"response_cache": {"enable": True}}, "config-response-cache.enable"),
        ({"parameters": {}}, "engine-key"),
    ],
)
def test_a_setting_by_hand_is_drift(change: dict[str, object], id: str) -> None:
    """Also where the server's own default is switched off, and where the planned instances run on more GPUs."""
    assert id in drifted({**SHOWN, **change})


def test_what_is_not_known_without_the_bundle_is_not_judged() -> None:
    """Parameters that follow from what a builder said are listed, and neither the same nor drift."""
    changed = {**SHOWN, "parameters": {"infc-engine": {"string_value": "cd"}, "x": {"string_value": "1"}}}
    assert drifted(changed, unknown=("parameters",)) == set()


def test_what_is_no_configuration_is_an_error() -> None:
    """A server that shows something else, and a file that is none."""
    with pytest.raises(ToolError, match="no model configuration"):
        config_from_json({"max_batch_size": "many"})
    with pytest.raises(ToolError, match="no model configuration"):
        config_from_text("max_batch_size {")


def exported(requests: int, seed: int) -> Summary:
    """What a server would export of exponential latencies with a mean of 10 ms: quantiles off by their error."""
    generator = np.random.default_rng(seed)
    ordered = np.sort(generator.standard_exponential(requests) * 0.010)
    shares = [float(part.split(":")[0]) for part in summary_quantiles([50.0, 99.0]).split(",")]
    off = {share: share + generator.uniform(-1.0, 1.0) * rank_error(share) for share in shares}
    quantiles = {share: float(ordered[min(requests - 1, max(0, int(own * requests)))]) for share, own in off.items()}
    return Summary(quantiles_s=quantiles, requests=requests)


@settings(max_examples=40)
@given(st.integers(min_value=0, max_value=200), st.sampled_from([300, 2000, 5000]))
def test_bounds_of_a_summary_enclose_the_percentile(seed: int, requests: int) -> None:
    """Whatever the sample: what encloses p50 and p99 nearly always does (the true ones are known here)."""
    summary = exported(requests, seed)
    for percentile in (50.0, 99.0):
        low, high = summary.bounds_s(percentile, confidence=0.999)
        true = -0.010 * math.log(1.0 - percentile / 100.0)
        assert low <= true <= high


def test_an_objective_is_met_or_missed_only_where_it_is_sure() -> None:
    """A limit far above, one far below, one in between, and too few requests."""
    summary = exported(5000, 1)
    assert judged_by_summary(LatencyTarget(percentile=99.0, limit_s=0.2), None, summary).verdict is Observed.MET
    assert judged_by_summary(LatencyTarget(percentile=99.0, limit_s=0.02), None, summary).verdict is Observed.MISSED
    close = judged_by_summary(LatencyTarget(percentile=99.0, limit_s=0.046), None, summary)
    assert close.verdict is Observed.CANNOT_TELL
    assert close.fewest_within <= 0.99 * 5000 <= close.most_within
    few = judged_by_summary(LatencyTarget(percentile=99.0, limit_s=0.2), None, replace(summary, requests=50))
    assert (few.verdict, few.note.startswith("too few requests")) == (Observed.CANNOT_TELL, True)


def test_a_summary_is_read_from_a_page_of_metrics() -> None:
    """The model's own lines; values that are not there yet (NaN) are left out."""
    name = "nv_inference_request_summary_us"
    page = parse_metrics(
        f'# TYPE {name} summary\n{name}{{model="m",version="1",quantile="0.5"}} 1500\n'
        f'{name}{{model="m",version="1",quantile="0.99"}} nan\n{name}{{model="other",version="1",quantile="0.5"}} 9\n'
    )
    summary = summary_of(page, "m", 10)
    assert summary is not None
    assert summary.quantiles_s == {0.5: 0.0015}
    assert summary_of(page, "m", 0) is None


def test_bounds_of_a_mean_hold_nearly_always() -> None:
    """Sums over stretches of exponential values: in 95 of 100 runs or so the bounds enclose the mean of 1."""
    generator = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        counts = generator.integers(1, 30, size=12)
        bounds = mean_bounds_s([(float(generator.standard_exponential(n).sum()), int(n)) for n in counts])
        assert bounds is not None
        held += bounds[0] <= 1.0 <= bounds[1]
    assert held >= 180
    assert mean_bounds_s([(1.0, 1)] * 5) is None


def statistics(requests: int) -> ModelStatistics:
    """Counters after some requests."""
    return ModelStatistics(
        requests=requests, failures=0, queue_s=0.0, compute_input_s=0.0, compute_s=0.1, compute_output_s=0.0, batches=()
    )


def test_counters_that_went_down_are_another_server() -> None:
    """A model that was loaded again in between, or a load balancer over several servers."""
    readings = tuple(
        TritonReading(at_s=float(at), statistics=statistics(count), metrics=None) for at, count in enumerate((90, 10))
    )
    with pytest.raises(ToolError, match="went down"):
        _ = TritonWindow(readings=readings).counted


def test_requests_of_the_last_seconds_are_a_lower_bound() -> None:
    """Counted from the first reading that is not older."""
    readings = tuple(
        TritonReading(at_s=float(at), statistics=statistics(10 * at), metrics=None) for at in range(0, 100, 10)
    )
    window = TritonWindow(readings=readings)
    assert window.count_since(48.0) == 400
    assert window.counted.requests == 900
