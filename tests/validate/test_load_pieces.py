"""Saturation, warm-up, service times and requests, on made-up histories."""

import numpy as np
import pytest

from infc.diag import ToolError
from infc.ir.model_profile import TensorSpec
from infc.ir.problem import AxisDistribution
from infc.serve.statistics import BatchStatistics, ModelStatistics
from infc.validate.load.layers import service_time_points
from infc.validate.load.requests import draw_sizes, request_messages
from infc.validate.load.saturation import is_saturated
from infc.validate.load.warmup import is_warm

from .bundles import contract


def single_server(rate_rps: float, service_s: float, seconds: float, seed: int = 0):
    """Send and answer times of Poisson requests at one server with constant service."""
    rng = np.random.default_rng(seed)
    sent = np.cumsum(rng.exponential(1.0 / rate_rps, int(rate_rps * seconds * 1.5)))
    sent = sent[sent < seconds]
    done = np.zeros_like(sent)
    free_s = 0.0
    for index, at_s in enumerate(sent):
        free_s = max(free_s, at_s) + service_s
        done[index] = free_s
    return sent, np.where(done <= seconds, done, np.nan)


@pytest.mark.parametrize("utilization", [1.08, 1.3, 3.0])
def test_a_server_that_falls_behind_is_saturated(utilization):
    """A server that falls behind is saturated."""
    sent, done = single_server(200.0, utilization / 200.0, 30.0)
    assert is_saturated(sent, done, start_s=0.0, now_s=30.0, busy_requests=2)


@pytest.mark.parametrize("utilization", [0.2, 0.8, 0.95])
@pytest.mark.parametrize("seed", range(5))
def test_a_busy_server_is_not_saturated(utilization, seed):
    """A busy server is not saturated."""
    sent, done = single_server(200.0, utilization / 200.0, 30.0, seed)
    for now_s in (5.0, 10.0, 20.0, 30.0):
        known = np.where(done <= now_s, done, np.nan)
        assert not is_saturated(sent[sent < now_s], known[sent < now_s], start_s=0.0, now_s=now_s, busy_requests=2)


def test_nothing_is_said_of_a_short_span():
    """Nothing is said of a short span."""
    sent, done = single_server(200.0, 1.0, 3.0)
    assert not is_saturated(sent, done, start_s=0.0, now_s=3.0, busy_requests=2)


def test_warm_up_lasts_while_latencies_fall():
    """Warm up lasts while latencies fall."""
    sent = np.linspace(0.0, 6.0, 600)
    latency = np.where(sent < 3.5, 0.080, 0.010)
    at = {now_s: is_warm(sent[sent < now_s], latency[sent < now_s], start_s=0.0, now_s=now_s, least_s=2.0)
          for now_s in (1.0, 2.5, 4.4, 6.0)}  # fmt: skip
    assert at == {1.0: False, 2.5: True, 4.4: False, 6.0: True}


def test_service_times_come_from_differences_of_the_counters():
    """Executions before the first look (model warm-up) do not count; rare batch sizes are left out."""

    def look(ones: int, fours: int, eights: int) -> ModelStatistics:
        batches = tuple(
            BatchStatistics(
                batch_size=size,
                executions=count,
                compute_input_s=0.0001 * count,
                compute_s=seconds * count,
                compute_output_s=0.0002 * count,
            )
            for size, count, seconds in ((1, ones, 0.004), (4, fours, 0.007), (8, eights, 0.012))
        )
        return ModelStatistics(
            requests=0,
            failures=0,
            queue_s=0.0,
            compute_input_s=0.0,
            compute_s=0.0,
            compute_output_s=0.0,
            batches=batches,
        )

    snapshots = [look(3, 2, 1), look(50, 20, 3), look(90, 60, 5), look(140, 90, 6), look(200, 130, 8)]
    points = service_time_points(snapshots, {"sequence": 16})
    assert [(p.batch_size, p.executions) for p in points] == [(1, 197), (4, 128)]
    assert [p.seconds.value for p in points] == pytest.approx([0.0043, 0.0073])
    assert all(p.seconds.low <= p.seconds.value <= p.seconds.high for p in points)
    assert points[0].axes == {"sequence": 16}


