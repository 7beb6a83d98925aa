"""The simulated rules against the real tritonserver, one by one: who is served when, with whom, and who is not.

Executions take 0.2 s whatever their size, so that a busy machine changes nothing; where it does, the same is tried at a
slower pace. Latencies under traffic are compared in `benchmarks/sim_vs_triton.py`.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from infc.ir.candidate import DynamicBatching
from infc.serve.statistics import ModelStatistics
from infc.serve.triton import TritonServer
from infc.sim.model_requests import simulate_requests
from infc.sim.queue_policy import NO_RULES, QueuePolicy, QueueRules
from infc.sim.requests import Requests
from infc.sim.service_times import ServiceTable
from infc.sim.step import InstanceGroup, RequestsResult

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
]
SERVICE_S = 0.2
NEAR_S = 0.09
STALL_S = 0.5  # how long the batcher sleeps where nothing wakes it
PACES = (1, 1, 1, 1, 1, 2, 2, 4, 4, 8)
"""How many times slower everything is in each try."""
MODEL = "sleeper"
UNAVAILABLE = 14


@dataclass(frozen=True, kw_only=True)
class Case:
    """Requests as (seconds, rows, elements, priority, own timeout in seconds), and the settings they meet."""

    name: str
    sent: tuple[tuple[float, int, int, int, float], ...]
    maximum: int = 4
    delay_s: float = 0.0
    service_s: float = SERVICE_S
    rules: QueueRules = field(default=NO_RULES)
    has_dynamic_shapes: bool = False
    warms_up: bool = True


def at(seconds: float, rows: int = 1, elements: int = 4, priority: int = 0, timeout_s: float = 0.0) -> tuple:
    """One request."""
    return (seconds, rows, elements, priority, timeout_s)


FIRST = at(0.0)
REJECT, DELAY = QueuePolicy(timeout_s=0.1), QueuePolicy(timeout_s=0.1, timeout_action="delay")
CASES = (
    Case(
        name="high priority first, none is the default level",
        sent=(FIRST, at(0.04, priority=2), at(0.07), at(0.10, priority=2), at(0.12, priority=1), at(0.14, priority=1)),
        maximum=2,
        rules=QueueRules(levels=2, default_level=2),
    ),
    Case(
        name="a timeout rejects when the next batch is formed",
        sent=(FIRST, at(0.02), at(0.05), at(0.15)),
        rules=QueueRules(policy=REJECT),
    ),
    Case(
        name="a timeout delays behind those in time",
        sent=(FIRST, at(0.02), at(0.05), at(0.15), at(0.17)),
        maximum=2,
        rules=QueueRules(policy=DELAY),
    ),
    Case(
        name="policies by level",
        sent=(FIRST, at(0.02, priority=1), at(0.04, priority=2), at(0.06, priority=2)),
        rules=QueueRules(levels=2, default_level=1, by_level={2: REJECT}),
    ),
    Case(
        name="an own timeout counts below the default",
        sent=(FIRST, at(0.02, timeout_s=0.05), at(0.04, timeout_s=5.0), at(0.06)),
        rules=QueueRules(policy=QueuePolicy(timeout_s=1.0, allows_own_timeout=True)),
    ),
    Case(
        name="an own timeout does nothing without a default",
        sent=(FIRST, at(0.02, timeout_s=0.05), at(0.04)),
        rules=QueueRules(policy=QueuePolicy(allows_own_timeout=True)),
    ),
    Case(
        name="a full queue rejects at once",
        sent=(FIRST, at(0.02), at(0.04), at(0.06), at(0.08)),
        rules=QueueRules(policy=QueuePolicy(max_queue_size=2)),
    ),
    Case(
        name="rows that do not fit are not overtaken",
        sent=(FIRST, at(0.02, rows=3), at(0.04, rows=3), at(0.06), at(0.08, rows=2)),
    ),
    Case(
        name="shapes that differ end a batch",
        sent=(FIRST, at(0.02), at(0.04), at(0.06, elements=8), at(0.08), at(0.10), at(0.12)),
        has_dynamic_shapes=True,
    ),
    Case(
        name="shapes that differ under a queue delay",
        sent=(FIRST, at(0.02), at(0.04, elements=8), at(0.06, elements=8), at(0.08), at(0.15)),
        delay_s=0.05,
        has_dynamic_shapes=True,
    ),
    Case(
        name="rows under a queue delay",
        sent=(FIRST, at(0.02, rows=2), at(0.10, rows=2), at(0.12, rows=3), at(0.26), at(0.28)),
        delay_s=0.05,
    ),
    Case(
        name="a timeout before the queue delay leaves the batcher asleep",
        sent=(at(0.0), at(0.1)),
        delay_s=0.3,
        rules=QueueRules(policy=QueuePolicy(timeout_s=0.05)),
        warms_up=False,
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """One server for all cases."""
    folder = tmp_path_factory.mktemp("triton")
    (folder / "models" / MODEL / "1").mkdir(parents=True)
    (folder / "models" / MODEL / "config.pbtxt").write_text(f'name: "{MODEL}"\n', encoding="utf-8")
    with TritonServer(folder / "models", workdir=folder / "work", model_control="explicit") as running:
        yield running


def policy_fields(policy: QueuePolicy) -> dict[str, object]:
    """A queue policy as protobuf JSON."""
    return {
        "timeout_action": policy.timeout_action.upper(),
        "default_timeout_microseconds": round(policy.timeout_s * 1e6),
        "allow_timeout_override": policy.allows_own_timeout,
        "max_queue_size": policy.max_queue_size,
    }


def config_of(case: Case) -> dict[str, object]:
    """The model's configuration as protobuf JSON."""
    rules = case.rules
    batcher: dict[str, object] = {"max_queue_delay_microseconds": round(case.delay_s * 1e6)}
    if not rules.policy.is_idle:
        batcher["default_queue_policy"] = policy_fields(rules.policy)
    if rules.levels:
        batcher |= {"priority_levels": rules.levels, "default_priority_level": rules.default_level}
        batcher["priority_queue_policy"] = {str(k): policy_fields(v) for k, v in rules.by_level.items()}
    return {
        "name": MODEL,
        "platform": "tensorrt_plan",
        "max_batch_size": case.maximum,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1 if case.has_dynamic_shapes else 4]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [4]}],
        "instance_group": [{"count": 1, "kind": "KIND_CPU"}],
        "parameters": {"infc.service_times_s": {"string_value": ",".join([str(case.service_s)] * case.maximum)}},
        "dynamic_batching": batcher,
    }


