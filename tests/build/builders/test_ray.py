"""A real Ray cluster of local nodes with made-up GPU types, which builds real TensorRT-RTX engines."""

import importlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infc.build import build, target_of
from infc.build.builders.address import RayAddress
from infc.build.builders.devices import device_names
from infc.build.builders.pool import BuilderPool
from infc.build.builders.ray import RayBuilder
from infc.build.job_json import attestation_from_bytes
from infc.build.plan_header import HEADER_BYTES, header_problem
from infc.build.result import Result, read_result
from infc.diag import ToolError
from infc.ir.engine import BuildRequest
from infc.ir.precision import Precision
from tests.build.build_requests import request

ray: Any = pytest.importorskip("ray", reason="extra ray is not installed")
pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TYPES = {"accelerator_type:T4": 1, "accelerator_type:L4": 1, "accelerator_type:A10G": 1}
DEVICES = ("t4", "a10g", "l4")


@pytest.fixture
def farm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without builders and two nodes, each with all three types; infc finds it as `ray://auto`."""
    cluster_utils = importlib.import_module("ray.cluster_utils")
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 150_000_000}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    cluster.nodes = [add_node(cluster), add_node(cluster)]
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def add_node(cluster: Any) -> Any:
    """A node with one core."""
    return cluster.add_node(num_cpus=1, resources=TYPES, object_store_memory=150_000_000)


def requests() -> list[BuildRequest]:
    """Twelve different engines for three devices."""
    return [request(device, Precision.FP16, max_batch_size=size) for device in DEVICES for size in (1, 2, 4, 8)]


def wait_for(count: int, folder: Path, limit_s: float = 240.0) -> None:
    """Until that many engines are in the cache."""
    end_s = time.monotonic() + limit_s
    while len(list(folder.glob("*/attestation.json"))) < count:
        assert time.monotonic() < end_s
        time.sleep(0.1)


def test_a_farm_loses_no_engine_when_a_node_dies(farm: Any, tmp_path: Path) -> None:
    """Twelve builds on two nodes, one killed half-way: all are finished by the other, each once, each whole."""
    wanted = requests()
    builder = RayBuilder(RayAddress(cluster="auto"), device_names(None))
    pool = BuilderPool([builder], backoff_s=0.1)
    lines: list[str] = []
    started = {"builds": 0}
    guard = threading.Lock()

    def one(asked: BuildRequest) -> None:
        engine, problems = build(asked, tmp_path, lines.append, pool)
        assert engine is not None, problems
        with guard:
            started["builds"] += 1

    with ThreadPoolExecutor(max_workers=12) as threads:
        running = [threads.submit(one, asked) for asked in wanted]
        wait_for(5, tmp_path)
        farm.remove_node(farm.nodes[0], allow_graceful=False)
        for each in running:
            each.result()
    assert started["builds"] == 12
    results = [checked(folder) for folder in tmp_path.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    assert len({result.job.key for result in results}) == 12
    assert sum(line.endswith("layers") for line in lines) == 12, "each is reported as built once"
    assert {result.job.hardware_id for result in results} == set(DEVICES)
    again = [build(asked, tmp_path, lines.append, pool)[0] for asked in wanted]
    assert all(engine is not None for engine in again)
    assert sum(line.endswith("is in the cache") for line in lines) == 12
    pool.close()


def checked(folder: Path) -> Result:
    """A cached engine with an intact attestation, of its own key, with a header of the version in the key."""
    result = read_result(folder, folder.name)
    assert isinstance(result, Result), result
    attestation, problems = attestation_from_bytes((folder / "attestation.json").read_bytes())
    assert attestation is not None, problems
    assert attestation.status == "built"
    with result.engine.open("rb") as file:
        header = file.read(HEADER_BYTES)
    assert header_problem(header, result.engine.stat().st_size, result.job.toolchain["tensorrt_rtx"]) is None
    return result


def test_an_absent_type_is_named(farm: Any, tmp_path: Path) -> None:
    """An engine that must be built on an H100 waits no longer than asked, and hears what the cluster has."""
    builder = RayBuilder(RayAddress(cluster="auto"), device_names(None))
    announced: list[str] = []
    pool = BuilderPool([builder], wait_s=1.0, announce=announced.append)
    asked = request("h100-sxm", Precision.FP16, kind="tensorrt")
    engine, (problem,) = build(asked, tmp_path, None, pool)
    assert engine is None
    assert problem.id == "builder-none"
    assert problem.message == "no builder for h100-sxm: ray://auto has no node of type H100"
    assert problem.notes == ("the cluster has no node with an accelerator type and a GPU",)
    assert announced == [
        "waiting up to 1 s for a builder for h100-sxm: no builder for h100-sxm: ray://auto has no node of type H100"
    ]
    farm.add_node(num_cpus=1, num_gpus=1, resources={"accelerator_type:L4": 1}, object_store_memory=150_000_000)
    refused = builder.refusal(target_of(asked))
    assert refused is not None
    assert refused.notes == ("the cluster has L4",)
    on_l4 = target_of(request("l4", Precision.FP16, kind="tensorrt"))
    assert builder.refusal(on_l4) is None
    with pytest.raises(ToolError, match="no tensorrt"):
        builder.toolchain(on_l4)


def test_a_closed_builder_cancels_its_task(farm: Any, tmp_path: Path) -> None:
    """Ctrl-C ends the task on the node too."""
    builder = RayBuilder(RayAddress(cluster="auto"), device_names(None))
    asked = request("l4", Precision.INT8, max_batch_size=16)
    builder.toolchain(target_of(asked))
    threading.Timer(1.0, builder.close).start()
    engine, (problem,) = build(asked, tmp_path, None, builder)
    assert engine is None
    assert problem.id == "builder-interrupted"
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".lock")] == []
