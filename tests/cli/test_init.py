"""`infc init`: the starter spec says what the model says, and passes `infc check`."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.cli.edge import guarded
from infc.report.made_json import starter_schema
from infc.spec import load_spec

onnx = pytest.importorskip("onnx", reason="infc init reads ONNX models (extra `onnx`)")


def write_model(path: Path, shape: list[int | str], name: str = "input_ids") -> None:
    """A model that doubles its input."""
    tensor = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", [name, name], ["doubled"])],
        "doubler",
        [onnx.helper.make_tensor_value_info(name, tensor, shape)],
        [onnx.helper.make_tensor_value_info("doubled", tensor, shape)],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with a model, as the current directory."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "models").mkdir()
    write_model(tmp_path / "models" / "Doubler v2.onnx", ["batch", "sequence", 8])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_starter_spec_passes_check_and_names_the_models_axes(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is named after the model; paths are relative to the spec. JSON names what was written."""
    assert guarded(app, args=["init", "models/Doubler v2.onnx", "-o", "specs/", "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator(starter_schema()).validate(printed)
    path = Path("specs/doubler-v2.infc.yaml")
    assert (printed["name"], printed["spec"]) == ("doubler-v2", str(path))
    assert Path(printed["editor_schema"]).is_file()
    assert guarded(app, args=["check", str(path)]) == 0
    loaded = load_spec(path)
    assert loaded.spec is not None
    assert loaded.name == "doubler-v2"
    assert list(loaded.spec.workload.axes) == ["sequence"]
    assert loaded.spec.model.onnx == "../models/Doubler v2.onnx"  # type: ignore[union-attr]
    text = path.read_text()
    assert "#   input   input_ids: float32[batch, sequence, 8]" in text
    assert "<-" in text
    assert max(map(len, text.splitlines())) <= 120


def test_editors_find_the_schema_by_the_first_line(repository: Path) -> None:
    """The nearest one of the repository; one that is there is left alone, else it is written at the root."""
    assert guarded(app, args=["init", "models/Doubler v2.onnx", "-o", "specs/vision/"]) == 0
    first = Path("specs/vision/doubler-v2.infc.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../../schemas/spec.schema.json"
    assert json.loads(Path("schemas/spec.schema.json").read_text())["title"] == "infc inference spec"
    Path("specs/schemas").mkdir()
    Path("specs/schemas/spec.schema.json").write_text("{}")
    assert guarded(app, args=["init", "models/Doubler v2.onnx", "-o", "specs/vision/", "--name", "other"]) == 0
    first = Path("specs/vision/other.infc.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schemas/spec.schema.json"
    assert Path("specs/schemas/spec.schema.json").read_text() == "{}"


def test_the_commented_parts_are_valid_too(repository: Path) -> None:
    """Whoever removes the # of a block gets a spec that reads (its data may be missing)."""
    assert guarded(app, args=["init", "models/Doubler v2.onnx", "-o", "a.infc.yaml"]) == 0
    keys = ("accuracy:", "  dataset", "  metric", "  max_drop", "  floor", "constraints:", "  hardware", "  precision")
    keys += ("  max_cost", "  redundancy", "objective:", "pricing:")
    lines = [
        line[2:] if line.startswith("# ") and line[2:].startswith(keys) else line
        for line in Path("a.infc.yaml").read_text().splitlines()
    ]
    Path("a.infc.yaml").write_text("\n".join(lines) + "\n")
    assert [d.id for d in load_spec(Path("a.infc.yaml")).diagnostics] == ["spec-file-missing"]


def test_a_file_that_is_there_is_only_overwritten_with_force(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A spec is somebody's work."""
    Path("a.infc.yaml").write_text("mine")
    assert guarded(app, args=["init", "models/Doubler v2.onnx", "-o", "a.infc.yaml"]) == 64
    assert "--force" in capsys.readouterr().err
    assert Path("a.infc.yaml").read_text() == "mine"
    assert guarded(app, args=["init", "models/Doubler v2.onnx", "-o", "a.infc.yaml", "--force"]) == 0
    assert "apiVersion" in Path("a.infc.yaml").read_text()


@pytest.mark.parametrize(
    "arguments",
    [["--name", "No Label"], ["-o", "a.yaml"], ["-o", "notes.txt"]],
    ids=" ".join,
)
def test_names_that_check_would_refuse_are_usage_errors(arguments: list[str], repository: Path) -> None:
    """Nothing is written."""
    assert guarded(app, args=["init", "models/Doubler v2.onnx", *arguments]) == 64
    assert sorted(path.name for path in repository.iterdir()) == [".git", "models"]


def test_hostile_names_in_a_model_stay_inside_their_quotes(repository: Path) -> None:
    """Axis and tensor names come from a file that somebody sent."""
    write_model(repository / "models" / "evil.onnx", ["batch", 'x"\n  rate: 1/s #', "true"], name="in\nobjective: 3")
    assert guarded(app, args=["init", "models/evil.onnx"]) == 0
    loaded = load_spec(Path("evil.infc.yaml"))
    assert loaded.spec is not None
    assert loaded.spec.objective == "cost"
    assert loaded.spec.workload.rate_rps == 100
    assert "true" in loaded.spec.workload.axes


def test_a_model_outside_the_repository_cannot_be_named(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """The spec would not pass check: exit 5, nothing written."""
    outside = tmp_path_factory.mktemp("elsewhere") / "model.onnx"
    write_model(outside, ["batch", 4])
    assert guarded(app, args=["init", str(outside)]) == 5
    assert "leaves the repository" in capsys.readouterr().err
    assert not Path("model.infc.yaml").exists()


def test_a_file_that_is_no_model_is_a_diagnostic(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, with an id to look up, nothing written."""
    Path("text.onnx").write_text("not a model")
    assert guarded(app, args=["init", "text.onnx"]) == 1
    assert "error[model-" in capsys.readouterr().err
    assert not Path("text.infc.yaml").exists()