def served(server: TritonServer, case: Case, folder: Path) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
    """Latencies, which requests were rejected, and executions by rows, of the real server."""
    from tritonclient.grpc import service_pb2

    from infc.validate.load.generator import LoadGenerator

    messages = []
    for _, rows, elements, priority, timeout_s in case.sent:
        request = service_pb2.ModelInferRequest(model_name=MODEL)
        request.inputs.add(name="x", datatype="FP32").shape.extend([rows, elements])
        request.raw_input_contents.append(bytes(4 * rows * elements))
        if priority:
            request.parameters["priority"].int64_param = priority
        if timeout_s:
            request.parameters["timeout"].int64_param = round(timeout_s * 1e6)
        messages.append(request.SerializeToString())
    server.load_model(MODEL, config_of(case))

    def send(arrivals_s: np.ndarray, order: np.ndarray) -> LoadGenerator:
        with LoadGenerator(
            server.grpc_url,
            arrivals_s=arrivals_s,
            messages=messages,
            order=order,
            job_file=folder / "job.npz",
            timeout_s=60.0,
            max_outstanding=100,
            priority=None,
        ) as generator:
            for _ in generator.frames():
                pass
        return generator

    before = server.statistics(MODEL)
    if case.warms_up:
        send(np.zeros(1), np.zeros(1, np.int32))
        before = counted(server, rows_in(before) + 1)
    arrivals_s = np.array([request[0] for request in case.sent])
    done = send(arrivals_s, np.arange(len(messages), dtype=np.int32))
    assert set(done.codes.tolist()) <= {0, UNAVAILABLE}
    rows = sum(request[1] for request, code in zip(case.sent, done.codes, strict=True) if code == 0)
    batches = counted(server, rows_in(before) + rows).since(before).batches
    return (
        done.done_s - done.sent_s,
        done.codes == UNAVAILABLE,
        {batch.batch_size: batch.executions for batch in batches},
    )


