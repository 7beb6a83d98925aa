"""schemas/ holds exactly what the code generates, and the spec's schema agrees with the loader."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from infc.cli.schema import SCHEMAS, schema_text
from infc.spec import load_spec_bytes

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "schemas"
NAMES = [name for name, _, _ in SCHEMAS]
SPECS = sorted((ROOT / "specs").rglob("*.infc.yaml"))
MINIMAL = {"model": {"onnx": "m.onnx"}, "slo": {"latency": {"p99": "25ms"}}, "workload": {"rate": "300/s"}}


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_schema_is_what_the_code_generates(name: str) -> None:
    """`make schemas` rewrites them: read the diff."""
    assert (COMMITTED / f"{name}.schema.json").read_text(encoding="utf-8") == schema_text(name)


def test_each_name_is_listed_once() -> None:
    """A name that is listed twice hides one of the two."""
    assert len(set(NAMES)) == len(NAMES)


def test_nothing_else_is_committed() -> None:
    """A schema that nothing generates would rot."""
    assert sorted(path.name for path in COMMITTED.iterdir()) == sorted(f"{name}.schema.json" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema(name: str) -> None:
    """Draft 2020-12, with an id, a title and a description of what it describes."""
    schema = json.loads(schema_text(name))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"https://infc.dev/schemas/{name}.schema.json"
    assert schema["title"]


def spec_validator() -> jsonschema.Draft202012Validator:
    """The schema that editors use."""
    return jsonschema.Draft202012Validator(json.loads(schema_text("spec")))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_the_examples_fit_the_schema_and_name_it(path: Path) -> None:
    """An editor shows no error in a valid spec, and finds the schema through the first line."""
    text = path.read_text(encoding="utf-8")
    spec_validator().validate(yaml.safe_load(text))
    first = text.splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() == COMMITTED / "spec.schema.json"


@pytest.mark.parametrize(
    "change",
    [
        {"slo": {"latency": {"p99": 25}}},
        {"slo": {"latency": {"p99": "25 parsecs"}}},
        {"slo": {"latency": {"max": "25ms"}}},
        {"slo": {"latency": {}}},
        {"workload": {"rate": 300}},
        {"workload": {"rate": "300/s", "arrival": "poison"}},
        {"workload": {"rate": "300/s", "arrival": {"bursty": {"cv": 0}}}},
        {"workload": {"rate": "300/s", "hourly": [1, 2]}},
        {"workload": {"rate": "300/s", "axes": {"s": {"p50": 3}}}},
        {"workload": {"rate": "300/s", "axes": {"s": {"mean": 3, "max": 4}}}},
        {"model": {"onnx": "a", "checkpoint": "b"}},
        {"model": {"name": "a"}},
        {"model": "a.onnx"},
        {"metadata": {"name": "No Label"}},
        {"constraints": {"precision": ["int9"]}},
        {"constraints": {"precision": []}},
        {"constraints": {"hardware": "l4"}},
        {"constraints": {"hardware": ["l4", "l4"]}},
        {"constraints": {"redundancy": -1}},
        {"constraints": {"max_cost": "3000"}},
        {"objective": "cheap"},
        {"apiVersion": "infc.dev/v2"},
        {"accuracy": {"dataset": "d.npz", "metric": "top3", "floor": 0.5}},
        {"accuracy": {"metric": "top1", "floor": 0.5}},
        {"accuracy": {"dataset": "d.npz", "metric": {"python": "os.system('x')"}, "floor": 0.5}},
        {"deploy": {"server": "tritn"}},
        {"unknown": 1},
    ],
    ids=json.dumps,
)
def test_schema_and_loader_refuse_the_same(change: dict[str, object], tmp_path: Path) -> None:
    """What an editor underlines is an error of `infc check`, and the other way round."""
    (tmp_path / "m.onnx").touch()
    (tmp_path / "d.npz").touch()
    path = tmp_path / "a.infc.yaml"
    validator = spec_validator()
    assert validator.is_valid(MINIMAL)
    assert load_spec_bytes(json.dumps(MINIMAL).encode(), path).spec is not None
    changed = {**MINIMAL, **change}
    assert not validator.is_valid(changed)
    assert load_spec_bytes(json.dumps(changed).encode(), path).spec is None


def test_every_key_of_the_spec_is_described() -> None:
    """Hovering over a key in an editor says what it means."""
    schema = json.loads(schema_text("spec"))
    blocks = {"spec": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, block in blocks.items()
        for key, value in block.get("properties", {}).items()
        if "description" not in value
    ]
    assert silent == []