AXIS = AxisDistribution(percentiles={50.0: 24, 90.0: 80}, maximum=128)


def test_drawn_sizes_follow_the_stated_percentiles():
    """Drawn sizes follow the stated percentiles."""
    sizes = [each["sequence"] for each in draw_sizes({"sequence": AXIS}, 20_000, "drawn", np.random.default_rng(0))]
    assert min(sizes) >= 1
    assert max(sizes) <= 128
    assert np.percentile(sizes, 50) == pytest.approx(24, abs=1)
    assert np.percentile(sizes, 90) == pytest.approx(80, abs=2)


def test_padded_sizes_are_the_maximum():
    """Padded sizes are the maximum."""
    assert draw_sizes({"sequence": AXIS}, 3, "padded", np.random.default_rng(0)) == [{"sequence": 128}] * 3


class TestMessages:
    service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2", reason="the extra `triton` is not installed")

    def parse(self, content: bytes):
        """The request that was serialised."""
        return self.service_pb2.ModelInferRequest.FromString(content)

    def test_synthetic_requests_have_the_models_shapes_and_types(self):
        """Synthetic requests have the models shapes and types."""
        each = contract(limits_s={99.0: 0.1}, rate_rps=10)
        messages = request_messages(each.model, each.traffic.axes, samples=None, limit=5)
        request = self.parse(messages[0])
        assert request.model_name == "encoder"
        assert [(t.name, t.datatype, list(t.shape)) for t in request.inputs] == [("ids", "INT64", [1, 16])]
        assert len(request.raw_input_contents[0]) == 16 * 8
        assert len(set(messages)) == 5

    def test_same_seed_same_bytes(self):
        """Same seed same bytes."""
        each = contract(limits_s={99.0: 0.1}, rate_rps=10)
        twice = [request_messages(each.model, each.traffic.axes, samples=None, sizes="drawn", seed=3) for _ in range(2)]
        assert twice[0] == twice[1]

    def test_samples_are_cut_and_repeated_to_the_asked_size(self, tmp_path):
        """Samples are cut and repeated to the asked size."""
        each = contract(limits_s={99.0: 0.1}, rate_rps=10)
        np.savez(tmp_path / "samples.npz", ids=np.arange(20).reshape(2, 10))
        messages = request_messages(each.model, each.traffic.axes, samples=tmp_path / "samples.npz", limit=2)
        values = np.frombuffer(self.parse(messages[1]).raw_input_contents[0], dtype=np.int64)
        assert values.tolist() == [*range(10, 20), *range(10, 16)]

    def test_an_axis_of_unknown_size_is_an_error_that_names_the_spec_path(self):
        """An axis of unknown size is an error that names the spec path."""
        each = contract(limits_s={99.0: 0.1}, rate_rps=10)
        with pytest.raises(ToolError, match="axis sequence") as caught:
            request_messages(each.model, {}, samples=None)
        assert "workload.axes.sequence" in str(caught.value.help)

    def test_a_file_that_holds_no_samples_is_an_error(self, tmp_path):
        """A file that holds no samples is an error."""
        (tmp_path / "samples.npz").write_bytes(b"not a zip")
        each = contract(limits_s={99.0: 0.1}, rate_rps=10)
        with pytest.raises(ToolError, match="samples"):
            request_messages(each.model, each.traffic.axes, samples=tmp_path / "samples.npz")

    def test_a_fixed_batch_is_sent_whole(self):
        """A fixed batch is sent whole."""
        from dataclasses import replace

        each = contract(limits_s={99.0: 0.1}, rate_rps=10)
        fixed = TensorSpec(name="x", dtype="float32", shape=(3, 4))
        model = replace(each.model, inputs=(fixed,), batch_axis=None, max_batch_size=0)
        (message,) = request_messages(model, {}, samples=None, limit=1)
        assert list(self.parse(message).inputs[0].shape) == [3, 4]
