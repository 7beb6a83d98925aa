"""`infc plan` and `infc predict` as their users run them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from infc.cli import app
from infc.report.plan_schema import plan_schema
from infc.report.predict_schema import predict_schema

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "specs/fashion-mnist/fashion-mnist.infc.yaml"
MODEL = ROOT / "specs/fashion-mnist/resnet8.onnx"
HEAVY = ("onnx", "onnx_ir", "onnxruntime", "tritonclient", "grpc", "tensorrt", "tensorrt_rtx", "torch")


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner().invoke(app, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


def test_json_of_the_example_validates_and_has_a_decision_for_the_target() -> None:
    """The example has a free choice and one for the CPU."""
    code, out, _ = run("plan", str(SPEC), "--format", "json")
    document = json.loads(out)
    jsonschema.validate(document, plan_schema())
    assert code == 0
    assert [entry["target"] for entry in document["specs"]] == [None, "cpu"]


def test_exit_codes_follow_the_worst_spec(tmp_path: Path) -> None:
    """3 for an SLO that cannot be met, 5 when another spec is invalid, and the valid ones are still planned."""
    (tmp_path / "model.onnx").write_bytes(MODEL.read_bytes())
    head = "apiVersion: infc.dev/v1\nkind: InferenceSpec\nmodel: {onnx: model.onnx}\nworkload: {rate: 50/s}\n"
    (tmp_path / "tight.infc.yaml").write_text(head + "slo: {latency: {p99: 10us}}\nconstraints: {hardware: [t4]}\n")
    code, out, _ = run("plan", str(tmp_path), "--format", "json")
    assert code == 3
    assert json.loads(out)["specs"][0]["status"] == "infeasible"
    (tmp_path / "wrong.infc.yaml").write_text(head + "slo: {latency: {p99: fast}}\n")
    code, out, errors = run("plan", str(tmp_path), "--format", "json")
    assert code == 5
    assert [entry["status"] for entry in json.loads(out)["specs"]] == ["infeasible", "invalid"]
    assert "wrong.infc.yaml:5" in errors


def test_why_explains_one_candidate() -> None:
    """A short label is planned at its best settings."""
    code, out, _ = run("plan", str(SPEC), "--why", "int8/l4")
    assert code == 0
    assert "slo.latency.p99" in out


def test_out_writes_the_report_to_a_file(tmp_path: Path) -> None:
    """Nothing is printed, the file holds the report."""
    target = tmp_path / "plan.json"
    code, out, _ = run("plan", str(SPEC), "--format", "json", "--out", str(target))
    assert (code, out) == (0, "")
    assert json.loads(target.read_text())["summary"]["feasible"] == 2


def test_the_plan_is_the_same_under_every_hash_seed() -> None:
    """Byte-identical output in fresh processes with other hash seeds."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", "from infc.cli import main; main()", "plan", str(SPEC), "--format", "json"],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1


def test_planning_imports_no_heavy_module() -> None:
    """With a stored or cached model profile, neither ONNX nor a server's client nor TensorRT is imported."""
    run("plan", str(SPEC))
    code = (
        "import sys\nfrom infc.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & set({HEAVY!r})))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, "plan", str(SPEC)], check=True, capture_output=True, text=True
    ).stdout
    assert shown.splitlines()[-1] == "[]"


def save_convolution(path: Path) -> None:
    """One convolution of 3.7 GFLOP."""
    onnx = pytest.importorskip("onnx", reason="makes the model of the test")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = helper.make_tensor("weights", kind, [64, 64, 3, 3], bytes(4 * 64 * 64 * 9), raw=True)
    node = helper.make_node("Conv", ["image", "weights"], ["made"], pads=[1, 1, 1, 1])
    ends = [helper.make_tensor_value_info(name, kind, ["batch", 64, 224, 224]) for name in ("image", "made")]
    graph = helper.make_graph([node], "convolution", ends[:1], ends[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def test_predict_answers_with_intervals() -> None:
    """The JSON validates, and a larger batch has a larger throughput."""
    shown = []
    for batch in ("1", "16"):
        arguments = ("--hardware", "l4", "--precision", "fp16", "--batch", batch, "--format", "json")
        code, out, _ = run("predict", str(MODEL), *arguments)
        document = json.loads(out)
        jsonschema.validate(document, predict_schema())
        assert code == 0
        shown.append(document["throughput_per_s"]["value"])
    assert shown[1] > shown[0]


def test_accelerators_of_a_module_add_throughput_and_leave_the_latency(tmp_path: Path) -> None:
    """With --dla the JSON keeps its shape; the text says how much of the throughput they make."""
    model = tmp_path / "conv.onnx"
    save_convolution(model)
    asked = ("predict", str(model), "--hardware", "jetson-agx-orin-64gb", "--precision", "int8", "--batch", "8")
    alone, together = (json.loads(run(*asked, *more, "--format", "json")[1]) for more in ((), ("--dla",)))
    jsonschema.validate(together, predict_schema())
    assert together["latency_ms"] == alone["latency_ms"]
    assert together["throughput_per_s"]["value"] > alone["throughput_per_s"]["value"]
    code, out, _ = run(*asked, "--dla")
    assert code == 0
    assert "of the DLAs" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--hardware", "t4", "--precision", "fp8"), 1, "predict-unsupported"),
        (("--hardware", "l4", "--precision", "int8", "--dla"), 1, "no deep learning accelerator"),
        (("--hardware", "jetson-agx-orin-64gb", "--precision", "fp16", "--dla"), 1, "INT8 only"),
        (("--hardware", "jetson-agx-orin-64gb", "--precision", "int8", "--dla"), 1, "from 1 GFLOP"),
        (("--hardware", "l44", "--precision", "fp16"), 5, "target-unknown"),
        (("--hardware", "l4", "--precision", "fp16", "--axes", "seq=8"), 5, "predict-axes"),
        (("--hardware", "l4", "--precision", "fp16", "--power-mode", "25W"), 5, "predict-power-mode"),
    ],
)
def test_predict_says_why_there_is_no_number(arguments: tuple[str, ...], code: int, words: str) -> None:
    """What cannot run, is unknown or does not fit the model is a diagnostic, not a number."""
    exit_code, _, errors = run("predict", str(MODEL), *arguments)
    assert exit_code == code
    assert words in errors
