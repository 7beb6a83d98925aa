"""Emitted repositories on the real tritonserver: every variant loads, answers, and is configured as it was written."""

import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from infc.diag import ToolError
from infc.emit.triton import emit
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle
from infc.ir.candidate import DynamicBatching
from infc.ir.engine_kind import EngineKind
from infc.ir.model_profile import TensorSpec
from infc.ir.precision import Precision
from infc.serve.triton import TritonServer

from . import samples

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
grpcclient = pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
]

SCALAR_OUT = TensorSpec(name="scores", dtype="float32", shape=("batch", 4))
FIXED = samples.model_profile(
    fixed_batch=2,
    inputs=(TensorSpec(name="ids", dtype="int64", shape=(2, "sequence")),),
    outputs=(TensorSpec(name="scores", dtype="float32", shape=(2, 4)),),
)


def emitted(folder: Path, name: str, kind: EngineKind, **choices: object) -> Bundle:
    """A bundle of the sample model under `name`."""
    model = choices.pop("model", None)
    source = samples.write_onnx(folder / f"{name}.onnx", fixed_batch=getattr(model, "fixed_batch", None))
    hardware = "cpu" if kind == "onnxruntime" else "l4"
    plan = samples.plan(name=name, hardware_id=hardware, **choices)  # type: ignore[arg-type]
    bundle, problems = emit(samples.problem(model, name=name), plan, samples.engine(source, kind=kind))  # type: ignore[arg-type]
    assert bundle is not None
    assert problems == ()
    return bundle


def variants(folder: Path) -> dict[str, Bundle]:
    """Every shape that config.pbtxt can take."""
    plain = DynamicBatching(max_batch_size=8)
    delayed = DynamicBatching(max_batch_size=8, max_queue_delay_s=0.0005, preferred_batch_sizes=(4, 8))
    return {
        "ort-plain": emitted(folder, "ort-plain", "onnxruntime", batching=plain, precision=Precision.FP32),
        "ort-int8": emitted(folder, "ort-int8", "onnxruntime", instances=1),
        "ort-delay": emitted(folder, "ort-delay", "onnxruntime", batching=delayed, instances=1),
        "ort-single": emitted(folder, "ort-single", "onnxruntime", batching=DynamicBatching(max_batch_size=1)),
        "ort-fixed": emitted(folder, "ort-fixed", "onnxruntime", model=FIXED, instances=1),
        "ort-gpu-cuda": emitted(folder, "ort-gpu-cuda", "onnxruntime_cuda", instances=1, precision=Precision.FP16),
        "ort-gpu-tensorrt": emitted(folder, "ort-gpu-tensorrt", "onnxruntime_tensorrt", instances=1),
        "trt": emitted(folder, "trt", "tensorrt", instances=1),
        "rtx": emitted(folder, "rtx", "tensorrt_rtx", instances=1),
    }


def first_request(bundle: Bundle) -> str:
    """The program of the bundle's README."""
    readme = bundle.files["README.md"]
    assert isinstance(readme, bytes)
    return readme.decode().partition("```python\n")[2].partition("```")[0]


def subset(written: object, reported: object) -> bool:
    """Whether everything that was written is reported; the server adds defaults."""
    if isinstance(written, dict) and isinstance(reported, dict):
        return all(key in reported and subset(value, reported[key]) for key, value in written.items())
    if isinstance(written, list) and isinstance(reported, list):
        return len(written) == len(reported) and all(map(subset, written, reported))
    return written == reported


def config_of(bundle: Bundle) -> dict[str, object]:
    """The emitted configuration as protobuf JSON, read by the server's own schema."""
    from google.protobuf import json_format, text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    (text,) = (content for path, content in bundle.files.items() if path.endswith("config.pbtxt"))
    assert isinstance(text, bytes)
    message = text_format.Parse(text.decode(), ModelConfig())
    return json_format.MessageToDict(message, preserving_proto_field_name=True)  # type: ignore[no-any-return]


def normalised(config: object) -> dict[str, object]:
    """A configuration that the server reports, in the same form as `config_of`."""
    from google.protobuf import json_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    message = json_format.ParseDict(config, ModelConfig())
    return json_format.MessageToDict(message, preserving_proto_field_name=True)  # type: ignore[no-any-return]


