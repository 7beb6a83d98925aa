"""`infc plan --base` and `infc compile --plan` as a pull request and its merge run them."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import jsonschema
import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.report.plan_schema import plan_schema
from tests.pipeline.git_repository import SPECS, commit, git, lock, make_repository, replace_text, write_spec

Infc: TypeAlias = Callable[..., tuple[int, str, str]]
PLAN = ("plan", "specs", "--base", "main")
SAVE = (*PLAN, "--format", "json", "--out", "plan.json")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two locked specs for this machine's processor on `main`, without an accuracy goal: they compile in a second."""
    pytest.importorskip("onnx", reason="a model file is opened with the extra onnx")
    folder = tmp_path_factory.mktemp("locked")
    with contextlib.chdir(folder):
        make_repository("a", "b")
        for name in ("a", "b"):
            replace_text(write_spec(name, hardware="cpu"), "precision: [fp16]", "precision: [fp32]")
        lock()
        commit("main")
        git("checkout", "--quiet", "-b", "feature")
    return folder


@pytest.fixture
def infc(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Infc:
    """The command line in a copy of it: exit code, standard output, standard error."""
    shutil.copytree(locked, tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "repository")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = guarded(app, args=list(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_summary_comes_first_and_only_changed_specs_in_detail(infc: Infc) -> None:
    """Every line of the summary fits 80 columns, without colors in a pipe; unchanged deployments are counted."""
    replace_text("specs/a.infc.yaml", "rate: 50/s", "rate: 60/s")
    code, out, _ = infc(*PLAN)
    summary, _, detail = out.partition("\n\na: feasible")
    assert code == 0
    assert summary.startswith("Changes against main (")
    assert "~ a @ cpu  specs/a.infc.yaml\n" in summary
    assert "    why           workload.rate: 50/s -> 60/s (line 4)\n" in summary
    assert "Plan: 1 to change, 1 unchanged." in summary
    assert max(map(len, summary.splitlines())) <= 80
    assert "b: feasible" not in detail
    assert "\x1b" not in out


def test_one_spec_keeps_its_report_and_gets_what_changed(infc: Infc) -> None:
    """The report of a single spec stands first, the change at its end."""
    code, out, _ = infc("plan", "specs/b.infc.yaml")
    assert code == 0
    assert out.startswith("b: feasible")
    assert out.rstrip().splitlines()[-2:] == ["", "Plan: no changes, 1 unchanged."]
    assert infc("plan", "specs/b.infc.yaml", "--base", "main")[1].startswith("b: feasible")
    Path("infc.lock").unlink()
    assert "Changes against" not in infc("plan", "specs")[1]


def test_the_exit_code_tells_changes(infc: Infc) -> None:
    """0 and 2 with --detailed-exitcode, 0 without it; trouble goes before changes."""
    assert infc(*PLAN, "--detailed-exitcode")[0] == 0
    assert infc("plan", "specs", "--detailed-exitcode")[0] == 0
    replace_text("specs/a.infc.yaml", "rate: 50/s", "rate: 60/s")
    assert infc(*PLAN)[0] == 0
    assert infc(*PLAN, "--detailed-exitcode")[0] == 2
    assert infc("plan", "specs", "--detailed-exitcode")[0] == 2
    replace_text("specs/b.infc.yaml", "p99: 20ms", "p99: 1ns")
    assert infc(*PLAN, "--detailed-exitcode")[0] == 3
    replace_text("specs/b.infc.yaml", "p99: 1ns", "p99: soon")
    assert infc(*PLAN, "--detailed-exitcode")[0] == 5
    Path("specs/b.infc.yaml").unlink()
    assert infc(*PLAN, "--detailed-exitcode")[0] == 2
    code, _, err = infc("plan", "specs", "--base=-x")
    assert code == 1
    assert "is no git revision" in err


def test_the_json_is_the_plan_with_keys_beside_it(infc: Infc) -> None:
    """It validates; `specs` holds what was planned, `changes` everything, the summary the counts."""
    replace_text("specs/a.infc.yaml", "rate: 50/s", "rate: 60/s")
    code, out, _ = infc(*PLAN, "--format", "json")
    document = json.loads(out)
    jsonschema.validate(document, plan_schema())
    assert code == 0
    assert [spec["name"] for spec in document["specs"]] == ["a"]
    assert [(change["name"], change["action"]) for change in document["changes"]] == [
        ("a", "changed"),
        ("b", "unchanged"),
    ]
    assert document["summary"]["changes"] == {"added": 0, "changed": 1, "rebuilt": 0, "removed": 0, "unchanged": 1}
    assert infc(*PLAN, "--format", "json")[1] == out


def saved(infc: Infc) -> None:
    """A changed line, and the plan of it saved."""
    replace_text("specs/a.infc.yaml", "rate: 50/s", "rate: 60/s")
    assert infc(*SAVE)[0] == 0


@pytest.mark.slow
def test_a_saved_plan_is_compiled_as_it_was_reviewed(infc: Infc) -> None:
    """Without SPEC what it lists is compiled; the whole folder can be, for the rest is as it is locked."""
    saved(infc)
    code, _, err = infc("compile", "--plan", "plan.json")
    assert code == 0, err
    assert [folder.name for folder in Path("dist").iterdir()] == ["a"]
    code, _, err = infc("compile", "specs", "--plan", "plan.json", "-o", "other")
    assert code == 0, err
    assert sorted(folder.name for folder in Path("other").iterdir()) == ["a", "b"]
    assert infc("compile", "--plan", "plan.json")[0] == 0


def test_a_plan_without_changes_compiles_nothing(infc: Infc) -> None:
    """It says so, and that removed deployments are taken out of the lock by another command."""
    Path("specs/b.infc.yaml").unlink()
    assert infc(*SAVE)[0] == 0
    code, _, err = infc("compile", "--plan", "plan.json")
    assert code == 0
    assert "nothing to compile" in err
    assert "b @ cpu: `infc lock`" in err
    assert not Path("dist").exists()


CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "the spec": (lambda: replace_text("specs/a.infc.yaml", "60/s", "61/s"), "input spec: "),
    "the model": (lambda: shutil.copy(SPECS / "magika/magika-v3-3.onnx", "model/resnet8.onnx"), "input model: "),
    "the catalogue": (lambda: cheaper_cpu(), "input hardware: "),
    "another spec in the plan's place": (lambda: Path("specs/a.infc.yaml").rename("specs/z.infc.yaml"), "is not here"),
}


def cheaper_cpu() -> None:
    """A row of the catalogue of the team's own."""
    Path("targets/hardware").mkdir(parents=True)
    text = (SPECS.parent / "targets/hardware/cpu.yaml").read_text()
    Path("targets/hardware/cpu.yaml").write_text(text.replace("memory_gb: ", "memory_gb: 1"))


@pytest.mark.parametrize("change", CHANGES)
def test_a_compile_refuses_when_an_input_differs(infc: Infc, change: str) -> None:
    """Exit code 4, the input by its name, and nothing is written."""
    if change == "the model" and not (SPECS / "magika/magika-v3-3.onnx").exists():
        pytest.skip("another model is not here")
    saved(infc)
    edit, words = CHANGES[change]
    edit()
    code, _, err = infc("compile", "--plan", "plan.json")
    assert code == 4, err
    assert words in err
    assert not Path("dist").exists()


def test_editing_the_file_changes_nothing_that_is_compiled(infc: Infc) -> None:
    """An edited plan is refused by its digest; one with a matching digest by the plan that infc makes again."""
    from infc.pipeline.reviewed import reviewed_digest, reviewed_from_json

    saved(infc)
    document = json.loads(Path("plan.json").read_text())
    (first, _) = document["deployments"]
    first["decision"]["choice.replicas"] = "7"
    Path("plan.json").write_text(json.dumps(document))
    code, _, err = infc("compile", "--plan", "plan.json")
    assert code == 4
    assert "was edited" in err
    document["digest"] = reviewed_digest(map(reviewed_from_json, document["deployments"]))
    Path("plan.json").write_text(json.dumps(document))
    code, _, err = infc("compile", "--plan", "plan.json")
    assert code == 4
    assert "choice.replicas: 7 -> 1" in err
    first["spec"] = "../outside.infc.yaml"
    document["digest"] = reviewed_digest(map(reviewed_from_json, document["deployments"]))
    Path("plan.json").write_text(json.dumps(document))
    assert infc("compile", "--plan", "plan.json")[0] == 4
    assert not Path("dist").exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "not JSON", '{"format_version": "1.0", "specs": [], "summary": {}}', '{"base": 1}', "[" * 100_000],
)
def test_a_file_that_is_no_saved_plan_is_refused(infc: Infc, text: str) -> None:
    """Exit code 4 and how to make one."""
    Path("plan.json").write_text(text)
    code, _, err = infc("compile", "--plan", "plan.json")
    assert code == 4
    assert "saved-plan-unreadable" in err or "saved plan" in err


@pytest.mark.slow
def test_specs_that_the_plan_does_not_hold_are_refused(infc: Infc) -> None:
    """Nobody reviewed them; and a plan with a spec that had no plan is not compiled in part."""
    saved(infc)
    replace_text(write_spec("c", hardware="cpu"), "precision: [fp16]", "precision: [fp32]")
    code, _, err = infc("compile", "specs", "--plan", "plan.json")
    assert code == 4
    assert "saved-plan-absent" in err
    write_spec("c", p99="soon")
    infc(*SAVE)
    code, _, err = infc("compile", "--plan", "plan.json")
    assert code == 4
    assert "had no plan" in err


def test_compile_needs_specs_or_a_plan(infc: Infc) -> None:
    """A usage error, as before."""
    code, _, err = infc("compile")
    assert code == 64
    assert "--plan" in err
