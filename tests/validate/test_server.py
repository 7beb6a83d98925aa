"""Load tests against the real tritonserver: rehearsals, a real model, running servers, servers that fail."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.ir.accuracy import Verdict
from infc.serve.triton import TritonServer
from infc.validate.contract import ValidationContract
from infc.validate.load import LoadProgress, LoadSettings
from infc.validate.load.server import ObservedServer
from infc.validate.rehearsal import write_rehearsal_repository
from infc.validate.session import ValidationRequest, has_gpu, validate_bundle

from .bundles import contract, write_bundle

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
]

QUICK = LoadSettings(budget_s=120.0, min_warmup_s=1.0, min_measured_s=1.0)
EASY = {50.0: 0.5, 90.0: 2.0}


def slow_contract() -> ValidationContract:
    """Of a model that answers 40 requests a second and is asked for 150: no machine is too busy to send too many."""
    each = contract(limits_s={50.0: 30.0}, rate_rps=150, service_s=(0.1,) * 4)
    return replace(each, model=replace(each.model, name="slow"))


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that already runs, with an encoder that takes 4 to 7 ms a batch and one that takes 0.1 s."""
    folder = tmp_path_factory.mktemp("endpoint")
    quick, slow = contract(limits_s=EASY, rate_rps=50), slow_contract()
    for each in (quick, slow):
        bundle = write_bundle(folder / each.model.name, each)
        write_rehearsal_repository(bundle, each, folder / "repository")
    with TritonServer(folder / "repository", workdir=folder) as server:
        yield f"grpc://{server.grpc_url}"


def test_a_server_that_runs_is_tested_and_left_running(endpoint: str, tmp_path: Path) -> None:
    """Its statistics become the layers, the batch histogram and the service times."""
    bundle = write_bundle(tmp_path, contract(limits_s=EASY, rate_rps=50))
    seen: list[LoadProgress] = []
    request = ValidationRequest(bundle=bundle, settings=QUICK, endpoint=endpoint)
    measurement = validate_bundle(request, progress=seen.append)
    assert measurement.verdict is Verdict.PASS
    assert measurement.stopped_by == "settled"
    assert measurement.errors == 0
    assert not measurement.is_rehearsal
    assert measurement.requests > 0
    assert set(measurement.e2e_s) == {"mean", "p50", "p90", "p95", "p99"}
    rows = sum(size * count for size, count in measurement.batch_sizes.items())
    underway = measurement.offered_rps * measurement.e2e_s["p99"].value  # counted by one side only, at either end
    assert rows == pytest.approx(measurement.requests, abs=20 + 2 * underway)
    layers = measurement.layers
    total_s = layers.transport_s + layers.queue_s + layers.compute_input_s + layers.compute_s + layers.compute_output_s
    assert total_s == pytest.approx(measurement.e2e_s["mean"].value, rel=0.01)
    assert measurement.service_time is not None
    single = measurement.service_time.points[0]
    assert single.batch_size == 1
    assert single.axes == {"sequence": 16}
    assert single.seconds.value > 0.0035
    assert {state.phase.value for state in seen} >= {"warm-up", "measuring"}
    server = ObservedServer(endpoint.removeprefix("grpc://"))
    try:
        assert server.version("encoder") == "tritonserver 2.51.0"
    finally:
        server.close()


def test_requests_of_drawn_sizes_leave_no_service_times(endpoint: str, tmp_path: Path) -> None:
    """A mean over many sizes is the service time of none of them."""
    bundle = write_bundle(tmp_path, contract(limits_s=EASY, rate_rps=50))
    request = ValidationRequest(bundle=bundle, settings=QUICK, endpoint=endpoint, axis_sizes="drawn")
    assert validate_bundle(request).service_time is None


def test_a_limit_under_the_service_time_fails_soon(endpoint: str, tmp_path: Path) -> None:
    """No request can be answered in 1 ms by a model that takes 4 ms."""
    bundle = write_bundle(tmp_path, contract(limits_s={50.0: 0.5, 99.0: 0.001}, rate_rps=50))
    measurement = validate_bundle(ValidationRequest(bundle=bundle, settings=QUICK, endpoint=endpoint))
    verdicts = {each.label: each.verdict for each in measurement.verdicts}
    assert measurement.verdict is verdicts["p99"] is Verdict.FAIL
    assert measurement.stopped_by == "settled"


def test_an_overloaded_server_is_saturated_and_fails(endpoint: str, tmp_path: Path) -> None:
    """Even a limit that no request has reached yet is not met when the backlog grows for ever."""
    bundle = write_bundle(tmp_path, slow_contract())
    settings = LoadSettings(budget_s=60.0, min_warmup_s=0.5, min_measured_s=8.0, timeout_s=60.0)
    measurement = validate_bundle(ValidationRequest(bundle=bundle, settings=settings, endpoint=endpoint))
    assert measurement.verdict is Verdict.FAIL
    assert measurement.stopped_by == "saturated"
    assert measurement.completed_rps < 0.9 * measurement.offered_rps
    assert "saturated" in measurement.notes[0]


