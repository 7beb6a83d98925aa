"""`infc check`, `explain`, `schema`, `completion`, and usage errors, through the real entry point."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from jsonschema import Draft202012Validator

from infc.cli import COMMANDS, app
from infc.cli.completion import SHELLS
from infc.cli.edge import guarded
from infc.cli.schema import schema_text
from infc.diag.catalogue import CATALOGUE
from infc.report.made_json import completion_schema, schema_list_schema

MINIMAL = "model: {onnx: model.onnx}\nslo: {latency: {p99: 25ms}}\nworkload: {rate: 300/s}\n"
INFC = str(Path(sys.executable).with_name("infc"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one good spec and one with two errors, below specs/."""
    (tmp_path / ".git").mkdir()
    specs = tmp_path / "specs"
    (specs / ".hidden").mkdir(parents=True)
    (specs / "model.onnx").touch()
    (specs / "good.infc.yaml").write_text(MINIMAL)
    (specs / "bad.infc.yaml").write_text(MINIMAL.replace("300/s", "300").replace("slo", "sol"))
    (specs / ".hidden" / "other.infc.yaml").write_text("")
    (specs / "notes.yaml").write_text("not: a spec")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_of_a_valid_spec_exits_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says so."""
    assert guarded(app, args=["check", "specs/good.infc.yaml"]) == 0
    assert capsys.readouterr().out == "1 spec checked, no problems\n"


def test_check_of_a_folder_finds_specs_by_their_suffix(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hidden folders and other YAML files are left alone; one bad spec makes the exit code 5."""
    assert guarded(app, args=["check", "specs", "specs/good.infc.yaml"]) == 5
    out = capsys.readouterr().out
    assert "specs/bad.infc.yaml:2:1" in out
    assert out.endswith("\n2 errors in 2 specs\n")


def test_check_of_a_folder_without_specs_is_a_usage_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checking nothing is not a success."""
    (folder / "empty").mkdir()
    assert guarded(app, args=["check", "empty"]) == 64
    assert "no *.infc.yaml file in empty" in capsys.readouterr().err


def test_check_knows_the_catalogue_of_hardware(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown hardware is an error at its place in the list, with the nearest name; so is an unknown provider."""
    text = (
        MINIMAL + "constraints: {hardware: [l4, a100-sxm-80bg]}\npricing: {provider: asw}\ndeploy: {targets: [cpuu]}\n"
    )
    (folder / "specs" / "good.infc.yaml").write_text(text)
    assert guarded(app, args=["check", "specs/good.infc.yaml", "--format", "json"]) == 5
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    assert [(d["id"], d["span"]["line"]) for d in found] == [
        ("target-unknown", 4),
        ("target-unknown-provider", 5),
        ("target-unknown", 6),
    ]
    assert "a100-sxm-80gb" in found[0]["help"]


def test_check_finds_two_specs_of_one_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lock and the output folder go by the name, so it is unique in a workspace."""
    for name in ("good", "bad"):
        (folder / "specs" / f"{name}.infc.yaml").write_text(MINIMAL + "metadata: {name: encoder}\n")
    assert guarded(app, args=["check", "specs"]) == 5
    assert "error[lock-duplicate-name]" in capsys.readouterr().out


def test_check_reads_hardware_of_the_workspace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken overlay is reported with its own file and line."""
    overlay = folder / "targets" / "hardware"
    overlay.mkdir(parents=True)
    (overlay / "mine.yaml").write_text("name: [\n")
    (folder / "specs" / "good.infc.yaml").write_text(MINIMAL + "constraints: {hardware: [l4]}\n")
    assert guarded(app, args=["check", "specs/good.infc.yaml", "--format", "json"]) == 5
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    assert found[0]["span"]["path"].endswith("targets/hardware/mine.yaml")


@pytest.mark.parametrize("format", ["json", "sarif", "codequality"])
def test_check_formats_are_json_for_good_and_bad_specs(
    format: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tool gets a document in both cases."""
    for name, code in (("good", 0), ("bad", 5)):
        assert guarded(app, args=["check", f"specs/{name}.infc.yaml", "--format", format]) == code
        document = json.loads(capsys.readouterr().out)
        if format == "json":
            jsonschema.validate(document, json.loads(schema_text("diagnostics")))


def test_check_prints_workflow_commands_for_github(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing for a good spec, one command for each problem of a bad one."""
    assert guarded(app, args=["check", "specs/good.infc.yaml", "--format", "github"]) == 0
    assert capsys.readouterr().out == ""
    assert guarded(app, args=["check", "specs/bad.infc.yaml", "--format", "github"]) == 5
    assert all(line.startswith("::error file=specs/bad.infc.yaml,") for line in capsys.readouterr().out.splitlines())


def _on_a_terminal(folder: Path, **environment: str) -> bytes:
    """What `infc check` writes to a terminal."""
    control, terminal = pty.openpty()
    variables = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "TERM"}}
    subprocess.run(
        [INFC, "check", "specs/bad.infc.yaml"],
        cwd=folder,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        env={**variables, "TERM": "xterm", **environment},
        timeout=60,
        check=False,
    )
    os.close(terminal)
    output = os.read(control, 65536)
    os.close(control)
    return output


