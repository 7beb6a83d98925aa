"""`infc drift` on a real tritonserver: nothing where nothing changed, and each of ten changes made by hand."""

import http.client
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.ir.problem import Problem
from infc.lock.drift import DriftReport, DriftVerdict
from infc.pipeline.drift.bundle import LockedBundle, find_bundle
from infc.pipeline.drift.locked import Deployed, open_locked, resolve_locked
from infc.pipeline.drift.prediction import predicted_load
from infc.pipeline.drift.triton import TritonPlace, triton_drift
from infc.report.drift_json import drift_schema
from infc.serve.triton import TritonServer
from tests.pipeline.drift_workspace import EXAMPLE, MODEL, SPEC, Compiled, compiled

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("tritonclient", reason="the extra `triton` is not installed")

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
    pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are part of a checkout, not of a wheel"),
]

QUANTILES = "0.5:0.05,0.95:0.005,0.99:0.001,0.999:0.0001"
Config = dict[str, object]


@dataclass
class Running:
    """A served bundle: `repository` is a copy that may be changed, `config` what the server made of the emitted one."""

    made: Compiled
    server: TritonServer
    repository: Path
    config: Config
    deployed: Deployed[Problem]
    bundle: LockedBundle
    is_as_emitted: bool = True

    def load(self, config: Config | None = None) -> None:
        """Load the model with a configuration by hand; None: as it was emitted."""
        if config is not None or not self.is_as_emitted:
            self.is_as_emitted = False
            self.server.load_model(MODEL, config)
            self.is_as_emitted = config is None

    def report(self, endpoint: str | None = None, repository: Path | None = None) -> DriftReport:
        """One look at the server."""
        place = TritonPlace(
            endpoint=endpoint or self.server.http_url,
            window_s=None,
            metrics=self.server.metrics_url,
            repository=repository,
        )
        report, problems = triton_drift(self.deployed, None, self.bundle, place, announce=print)
        assert report is not None, problems
        return report

    def drifted(self, endpoint: str | None = None, repository: Path | None = None) -> set[str]:
        """Ids of what drifted."""
        return {item.id for item in self.report(endpoint, repository).drifted}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The emitted repository on an explicitly controlled server."""
    root = tmp_path_factory.mktemp("drift")
    made = compiled(root / "workspace")
    repository = root / "served"
    shutil.copytree(made.repository, repository)
    shutil.copytree(repository / MODEL / "1", repository / MODEL / "2")
    other = repository / "other"
    shutil.copytree(repository / MODEL, other)
    text = (other / "config.pbtxt").read_text()
    (other / "config.pbtxt").write_text(text.replace(f'name: "{MODEL}"', 'name: "other"'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.root)
        opened, _ = open_locked(Path(SPEC))
        bundle, _ = find_bundle(made.entry, made.bundle)
        assert opened is not None
        assert bundle is not None
        resolved, _ = resolve_locked(opened)
    assert resolved is not None
    assert isinstance(resolved.problem, Problem)
    deployed = Deployed(loaded=opened.loaded, entry=made.entry, problem=resolved.problem, stale=())
    arguments = [
        "--disable-auto-complete-config",
        "--metrics-config=summary_latencies=true",
        f"--metrics-config=summary_quantiles={QUANTILES}",
    ]
    with TritonServer(
        repository, workdir=root / "work", model_control="explicit", load=[MODEL], extra_args=arguments
    ) as server:
        config = dict(server.management.model_config(MODEL))
        yield Running(made, server, repository, config, deployed, bundle)


def changed(config: Config, **fields: object) -> Config:
    """A configuration with other fields at its top."""
    return {**config, **fields}


def batching(config: Config, **fields: object) -> Config:
    """A configuration with another dynamic batcher."""
    own = config["dynamic_batching"]
    assert isinstance(own, dict)
    return changed(config, dynamic_batching={**own, **fields})


def instances(config: Config, count: int) -> Config:
    """A configuration with another number of instances."""
    return changed(config, instance_group=[{"count": count, "kind": "KIND_CPU"}])


def retyped(config: Config) -> Config:
    """A configuration with another type of its output."""
    outputs = config["output"]
    assert isinstance(outputs, list)
    return changed(config, output=[{**outputs[0], "data_type": "TYPE_FP16"}])


def of_engine(config: Config, key: str) -> Config:
    """A configuration that names another engine."""
    parameters = config["parameters"]
    assert isinstance(parameters, dict)
    return changed(config, parameters={**parameters, "infc-engine": {"string_value": key}})


CHANGES: Mapping[str, tuple[Callable[[Config], Config], set[str]]] = {
    "max batch size": (lambda c: changed(c, max_batch_size=16), {"max-batch-size"}),
    "preferred sizes": (lambda c: batching(c, preferred_batch_size=[2, 4]), {"preferred-batch-sizes"}),
    "queue delay": (lambda c: batching(c, max_queue_delay_microseconds=9000), {"queue-delay"}),
    "instances": (lambda c: instances(c, 2), {"instances"}),
    "type of an output": (retyped, {"config-output-logits-.data-type"}),
    "another engine": (lambda c: of_engine(c, "cd" * 32), {"engine-key"}),
    "another version": (
        lambda c: changed(c, version_policy={"specific": {"versions": [2]}}),
        {"model-version", "version-policy"},
    ),
}


def test_nothing_drifted_where_nothing_changed(running: Running) -> None:
    """What the server fills in is no drift, and everything that was emitted is seen."""
    running.load()
    report = running.report(repository=running.made.repository)
    assert [item.id for item in report.drifted] == []
    assert not any(item.verdict is DriftVerdict.NOT_VISIBLE for item in report.of_area("deployment"))


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_of_the_configuration_is_found(running: Running, change: str) -> None:
    """Loaded by hand with one other setting: just that drifted."""
    make, ids = CHANGES[change]
    running.load(make(running.config))
    assert running.drifted() == ids


def test_a_model_that_is_not_loaded_and_one_that_should_not_be(running: Running) -> None:
    """A removed and an added model are each an item of their own."""
    running.server.load_model("other")
    running.is_as_emitted = False
    running.server.unload_model(MODEL)
    try:
        report = running.report()
    finally:
        running.server.unload_model("other")
    by_id = {item.id: item for item in report.drifted}
    assert set(by_id) == {"model", "other-models"}
    assert by_id["other-models"].observed == "other"


def test_another_engine_file_in_the_repository(running: Running, tmp_path: Path) -> None:
    """A file that was exchanged below a server that shows nothing of it: its digest is not the locked one."""
    served = tmp_path / "served"
    shutil.copytree(running.made.repository, served)
    running.load()
    (served / MODEL / "1" / "model.onnx").write_bytes(b"another engine")
    (served / MODEL / "labels.txt").write_text("a\n")
    assert running.drifted(repository=served) == {"file-fashion-mnist-1-model.onnx", "other-files"}


@contextmanager
def proxy(target: str, old: bytes, new: bytes) -> Iterator[tuple[str, list[str]]]:
    """A stand-in before the server that alters its answers, and writes down what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.forward(None)

        def do_POST(self) -> None:
            self.forward(self.rfile.read(int(self.headers["Content-Length"])))

        def forward(self, body: bytes | None) -> None:
            asked.append(f"{self.command} {self.path}")
            connection = http.client.HTTPConnection(target)
            connection.request(self.command, self.path, body=body)
            response = connection.getresponse()
            answer = response.read().replace(old, new)
            connection.close()
            self.send_response(response.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def test_another_release_is_found_by_reading_alone(running: Running) -> None:
    """A server of another version; and all that was asked are questions that change nothing."""
    running.load()
    with proxy(running.server.http_url, b'"2.51.0"', b'"2.60.0"') as (url, asked):
        found = running.drifted(endpoint=url)
    assert found == {"version"}
    place = f"/v2/models/{MODEL}"
    assert set(asked) == {"GET /v2", f"GET {place}/config", f"GET {place}/stats", "POST /v2/repository/index"}


@contextmanager
def traffic(url: str) -> Iterator[None]:
    """Requests of one row, one after the other, as long as the block runs."""
    stop = threading.Event()
    tensor = {"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0.0] * 784}
    body = json.dumps({"inputs": [tensor]})

    def send() -> None:
        connection = http.client.HTTPConnection(url)
        while not stop.is_set():
            connection.request("POST", f"/v2/models/{MODEL}/infer", body)
            connection.getresponse().read()
            time.sleep(0.005)
        connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_watched_traffic_has_times_and_rates(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under traffic each part of the prediction and each objective is compared; the JSON is of its schema."""
    monkeypatch.chdir(running.made.root)
    running.load()
    with traffic(running.server.http_url):
        arguments = ["drift", SPEC, "--endpoint", running.server.http_url, "--metrics", running.server.metrics_url]
        code = app.main([*arguments, "--window", "2s", "--format", "json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(drift_schema()).validate(document)
    assert code in (0, 3, 4, 6)  # how fast this machine is, is not the test's
    items = {item["id"]: item for item in document["items"]}
    assert document["observed"]["requests"] > 0
    assert items["rows-per-request"]["observed"] == 1
    assert items["failed-requests"]["verdict"] == "same"
    assert {item["verdict"] for item in document["items"] if item["area"] == "deployment"} == {"same"}
    for id in ("predicted-e2e-mean", "predicted-queue-mean", "predicted-compute-mean", "predicted-service-batch1"):
        assert items[id]["low"] < items[id]["high"], items[id]
    assert [each["percentile"] for each in document["slo"]] == ["p50", "p99"]
    assert all(each["within_at_most"] > 0 for each in document["slo"])
    assert not any("newer infc" in note for note in document["notes"])


def test_the_prediction_comes_to_the_locked_one(running: Running) -> None:
    """Divided into queue and execution, the recomputed mean is the one that the lock holds."""
    predicted = predicted_load(running.deployed.problem, running.made.entry)
    assert predicted is not None
    assert predicted.is_locked
    locked_ms = running.made.entry.predicted.latency_ms
    assert predicted.latency_s["p99"].value * 1e3 == pytest.approx(locked_ms["p99"], rel=0.01)
    assert 0.0 < predicted.queue_s.value < predicted.latency_s["mean"].value