def test_an_endpoint_without_the_model_is_an_error(endpoint: str, tmp_path: Path) -> None:
    """The server's answer is told, with what to do."""
    each = contract(limits_s=EASY, rate_rps=50)
    other = replace(each, model=replace(each.model, name="decoder"))
    bundle = write_bundle(tmp_path, other)
    with pytest.raises(ToolError, match="decoder"):
        validate_bundle(ValidationRequest(bundle=bundle, settings=QUICK, endpoint=endpoint))


def test_an_endpoint_where_nothing_answers_is_an_error(tmp_path: Path) -> None:
    """The message names the address and Triton's gRPC port."""
    bundle = write_bundle(tmp_path, contract(limits_s=EASY, rate_rps=50))
    request = ValidationRequest(bundle=bundle, settings=QUICK, endpoint="grpc://127.0.0.1:9")
    with pytest.raises(ToolError, match=r"127\.0\.0\.1:9"):
        validate_bundle(request)


def test_a_cpu_bundle_is_served_and_measured(tmp_path: Path) -> None:
    """The real model on ONNX Runtime; what it took becomes a profile that the next plan can use."""
    each = contract(limits_s=EASY, rate_rps=40, is_gpu=False)
    measurement = validate_bundle(ValidationRequest(bundle=write_bundle(tmp_path, each), settings=QUICK))
    assert measurement.verdict is Verdict.PASS
    assert measurement.service_time is not None
    assert measurement.service_time.hardware_id == "cpu"
    assert measurement.service_time.points[0].batch_size == 1
    assert measurement.environment["server"] == "tritonserver 2.51.0"
    assert "ONNX Runtime" in measurement.environment["backend"]


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_gpu_bundle_is_rehearsed_only_when_asked(tmp_path: Path) -> None:
    """Without its GPU it is refused with both ways out; rehearsed, it says so and leaves no service times."""
    bundle = write_bundle(tmp_path, contract(limits_s=EASY, rate_rps=50, instances=2))
    with pytest.raises(ToolError, match="no NVIDIA GPU") as refusal:
        validate_bundle(ValidationRequest(bundle=bundle, settings=QUICK))
    assert "--rehearse" in str(refusal.value.help)
    assert "--endpoint" in str(refusal.value.help)
    measurement = validate_bundle(ValidationRequest(bundle=bundle, settings=QUICK, is_rehearsal=True))
    assert measurement.is_rehearsal
    assert measurement.verdict is Verdict.PASS
    assert measurement.service_time is None


def descendants(pid: int) -> list[int]:
    """Live processes below `pid`."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found = [child for child, parent in parents.items() if parent == pid]
    return found + [below for child in found for below in descendants(child)]


def servers_below(pid: int) -> list[int]:
    """Pids of tritonserver processes below `pid`."""
    return [child for child in descendants(pid) if _command(child).split("\0")[0].endswith("tritonserver")]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process with this pid still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_server_that_dies_during_the_load_is_a_clear_error(tmp_path: Path) -> None:
    """Neither a verdict nor a hang: what happened, within a second or two."""
    bundle = write_bundle(tmp_path, contract(limits_s={99.0: 0.012}, rate_rps=100))
    killed = threading.Event()
    others = servers_below(os.getpid())

    def kill_once_measuring(progress: LoadProgress) -> None:
        if progress.phase.value == "measuring" and not killed.is_set():
            killed.set()
            (server,) = set(servers_below(os.getpid())) - set(others)
            os.kill(server, signal.SIGKILL)

    request = ValidationRequest(bundle=bundle, settings=QUICK, is_rehearsal=True)
    with pytest.raises(ToolError, match="tritonserver ended during the load test"):
        validate_bundle(request, progress=kill_once_measuring)
    assert killed.is_set()
    assert servers_below(os.getpid()) == others


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_an_interrupted_validate(interrupt: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C ends the server and exits 130; even a killed infc leaves nothing behind."""
    bundle = write_bundle(tmp_path, contract(limits_s={99.0: 0.012}, rate_rps=100))
    program = "import sys; from infc.cli import main; sys.argv[0] = 'infc'; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "validate", str(bundle), "--rehearse"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("warm-up"):
                break
        (server,) = servers_below(process.pid)
        below = descendants(process.pid)
        process.send_signal(interrupt)
        _, said = process.communicate(timeout=200)
    if interrupt is signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted" in said
    deadline = time.monotonic() + 60
    while any(map(is_alive, below)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(server)
    assert not any(map(is_alive, below))
