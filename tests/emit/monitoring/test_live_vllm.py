"""The real vLLM on the CPU under a little load, scraped by a real Prometheus with the emitted rules.

Needs an environment with vLLM (INFC_VLLM names its command) and Prometheus (INFC_PROMETHEUS names its folder).
"""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.emit.kubernetes.served import Planned, Served
from infc.emit.vllm import emit
from infc.emit.vllm.release import default_release
from infc.emit.write import write_bundle
from infc.ir.checkpoint import Checkpoint
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.ir.spec import Deploy
from infc.pipeline.plan import plan_spec
from infc.serve.vllm import VllmServer
from infc.serve.vllm_installation import VllmInstallation, find_vllm
from tests.emit.autoscaling.live import adapter_queries, scaler_queries, write_scaler_rules

from . import deployments
from .live import active, dashboard_queries, selectors, unanswered, unhealthy, wait_for_answers, write_rules
from .prometheus import Prometheus, program

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]
SPEC = Path(__file__).parents[3] / "specs" / "tiny-llama" / "tiny-llama.infc.yaml"
KEPT = deployments.vllm(
    model="tiny-llama",
    goals=tuple(replace(goal, limit_s=60.0) for goal in deployments.vllm().goals),
    peak_rps=1e6,
    planned=Planned(needed=1, most_backlog=1e6, utilization=0.6, batch=1.5, usd_per_hour=1.2),
)
BROKEN = replace(
    KEPT,
    identity=replace(KEPT.identity, name="hasty"),
    goals=tuple(replace(goal, limit_s=0.0005) for goal in KEPT.goals),
    peak_rps=0.001,
    planned=Planned(needed=1, most_backlog=1e-9, utilization=0.6, batch=1.5, usd_per_hour=None),
)
SAID = {"InfcLatencySloBurn", "InfcQueueSaturated", "InfcTrafficAbovePlan"}


def installation() -> VllmInstallation:
    """The server of the release that bundles are for."""
    try:
        found = find_vllm()
    except ToolError as error:
        pytest.skip(str(error))
    if found.release != default_release().version:
        pytest.skip(f"vLLM {found.release} is installed, bundles are for {default_release().version}")
    return found


def bundle_with_goals(folder: Path, *served: Served) -> Path:
    """The example's bundle, its SLO that of the deployments: every limit is a bound of a histogram."""
    decided = plan_spec(SPEC).decisions[0]
    problem, plan = decided.problem, decided.decision
    assert isinstance(problem, LlmProblem)
    assert isinstance(plan, Plan)
    limits = [goal for each in served for goal in each.goals]
    asked = replace(
        problem,
        ttft=tuple(replace(problem.ttft[0], limit_s=goal.limit_s) for goal in limits if goal.metric == "ttft"),
        tpot=tuple(replace(problem.tpot[0], limit_s=goal.limit_s) for goal in limits if goal.metric == "tpot"),
    )
    model = SPEC.parent / "model"
    checkpoint = Checkpoint(
        folder=model,
        repo=None,
        revision=None,
        files={path.name: "sha256:" + "0" * 64 for path in sorted(model.iterdir())},
        has_weights=True,
        digest="sha256:" + "0" * 64,
        source_digest="sha256:" + "0" * 64,
        precision=plan.candidate.precision,
    )
    bundle, problems = emit(asked, plan, checkpoint, Deploy())
    assert bundle is not None, problems
    assert write_bundle(bundle, folder) == ()
    return folder


@contextmanager
def load(port: int) -> Iterator[None]:
    """Completions one after the other, some of them refused as the client's mistake."""
    stop = threading.Event()

    def send() -> None:
        count = 0
        while not stop.wait(0.05):
            count += 1
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            model = "nobody" if count % 10 == 0 else KEPT.model
            body = {"model": model, "prompt": "def f(", "max_tokens": 4}
            connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
            connection.getresponse().read()
            connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def test_every_expression_gives_a_value_and_alerts_tell_kept_from_broken_promises(tmp_path: Path) -> None:
    """No selector matches nothing but that of errors, no query is empty; broken promises page, kept ones are quiet."""
    program("prometheus")
    server_of = installation()
    folder = bundle_with_goals(tmp_path / "dist", KEPT, BROKEN)
    rules = [
        write_rules(KEPT, tmp_path / "rules", is_in_cluster=True),
        write_rules(BROKEN, tmp_path / "rules", is_in_cluster=False),
        write_scaler_rules(KEPT, tmp_path / "rules"),
    ]
    with (
        VllmServer(folder / "serve.yaml", workdir=tmp_path / "serve", installation=server_of) as server,
        load(server.port),
        Prometheus(
            tmp_path / "prometheus",
            dict.fromkeys(("chat", "hasty"), f"127.0.0.1:{server.port}"),
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
            if not prometheus.query(each) and 'status="5xx"' not in each
        }
        assert missing == set()
        assert active(prometheus, "chat") == {}
        broken = active(prometheus, "hasty")
        assert broken["InfcLatencySloBurn"] >= {"ttft p95/critical/firing", "tpot p95/critical/firing"}
        assert broken.keys() == SAID
