"""The real tritonserver under a little load, scraped by a real Prometheus with the emitted rules."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from infc.emit.kubernetes.served import Goal, Planned, Served
from infc.emit.monitoring.triton_summary import metrics_arguments
from infc.emit.write import write_bundle
from infc.ir.candidate import DynamicBatching
from infc.ir.precision import Precision
from infc.serve.triton import TritonServer
from tests.emit.autoscaling.live import adapter_queries, scaler_queries, write_scaler_rules

from . import deployments
from .live import active, dashboard_queries, selectors, unanswered, unhealthy, wait_for_answers, write_rules
from .prometheus import Prometheus, program

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
grpcclient = pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
]
KEPT = deployments.triton(
    goals=(
        Goal(metric="latency", label="p50", percentile=50.0, limit_s=5.0, predicted_s=0.004),
        Goal(metric="latency", label="p99", percentile=99.0, limit_s=10.0, predicted_s=0.02),
    ),
    shadow_outputs={},
    replicas=1,
    planned=Planned(needed=1, most_backlog=1e6, utilization=0.6, batch=1.5, usd_per_hour=2.4),
)
"""Promises that no machine is too slow for."""
BROKEN = replace(
    KEPT,
    identity=replace(KEPT.identity, name="hasty"),
    goals=(
        Goal(metric="latency", label="p50", percentile=50.0, limit_s=1e-6, predicted_s=None),
        Goal(metric="latency", label="p99", percentile=99.0, limit_s=1e-6, predicted_s=None),
    ),
    peak_rps=0.001,
    planned=Planned(needed=1, most_backlog=1e-9, utilization=0.6, batch=1.5, usd_per_hour=None),
)
"""Promises that nothing can keep."""


SAID = {"InfcLatencySloBurn", "InfcAvailabilitySloBurn", "InfcQueueSaturated", "InfcTrafficAbovePlan"}


def arguments(served: Served) -> tuple[str, ...]:
    """What the server is started with."""
    return ("--disable-auto-complete-config", *metrics_arguments(goal.percentile for goal in served.goals))


@contextmanager
def load(url: str) -> Iterator[None]:
    """Requests one after the other, every tenth of them for a row that the model does not have."""
    stop = threading.Event()

    def send() -> None:
        client = grpcclient.InferenceServerClient(url)
        count = 0
        while not stop.wait(0.02):
            count += 1
            ids = np.full((1, 3), 99 if count % 10 == 0 else 1, dtype=np.int64)
            request = grpcclient.InferInput("ids", list(ids.shape), "INT64")
            request.set_data_from_numpy(ids)
            try:
                client.infer("lookup", [request])
            except grpcclient.InferenceServerException:
                assert count % 10 == 0
        client.close()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def test_every_expression_gives_a_value_and_alerts_tell_kept_from_broken_promises(tmp_path: Path) -> None:
    """No selector matches nothing, no query is empty; broken promises page, kept ones are quiet."""
    program("prometheus")
    from tests.emit.test_triton_server import emitted

    bundle = emitted(
        tmp_path, "lookup", "onnxruntime", batching=DynamicBatching(max_batch_size=8), precision=Precision.FP32
    )
    assert write_bundle(bundle, tmp_path / "dist") == ()
    rules = [
        write_rules(KEPT, tmp_path / "rules", is_in_cluster=True),
        write_rules(BROKEN, tmp_path / "rules", is_in_cluster=False),
        write_scaler_rules(KEPT, tmp_path / "rules"),
    ]
    repository = tmp_path / "dist" / "model_repository"
    (tmp_path / "serve").mkdir()
    with (
        TritonServer(repository, workdir=tmp_path / "serve", extra_args=arguments(KEPT)) as server,
        load(server.grpc_url),
        Prometheus(
            tmp_path / "prometheus",
            dict.fromkeys(("lookup", "hasty"), server.metrics_url),
            rules,
            {"namespace": "ml"},
        ) as prometheus,
    ):
        queries = dashboard_queries(KEPT, is_in_cluster=True) | scaler_queries(KEPT) | adapter_queries(KEPT)
        wait_for_answers(prometheus, queries, lambda: active(prometheus, "hasty").keys() >= SAID)
        assert unanswered(prometheus, dashboard_queries(BROKEN, is_in_cluster=False)) == {}
        assert unhealthy(prometheus) == []
        missing = {
            each
            for rule in prometheus.rules()
            for each in selectors(rule["query"])
            if "[" not in each and not prometheus.query(each)
        }
        assert missing == set()
        assert active(prometheus, "lookup").keys() <= {"InfcAvailabilitySloBurn"}
        broken = active(prometheus, "hasty")
        assert broken["InfcLatencySloBurn"] == {
            "p50/critical/firing", "p50/warning/firing", "p99/critical/firing", "p99/warning/firing",
        }  # fmt: skip
        assert broken["InfcAvailabilitySloBurn"] == {"availability/critical/firing", "availability/warning/firing"}
        assert broken["InfcQueueSaturated"] == {"/warning/pending"}
        assert broken["InfcTrafficAbovePlan"] == {"/warning/pending"}
        assert broken.keys() == SAID