def test_color_only_on_a_terminal_and_not_under_no_color(folder: Path) -> None:
    """Piped output is plain, whatever the terminal."""
    assert b"\x1b[1;31merror" in _on_a_terminal(folder)
    assert b"\x1b" not in _on_a_terminal(folder, NO_COLOR="1")
    assert b"\x1b" not in _on_a_terminal(folder, TERM="dumb")
    piped = subprocess.run([INFC, "check", "specs/bad.infc.yaml"], cwd=folder, capture_output=True, check=False)
    assert b"\x1b" not in piped.stdout


def test_check_imports_no_model_library(folder: Path) -> None:
    """Checking is for every commit: it must not load onnx, ONNX Runtime, Triton's client or TensorRT."""
    code = (
        "import sys; from infc.cli import app; from infc.cli.edge import guarded\n"
        "assert guarded(app, args=['check', 'specs/good.infc.yaml']) == 0\n"
        "heavy = {'onnx', 'onnx_ir', 'onnxruntime', 'tritonclient', 'tensorrt', 'tensorrt_rtx', 'jinja2', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_explain_prints_what_why_example_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    """The id may be pasted as it stands in the message."""
    for id in ("spec-quantity", "error[spec-quantity]", "[spec-quantity]"):
        assert guarded(app, args=["explain", id]) == 0
        out = capsys.readouterr().out
        assert out.startswith("spec-quantity: ")
        for part in ("Why: ", "Example:", "Fix: "):
            assert part in out


def test_explain_lists_every_id(capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON."""
    assert guarded(app, args=["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [kind.id for kind in CATALOGUE]
    assert guarded(app, args=["explain", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(schema_text("explanations")))
    assert len(document["diagnostics"]) == len(CATALOGUE)


def test_explain_of_an_unknown_id_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error."""
    assert guarded(app, args=["explain", "spec-quantiy"]) == 64
    assert "did you mean spec-quantity" in capsys.readouterr().err


def test_schema_lists_prints_and_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name the list; with one the schema; with --write all of them as files."""
    assert guarded(app, args=["schema"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"spec", "plan", "lock", "hardware", "prices", "profile", "diagnostics"} <= set(names)
    assert guarded(app, args=["schema", "spec"]) == 0
    assert capsys.readouterr().out == schema_text("spec")
    assert guarded(app, args=["schema", "--write", "out"]) == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == sorted(f"{name}.schema.json" for name in names)
    assert guarded(app, args=["schema", "spec", "--write", "out"]) == 64
    capsys.readouterr()
    for arguments, written in (([], None), (["--write", "out"], "out")):
        assert guarded(app, args=["schema", "--format", "json", *arguments]) == 0
        listed = json.loads(capsys.readouterr().out)
        Draft202012Validator(schema_list_schema()).validate(listed)
        assert ([each["name"] for each in listed["schemas"]], listed["folder"]) == (names, written)


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Which asks infc for the words."""
    assert guarded(app, args=["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "_INFC_COMPLETE" in out
    assert f"{shell}_complete" in out
    assert guarded(app, args=["completion", shell, "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator(completion_schema()).validate(printed)
    assert (printed["shell"], printed["script"] + "\n") == (shell, out)


def test_completion_completes_commands() -> None:
    """The protocol that the bash script speaks."""
    environment = {**os.environ, "_INFC_COMPLETE": "bash_complete", "COMP_WORDS": "infc ch", "COMP_CWORD": "1"}
    done = subprocess.run([INFC], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,check"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nosuch"],
        ["--nosuch"],
        ["check"],
        ["check", "--format", "xml", "a"],
        ["explain", "a", "b"],
        ["schema", "nosuch"],
        ["completion", "csh"],
        ["init"],
        ["init", "nowhere.onnx"],
    ],
    ids=" ".join,
)
def test_a_usage_error_exits_64(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Never click's own 2, which is `changes` here; the message goes to stderr."""
    assert guarded(app, args=arguments) == 64
    output = capsys.readouterr()
    assert output.out == ""
    assert "Usage: infc" in output.err


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """`chekc` is `check`."""
    assert guarded(app, args=["chekc"]) == 64
    assert "did you mean `check`?" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With its usage and a description, and no markup left in it."""
    assert guarded(app, args=[name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: infc {name}")
    assert "\\b" not in out
    assert "\b" not in out


def test_no_list_of_commands_is_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    """A group says what each of its commands does in a sentence that fits the line."""
    for name in ("simulate", "worker", "targets", "ci"):
        assert guarded(app, args=[name, "--help"]) == 0
        assert "..." not in capsys.readouterr().out.split("Commands:")[1]
