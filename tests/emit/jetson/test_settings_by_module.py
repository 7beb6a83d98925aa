"""Triton takes a module's own settings by name, on the real server: what `configs/` in a bundle counts on."""

import json
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from infc.emit.triton import emit
from infc.emit.write import write_bundle
from infc.ir.candidate import DynamicBatching
from infc.ir.precision import Precision
from infc.serve.triton import TritonServer
from tests.emit import samples

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("tritonclient", reason="the extra `triton` is not installed")

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(find_spec("pytriton") is None, reason="the real tritonserver comes with the extra `server`"),
]


@pytest.mark.parametrize(("name", "instances"), [("jetson-orin-nano-8gb", 2), ("common", 1)])
def test_a_module_without_settings_of_its_own_takes_the_common_ones(tmp_path: Path, name: str, instances: int) -> None:
    """`--model-config-name` reads `configs/<name>.pbtxt` where there is one, else config.pbtxt."""
    model = samples.write_onnx(tmp_path / "model.onnx")
    batching = DynamicBatching(max_batch_size=8)
    plan = samples.plan(hardware_id="cpu", batching=batching, precision=Precision.FP32, instances=1)
    bundle, problems = emit(samples.problem(), plan, samples.engine(model, precision=Precision.FP32))
    assert bundle is not None
    assert problems == ()
    assert write_bundle(bundle, tmp_path / "bundle") == ()
    repository = tmp_path / "bundle" / "model_repository"
    common = (repository / "lookup" / "config.pbtxt").read_text()
    assert "  count: 1\n  kind: KIND_CPU\n" in common
    (repository / "lookup" / "configs").mkdir()
    own = common.replace("  count: 1\n  kind: KIND_CPU\n", "  count: 2\n  kind: KIND_CPU\n")
    (repository / "lookup" / "configs" / "jetson-orin-nano-8gb.pbtxt").write_text(own)
    (tmp_path / "work").mkdir()
    arguments = [f"--model-config-name={name}"]
    work = tmp_path / "work"
    with TritonServer(
        repository, workdir=work, model_control="explicit", load=["lookup"], extra_args=arguments
    ) as server:
        document = urllib.request.urlopen(f"http://{server.http_url}/v2/models/lookup/config", timeout=10).read()
    assert [group["count"] for group in json.loads(document)["instance_group"]] == [instances]
