"""A bundle with a quality shadow on the real tritonserver: what it counts, and that answers never depend on it."""

import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from infc.emit.triton import emit
from infc.emit.triton.shadow import ShadowSource
from infc.emit.write import write_bundle
from infc.ir.candidate import DynamicBatching
from infc.ir.precision import Precision
from infc.ir.problem import ShadowGoal
from infc.ir.shadow import FOLDER_VARIABLE, capture_options
from infc.serve.triton import TritonServer

from . import samples

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
grpcclient = pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
]

ONE_IN = 5
WAIT_S = 240.0
STAND_IN = """import time
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        return auto_complete_model_config

    def execute(self, requests):
        time.sleep({sleep_s})
        raise pb_utils.TritonModelException("no reference today")
"""


class Service:
    """The served bundle: sends requests, reads the metrics page, exchanges models."""

    def __init__(self, server: TritonServer, repository: Path) -> None:
        self.server = server
        self.repository = repository
        self.answers = 0

    def ask(self, count: int) -> None:
        """Send requests of two rows one after the other; every one is answered, and rightly shaped."""
        client = grpcclient.InferenceServerClient(self.server.grpc_url)
        try:
            for seed in range(count):
                ids = np.random.default_rng(seed).integers(0, 10, (2, 3))
                request = grpcclient.InferInput("ids", [2, 3], "INT64")
                request.set_data_from_numpy(ids)
                assert client.infer("lookup", [request]).as_numpy("scores").shape == (2, 4)
        finally:
            client.close()
        self.answers += count

    def metric(self, name: str, labels: str = "") -> float:
        """A counter of the shadow as the metrics page has it."""
        with urllib.request.urlopen(f"http://{self.server.metrics_url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        (line,) = (each for each in lines if each.startswith(f"infc_shadow_{name}_total{{") and labels in each)
        return float(line.rpartition(" ")[2])

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what happens behind the answers."""
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            assert time.monotonic() < deadline, "the shadow did not catch up"
            time.sleep(0.05)

    def settled(self) -> None:
        """Wait until everything that was sampled is compared."""
        self.until(lambda: self.metric("sampled") == self.answers // ONE_IN)
        self.until(lambda: self.metric("requests") + self.metric("errors") == self.metric("sampled"))

    def exchange_reference(self, sleep_s: float) -> None:
        """Put a program in the reference's place that takes its time and then fails."""
        folder = self.repository / "lookup-reference"
        config = folder / "config.pbtxt"
        text = config.read_text().replace('platform: "onnxruntime_onnx"', 'backend: "python"')
        config.write_text("".join(line for line in text.splitlines(keepends=True) if "default_model" not in line))
        (folder / "1" / "model.py").write_text(STAND_IN.format(sleep_s=sleep_s))
        # Python takes compiled code for current by size and whole second: two stand-ins of one second have the same.
        shutil.rmtree(folder / "1" / "__pycache__", ignore_errors=True)
        self.server.load_model("lookup-reference")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """An FP32 bundle with a shadow that compares every fifth request, loaded model by model."""
    source = samples.write_onnx(tmp_path / "lookup.onnx")
    goal = ShadowGoal(one_in=ONE_IN, min_agreement=0.99, tolerance=None, capture_s=1e-5)
    plan = samples.plan(hardware_id="cpu", precision=Precision.FP32, batching=DynamicBatching(max_batch_size=8))
    engine = samples.engine(source, precision=Precision.FP32)
    problem = replace(samples.problem(), shadow=goal)
    bundle, problems = emit(problem, plan, engine, shadow=ShadowSource(model=source))
    assert bundle is not None, problems
    assert write_bundle(bundle, tmp_path / "dist") == ()
    repository = tmp_path / "dist" / "model_repository"
    captures = tmp_path / "captures"
    captures.mkdir()
    (captures / "lookup.7").write_text("of an earlier start")
    (tmp_path / "serve").mkdir()
    options = ("--disable-auto-complete-config", *capture_options("lookup", ONE_IN, folder=str(captures)))
    server = TritonServer(
        repository,
        workdir=tmp_path / "serve",
        model_control="explicit",
        load=("lookup", "lookup-reference", "lookup-shadow"),
        extra_args=options,
        environment={FOLDER_VARIABLE: str(captures)},
    )
    with server:
        yield Service(server, repository)


def test_a_shadow_counts_agreement_and_never_touches_an_answer(service: Service, tmp_path: Path) -> None:
    """One request in every five is compared: the same model agrees always, a damaged one does not.

    A reference that fails or takes five seconds costs comparisons, no answers.
    """
    service.ask(100)
    service.settled()
    assert service.metric("requests") == 20
    service.until(lambda: service.metric("agreements") == 20)  # counted right after the request
    assert service.metric("distance") < 1e-4
    assert service.metric("dropped", "queue_full") == service.metric("dropped", "unreadable") == 0
    service.until(lambda: service.server.statistics("lookup").requests >= 100)

    damaged = _damaged(tmp_path / "lookup.onnx", tmp_path / "damaged.onnx")
    shutil.copy(damaged, service.repository / "lookup" / "1" / "model.onnx")
    service.server.load_model("lookup")
    service.ask(100)
    service.settled()
    assert service.metric("requests") == 40
    service.until(lambda: service.metric("distance") > 20 * 0.5)  # counted last
    assert service.metric("agreements") == 20

    service.exchange_reference(sleep_s=0.0)
    service.ask(50)
    service.settled()
    assert service.metric("errors") == 10
    assert service.metric("requests") == 40

    service.exchange_reference(sleep_s=5.0)
    begun_s = time.monotonic()
    service.ask(ONE_IN * 80)
    service.until(lambda: service.metric("sampled") == service.answers // ONE_IN)
    compared = 2 + (time.monotonic() - begun_s) / 5.0  # at the most: with the one that is under way
    service.until(lambda: service.metric("dropped", "queue_full") >= 80 - 64 - compared)
    assert service.metric("requests") == 40
    service.until(lambda: list((tmp_path / "captures").iterdir()) == [])


def _damaged(source: Path, path: Path) -> Path:
    """The sample model with its table turned around: other classes win."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    (table,) = (each for each in model.graph.initializer if each.name == "table")
    table.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(table), "table"))
    onnx.save(model, path)
    return path