def on_cpu(config: dict[str, object], **parameters: str) -> dict[str, object]:
    """The configuration with the instances on the CPU, which is all that a machine without a GPU can do."""
    groups = [{**group, "kind": "KIND_CPU"} for group in config["instance_group"]]  # type: ignore[attr-defined]
    moved: dict[str, object] = {**config, "instance_group": groups}
    if parameters:
        added = {name: {"string_value": value} for name, value in parameters.items()}
        moved["parameters"] = {**config.get("parameters", {}), **added}  # type: ignore[dict-item]
    return moved


def test_every_variant_loads_and_answers(tmp_path: Path) -> None:
    """Nothing emitted is refused, all warm-up samples run, the server reports what was written, answers are right."""
    bundles = variants(tmp_path)
    repository = tmp_path / "models"
    repository.mkdir()
    for name, bundle in bundles.items():
        assert write_bundle(bundle, tmp_path / "dist" / name) == ()
        (tmp_path / "dist" / name / "model_repository" / name).rename(repository / name)
    (tmp_path / "serve").mkdir()
    flags = ["--disable-auto-complete-config", "--metrics-config=summary_latencies=true"]
    flags.append("--metrics-config=summary_quantiles=0.5:0.05,0.95:0.005,0.99:0.001")
    with TritonServer(repository, workdir=tmp_path / "serve", model_control="explicit", extra_args=flags) as server:
        for name, bundle in bundles.items():
            written = config_of(bundle)
            if name.startswith("ort-gpu"):
                written = on_cpu(written)
                server.load_model(name, written)
            elif name.startswith("ort"):
                server.load_model(name)
            else:
                written = on_cpu(written, **{"infc.service_times_s": ",".join(["0.001"] * 8)})
                server.load_model(name, written)
            reported = normalised(server.management.model_config(name))
            assert subset(written, reported), (name, written, reported)
            warmed = server.statistics(name)
            assert warmed.failures == 0
            assert {batch.batch_size for batch in warmed.batches} == {w["batch_size"] for w in written["model_warmup"]}  # type: ignore[attr-defined]
        client = grpcclient.InferenceServerClient(server.grpc_url)
        try:
            for name in bundles:
                ids = np.array([[0, 1, 2], [9, 9, 9]][: 1 if name == "ort-single" else 2], dtype=np.int64)
                request = grpcclient.InferInput("ids", list(ids.shape), "INT64")
                request.set_data_from_numpy(ids)
                scores = client.infer(name, [request]).as_numpy("scores")
                expected = np.array([[4.0, 5.0, 6.0, 7.0], [36.0, 37.0, 38.0, 39.0]], dtype=np.float32)[: len(ids)]
                np.testing.assert_allclose(scores, expected if name.startswith("ort") else np.zeros_like(expected))
        finally:
            client.close()
        for name in ("ort-plain", "ort-fixed"):
            program = first_request(bundles[name]).replace("localhost:8001", server.grpc_url)
            asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            assert "[0. 1. 2. 3.]" in asked.stdout
        with urllib.request.urlopen(f"http://{server.metrics_url}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        assert 'nv_inference_request_summary_us{model="ort-plain",version="1",quantile="0.99"}' in metrics


def test_emitted_backend_starts_in_the_server_and_says_what_it_lacks(tmp_path: Path) -> None:
    """The bundle's own backend for TensorRT-RTX runs in the real server up to the point that needs a GPU."""
    bundle = emitted(tmp_path, "rtx", "tensorrt_rtx", instances=1)
    out = tmp_path / "dist"
    assert write_bundle(bundle, out) == ()
    (tmp_path / "serve").mkdir()
    backends = {"tensorrt_rtx": out / "backends" / "tensorrt_rtx"}
    repository = out / "model_repository"
    with (
        TritonServer(repository, workdir=tmp_path / "serve", backends=backends, model_control="explicit") as server,
        pytest.raises(ToolError, match="backend tensorrt_rtx: "),
    ):
        server.load_model("rtx", on_cpu(config_of(bundle)))
