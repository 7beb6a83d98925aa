"""`infc plan` for Jetson modules: what a person reads, and what a program does, of modes, caps and watts."""

import json
from pathlib import Path

import jsonschema
import pytest

from infc.report.plan_schema import plan_schema
from tests.cli.test_plan_command import MODEL, run

pytest.importorskip("onnx", reason="analysing a model needs the extra onnx")
SPEC = """apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {{name: dock-camera}}
model: {{onnx: {model}}}
slo: {{latency: {{p99: 33ms}}}}
workload: {{rate: 60/s, arrival: {{constant: {{streams: 2}}}}}}
constraints: {{hardware: [jetson-orin-nano-8gb], max_power: {cap}, precision: [fp16]}}
deploy: {{server: jetson, jetson: {{jetpack: "6.2", dla: true, reserved_memory: 2GB}}}}
"""


def planned(folder: Path, cap: str, *options: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of planning the spec with this cap."""
    (folder / "model.onnx").write_bytes(MODEL.read_bytes())
    spec = folder / "dock-camera.infc.yaml"
    spec.write_text(SPEC.format(model="model.onnx", cap=cap))
    return run("plan", str(spec), *options)


def test_a_cap_that_no_mode_meets_exits_3_and_names_the_mode_that_came_nearest(tmp_path: Path) -> None:
    """In words and as JSON, with the cap that would do."""
    code, out, _ = planned(tmp_path, "5W")
    assert code == 3
    words = " ".join(out.split())
    assert "7W of jetson-orin-nano-8gb draws least and comes nearest" in words
    assert "7 W against 5 W" in words
    assert "constraints.max_power 5W -> 7W" in words
    code, out, _ = planned(tmp_path, "5W", "--format", "json")
    assert code == 3
    document = json.loads(out)
    jsonschema.validate(document, plan_schema())
    (entry,) = document["specs"]
    (mode,) = entry["nearest_power_modes"]
    assert (mode["power_mode"], mode["power_w"]) == ("7W", 7)
    assert mode["draws_least"]
    assert mode["comes_nearest"]
    assert {"constraints.max_power"} <= {r["path"] for r in entry["relaxations"]}
    for format in ("markdown", "html"):
        assert (
            "7W of jetson-orin-nano-8gb draws least and comes nearest" in planned(tmp_path, "5W", "--format", format)[1]
        )


def test_watts_and_joules_stand_beside_the_choice_and_the_runners_up(tmp_path: Path) -> None:
    """Requests per joule (a second and watt) and joules per request; mode, accelerator and what was assumed."""
    code, out, _ = planned(tmp_path, "15W")
    assert code == 0
    words = " ".join(out.split())
    assert "requests per joule" in words
    assert "J per request" in words
    assert "requests/J" in words
    assert "in mode 7W" in words
    assert (
        "deploy.jetson.dla: the GPU runs the engine, for jetson-orin-nano-8gb has no deep learning accelerator" in words
    )
    assert "For JetPack 6.2 (Jetson Linux 36.4.3, CUDA 12.6) with TensorRT 10.3.0." in words
    code, out, _ = planned(tmp_path, "15W", "--format", "json")
    document = json.loads(out)
    jsonschema.validate(document, plan_schema())
    (entry,) = document["specs"]
    assert entry["decision"]["power_mode"] == "7W"
    assert entry["decision"]["dla_core"] is None
    assert entry["nearest_power_modes"] == []
    for estimate in (entry["estimate"], *(r["estimate"] for r in entry["runners_up"])):
        assert estimate["requests_per_joule"] == pytest.approx(60 / estimate["power_w"], rel=0.02)
        assert estimate["energy"]["joules_per_request"]["value"] > 0
