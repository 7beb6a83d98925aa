"""The real tritonserver: it serves the stand-ins, tells why it refuses, and never outlives its owner."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from infc.diag import ToolError
from infc.serve.management import TritonManagement
from infc.serve.statistics import ModelStatistics
from infc.serve.triton import TritonServer

from .test_supervisor import children_of, is_alive, wait_until_gone

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
]

TENSORS = """
input { name: "x" data_type: TYPE_FP32 dims: [4] }
output { name: "y" data_type: TYPE_FP32 dims: [3] }
"""
SLEEPER = 'name: "sleeper" platform: "tensorrt_plan" max_batch_size: 4 ' + TENSORS
ONE_INSTANCE = "instance_group { count: 1 kind: KIND_CPU }\n"


def add_sleeper(repository: Path, config: str, times_s: list[float] | None = None) -> Path:
    """A model that takes 10, 20, 30 and 40 ms by batch size."""
    version = repository / "sleeper" / "1"
    version.mkdir(parents=True)
    (version / "model.plan").touch()
    times = {"service_times_s": times_s if times_s is not None else [0.010, 0.020, 0.030, 0.040]}
    (version / "service_times.json").write_text(json.dumps(times), encoding="utf-8")
    (repository / "sleeper" / "config.pbtxt").write_text(config, encoding="utf-8")
    return repository


def add_doubler(repository: Path) -> None:
    """An ONNX model that answers 2x, served by the real ONNX Runtime."""
    onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    text = """<ir_version: 9, opset_import: ["" : 17]>
    doubler (float[n, 4] x) => (float[n, 4] y) { y = Add(x, x) }"""
    version = repository / "doubler" / "1"
    version.mkdir(parents=True)
    onnx.save(onnx.parser.parse_model(text), version / "model.onnx")
    config = 'name: "doubler" platform: "onnxruntime_onnx" max_batch_size: 8 dynamic_batching {} '
    config += 'parameters { key: "intra_op_thread_count" value { string_value: "1" } } ' + ONE_INSTANCE
    config += TENSORS.replace("[3]", "[4]")
    (repository / "doubler" / "config.pbtxt").write_text(config, encoding="utf-8")


def infer(url: str, model: str, rows: list[list[float]]) -> list[float]:
    """The values of output y, over HTTP."""
    data = [value for row in rows for value in row]
    body = {"inputs": [{"name": "x", "shape": [len(rows), 4], "datatype": "FP32", "data": data}]}
    request = urllib.request.Request(
        f"http://{url}/v2/models/{model}/infer", json.dumps(body).encode(), {"Connection": "close"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
        return list(json.load(response)["outputs"][0]["data"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """One explicitly controlled server with both stand-ins."""
    folder = tmp_path_factory.mktemp("triton")
    add_sleeper(folder / "models", SLEEPER + ONE_INSTANCE)
    add_doubler(folder / "models")
    with TritonServer(folder / "models", workdir=folder / "work", model_control="explicit") as running:
        yield running


def counted(server: TritonServer, model: str, requests: int) -> ModelStatistics:
    """The statistics once they count so many requests: Triton updates them after the answer is out."""
    for _ in range(1200):
        found = server.statistics(model)
        if found.requests >= requests:
            break
        time.sleep(0.05)
    return found


def test_onnxruntime_stand_in_answers_like_the_model(server: TritonServer) -> None:
    """`platform: onnxruntime_onnx` runs the model file."""
    server.load_model("doubler")
    assert infer(server.http_url, "doubler", [[1, 2, 3, 4], [5, 6, 7, 8]]) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert counted(server, "doubler", 1).mean_batch_size == 2.0


def test_sleeper_keeps_the_planned_time_and_answers_zeros(server: TritonServer) -> None:
    """`platform: tensorrt_plan` takes at least the time of its batch size."""
    server.load_model("sleeper")
    infer(server.http_url, "sleeper", [[0] * 4])
    before = counted(server, "sleeper", 1)
    assert infer(server.http_url, "sleeper", [[1] * 4] * 3) == [0.0] * 9
    service_s = counted(server, "sleeper", before.requests + 1).since(before).service_s_by_batch_size
    assert service_s[3] >= 0.030


def test_a_config_can_be_replaced_without_touching_files(server: TritonServer) -> None:
    """One repository serves many settings: instances and times come with the load."""
    server.load_model("sleeper")
    config = dict(server.management.model_config("sleeper"))
    config["instance_group"] = [{"count": 2, "kind": "KIND_CPU"}]
    config["parameters"] = {"infc.service_times_s": {"string_value": "0.1,0.1,0.1,0.1"}}
    server.load_model("sleeper", config)
    assert server.management.model_config("sleeper")["instance_group"][0]["count"] == 2
    infer(server.http_url, "sleeper", [[0] * 4])
    assert counted(server, "sleeper", 1).service_s_by_batch_size[1] >= 0.1


def test_a_refused_load_tells_why_and_leaves_the_old_one(server: TritonServer) -> None:
    """The reason comes from the log; what served before still serves."""
    server.load_model("sleeper")
    config = {**server.management.model_config("sleeper"), "nonsense": 1}
    with pytest.raises(ToolError, match="nonsense"):
        server.load_model("sleeper", config)
    assert server.management.is_model_ready("sleeper")


def test_unload(server: TritonServer) -> None:
    """An unloaded model is gone when the call returns."""
    server.load_model("doubler")
    server.unload_model("doubler")
    assert not server.management.is_model_ready("doubler")
    with pytest.raises(ToolError, match="doubler"):
        server.statistics("doubler")


def test_it_listens_on_loopback_only(server: TritonServer) -> None:
    """No socket of the server is open to the network."""
    network = Path(f"/proc/{server.pid}/net")
    lines = [line for kind in ("tcp", "tcp6") for line in (network / kind).read_text().splitlines()[1:]]
    ports = {int(url.split(":")[1]) for url in (server.http_url, server.grpc_url, server.metrics_url)}
    listening = {line.split()[1] for line in lines if line.split()[3] == "0A"}
    own = {address for address in listening if int(address.split(":")[1], 16) in ports}
    # 127.0.0.1, also as an IPv4-mapped IPv6 address, in the byte order of the machine.
    assert {address.split(":")[0] for address in own} <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert len(own) == 3


@pytest.mark.parametrize(
    ("config", "times_s", "reason"),
    [
        (SLEEPER + ONE_INSTANCE + "nonsense: 3", None, 'no field named "nonsense"'),
        (SLEEPER + "instance_group { kind: KIND_GPU }", None, "KIND_GPU but no GPUs are available"),
        (SLEEPER + ONE_INSTANCE, [0.01], "the times end at 1"),
        (SLEEPER.replace("tensorrt_plan", "caffe2_netdef") + ONE_INSTANCE, None, "sleeper"),
    ],
)
def test_a_refused_model_is_the_reason_of_a_failed_start(
    tmp_path: Path, config: str, times_s: list[float] | None, reason: str
) -> None:
    """The error names the model and says what is wrong; nothing is left running."""
    server = TritonServer(add_sleeper(tmp_path / "models", config, times_s), workdir=tmp_path / "work")
    with pytest.raises(ToolError, match="did not start: sleeper: ") as caught, server:
        pass
    assert reason in str(caught.value)
    assert not server.is_running()
    wait_until_gone(server.pid)


def test_an_exception_in_the_block_ends_the_server(tmp_path: Path) -> None:
    """Ctrl-C while the server runs: it and its model processes are gone, and the interrupt goes on."""
    server = TritonServer(add_sleeper(tmp_path / "models", SLEEPER + ONE_INSTANCE), workdir=tmp_path / "work")
    processes: list[int] = []

    def interrupted() -> None:
        with server:
            assert TritonManagement(server.http_url).models() == {"sleeper": "READY"}
            processes.extend([server.pid, *children_of(server.pid)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(processes) == 2
    for pid in processes:
        wait_until_gone(pid)


def test_a_killed_owner_takes_the_server_with_it(tmp_path: Path) -> None:
    """SIGKILL to the process that started it: the server ends by itself."""
    add_sleeper(tmp_path / "models", SLEEPER + ONE_INSTANCE)
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from infc.serve.triton import TritonServer\n"
        "with TritonServer(Path(sys.argv[1]), workdir=Path(sys.argv[2])) as server:\n"
        "    print(server.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "models"), str(tmp_path / "work")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        os.kill(owner.pid, signal.SIGKILL)
    wait_until_gone(pid)


def test_a_killed_server_leaves_no_shared_memory(tmp_path: Path) -> None:
    """SIGKILL to the server itself: what it shared with its model processes is removed."""
    add_sleeper(tmp_path / "models", SLEEPER + ONE_INSTANCE)
    with TritonServer(tmp_path / "models", workdir=tmp_path / "work") as server:
        name = server.management.server_name()
        assert any(entry.name.startswith(name) for entry in Path("/dev/shm").iterdir())  # noqa: S108
        os.kill(server.pid, signal.SIGKILL)
    assert not any(entry.name.startswith(name) for entry in Path("/dev/shm").iterdir())  # noqa: S108


def test_two_servers_side_by_side(tmp_path: Path, server: TritonServer) -> None:
    """Ports are chosen so that two servers of one machine do not meet."""
    add_sleeper(tmp_path / "models", SLEEPER + ONE_INSTANCE)
    with TritonServer(tmp_path / "models", workdir=tmp_path / "work") as other:
        assert other.http_url != server.http_url
        assert other.management.server_name() != server.management.server_name()
        assert other.management.is_model_ready("sleeper")
    assert not other.is_running()
    assert server.management.is_ready()


def test_a_missing_repository_is_said(tmp_path: Path) -> None:
    """Nothing is started for a folder that is not there."""
    with pytest.raises(ToolError, match="is not a folder"), TritonServer(tmp_path / "absent", workdir=tmp_path):
        pass


def test_readiness_wait_is_bounded(tmp_path: Path) -> None:
    """A server that does not get ready in time is ended, and the wait is the error."""
    repository = add_sleeper(tmp_path / "models", SLEEPER + ONE_INSTANCE)
    server = TritonServer(repository, workdir=tmp_path / "work", ready_timeout_s=0.05)
    with pytest.raises(ToolError, match=r"not ready after 0\.05 s"), server:
        pass
    wait_until_gone(server.pid)


def test_an_int8_model_with_fp16_scales_is_not_corrupted(tmp_path: Path) -> None:
    """ONNX Runtime's default rewrites turn such a model into garbage without an error; the stand-in leaves them out."""
    onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    # Scales of 0.0001 whose product FP16 cannot hold: the rewrite that quantises the bias with it loses the bias.
    text = """<ir_version: 9, opset_import: ["" : 19]>
    quantised (float[n, 4] x) => (float[n, 4] y)
    <float16 s = {1678}, float16 out_s = {14336}, int8 z = {0},
     int8[4, 4, 1, 1] w = {127,0,0,0, 0,127,0,0, 0,0,127,0, 0,0,0,127},
     float16[4] b = {15360, 16384, 16896, 17408}, int64[4] image = {0, 4, 1, 1}, int64[2] row = {0, 4}>
    {
        half = Cast <to = 10> (x)
        pixels = Reshape (half, image)
        xq = QuantizeLinear(pixels, s, z)
        xd = DequantizeLinear(xq, s, z)
        wd = DequantizeLinear(w, s, z)
        sum = Conv(xd, wd, b)
        sq = QuantizeLinear(sum, out_s, z)
        sd = DequantizeLinear(sq, out_s, z)
        rows = Reshape (sd, row)
        y = Cast <to = 1> (rows)
    }"""
    version = tmp_path / "models" / "quantised" / "1"
    version.mkdir(parents=True)
    onnx.save(onnx.parser.parse_model(text), version / "model.onnx")
    config = 'name: "quantised" platform: "onnxruntime_onnx" max_batch_size: 8 ' + ONE_INSTANCE
    (version.parent / "config.pbtxt").write_text(config + TENSORS.replace("[3]", "[4]"), encoding="utf-8")
    with TritonServer(tmp_path / "models", workdir=tmp_path / "work") as server:
        assert infer(server.http_url, "quantised", [[0.0] * 4]) == [1.0, 2.0, 3.0, 4.0]
