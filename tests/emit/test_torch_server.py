"""A torch package on the real tritonserver: emitted, loaded by infc's backend, batched, refused where it must be."""

import hashlib
import importlib.util
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infc.build import build
from infc.build.torch_target import TORCH_VERSION
from infc.diag import ToolError
from infc.emit.triton import emit
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle
from infc.ir.candidate import DynamicBatching
from infc.ir.engine import BuildRequest, Engine, LoweredModel, ShapeRange
from infc.ir.precision import Precision
from infc.serve.triton import TritonServer

from . import samples

grpcclient = pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the extra `torch` is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="the server comes with the extra `server`"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine]:
    """The sample model's file and its package, for 1 to 8 rows and 1 to 128 ids."""
    folder = tmp_path_factory.mktemp("package")
    source = samples.write_onnx(folder / "lookup.onnx")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    model = LoweredModel(
        path=source, digest=digest, source_digest=digest, precision=Precision.FP32, recipe_digest=digest, passes=()
    )
    shapes = (ShapeRange(input_name="ids", minimum=(1, 1), optimum=(8, 24), maximum=(8, 128)),)
    request = BuildRequest(
        kind="torch_inductor", model=model, shapes=shapes, hardware_id="cpu", compute_capability=None
    )
    engine, problems = build(request, folder / "engines")
    assert engine is not None, problems
    return source, engine


def emitted(engine: Engine) -> Bundle:
    """The bundle of a package with one instance that waits for company, so that batches form."""
    batching = DynamicBatching(max_batch_size=8, max_queue_delay_s=0.05)
    plan = samples.plan(hardware_id="cpu", precision=Precision.FP32, batching=batching, instances=1)
    bundle, problems = emit(samples.problem(), plan, engine)
    assert bundle is not None, problems
    return bundle


def test_package_is_served_batched_and_right(package: tuple[Path, Engine], tmp_path: Path) -> None:
    """The server loads it with the bundle's own backend, joins requests of one shape, and answers as the model does."""
    import onnxruntime

    source, engine = package
    folder = tmp_path / "bundle"
    assert write_bundle(emitted(engine), folder) == ()
    reference = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    backends = {"torch_inductor": folder / "backends" / "torch_inductor"}
    with TritonServer(folder / "model_repository", workdir=tmp_path / "server", backends=backends) as server:
        client = grpcclient.InferenceServerClient(server.grpc_url)
        before = server.statistics("lookup")
        asked = [np.random.default_rng(i).integers(0, 10, (1 + i % 2, 5 if i < 6 else 9)) for i in range(8)]
        answers: list[object] = [None] * len(asked)

        def keep(index: int):  # type: ignore[no-untyped-def]
            def done(result: object, error: object) -> None:
                answers[index] = error or result

            return done

        for index, ids in enumerate(asked):
            tensor = grpcclient.InferInput("ids", list(ids.shape), "INT64")
            tensor.set_data_from_numpy(ids.astype(np.int64))
            client.async_infer("lookup", [tensor], callback=keep(index))
        deadline = time.monotonic() + 60.0
        while any(answer is None for answer in answers) and time.monotonic() < deadline:
            time.sleep(0.05)
        client.close()
        for ids, answer in zip(asked, answers, strict=True):
            (expected,) = reference.run(["scores"], {"ids": ids.astype(np.int64)})
            np.testing.assert_allclose(answer.as_numpy("scores"), expected, rtol=1e-5)  # type: ignore[attr-defined]
        counted = server.statistics("lookup").since(before)
        assert counted.failures == 0
        assert max(batch.batch_size for batch in counted.batches if batch.executions) > max(len(ids) for ids in asked)


def test_package_of_another_torch_is_refused_with_the_reason(package: tuple[Path, Engine], tmp_path: Path) -> None:
    """The server does not become ready, and its log says which versions differ."""
    _, engine = package
    settings = {**engine.facts.settings, TORCH_VERSION: "2.1.0"}
    other = replace(engine, facts=replace(engine.facts, settings=settings))
    folder = tmp_path / "bundle"
    assert write_bundle(emitted(other), folder) == ()
    backends = {"torch_inductor": folder / "backends" / "torch_inductor"}
    server = TritonServer(folder / "model_repository", workdir=tmp_path / "server", backends=backends)
    with pytest.raises(ToolError, match=r"built with torch 2\.1\.0"), server:
        pass