def rows_in(statistics: ModelStatistics) -> int:
    """How many rows were executed."""
    return sum(batch.batch_size * batch.executions for batch in statistics.batches)


def counted(server: TritonServer, rows: int) -> ModelStatistics:
    """The statistics once they count so many rows: Triton updates them after the answer is out."""
    deadline = time.monotonic() + 60.0
    while True:
        found = server.statistics(MODEL)
        if rows_in(found) >= rows or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def slowed(case: Case, pace: float) -> Case:
    """The same requests and settings, all times multiplied."""

    def slower(policy: QueuePolicy) -> QueuePolicy:
        return replace(policy, timeout_s=policy.timeout_s * pace)

    rules = replace(
        case.rules,
        policy=slower(case.rules.policy),
        by_level={level: slower(policy) for level, policy in case.rules.by_level.items()},
    )
    sent = tuple((at_s * pace, *what, own_s * pace) for at_s, *what, own_s in case.sent)
    return replace(case, sent=sent, delay_s=case.delay_s * pace, service_s=case.service_s * pace, rules=rules)


def turns(case: Case, latency_s: np.ndarray, is_rejected: np.ndarray, near_s: float) -> list[set[int]]:
    """Which requests are answered together, in the order of their answers; rejected ones are left out."""
    done_s = np.array([request[0] for request in case.sent]) + latency_s
    found: list[set[int]] = []
    before_s = -np.inf
    for index in np.argsort(done_s):
        if is_rejected[index]:
            continue
        if done_s[index] - before_s > near_s:
            found.append(set())
        found[-1].add(int(index))
        before_s = done_s[index]
    return found


def simulated(case: Case) -> RequestsResult:
    """What the simulator says of the same requests."""
    columns = list(zip(*case.sent, strict=True))
    return simulate_requests(
        Requests(
            arrivals_s=np.array(columns[0]),
            rows=np.array(columns[1]),
            axis_sizes=np.array(columns[2]),
            priorities=np.array(columns[3]),
            timeouts_s=np.array(columns[4]),
        ),
        (InstanceGroup(service=ServiceTable.of_batch([case.service_s] * case.maximum)),),
        DynamicBatching(max_batch_size=case.maximum, max_queue_delay_s=case.delay_s),
        rules=case.rules,
        has_dynamic_shapes=case.has_dynamic_shapes,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_real_server_does_the_same(server: TritonServer, case: Case, tmp_path: Path) -> None:
    """The same requests share batches in the same order, the same ones are rejected, and nobody is served sooner.

    A server without prefetch at times misses that an instance got free and stalls until it wakes by itself, the more
    often the busier the machine: each batch may be late by that, and a case has a few tries.
    """
    seen = []
    for pace in PACES:
        asked, near_s = slowed(case, pace), NEAR_S * pace
        expected = simulated(asked)
        latency_s, is_rejected, batches = served(server, asked, tmp_path)
        late_s = latency_s - expected.latency_s
        is_near = np.all((late_s > -near_s) & (late_s < STALL_S * sum(batches.values()) + near_s))
        is_same = np.array_equal(is_rejected, expected.is_rejected) and batches == expected.steps[0].batch_sizes
        order = turns(asked, expected.latency_s, expected.is_rejected, near_s)
        if is_near and is_same and turns(asked, latency_s, is_rejected, near_s) == order:
            return
        wanted = (expected.latency_s.round(2).tolist(), expected.is_rejected.tolist(), expected.steps[0].batch_sizes)
        seen.append((pace, wanted, (latency_s.round(2).tolist(), is_rejected.tolist(), batches)))
    pytest.fail(f"wanted and seen, by pace: {seen}")
