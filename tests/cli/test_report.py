"""`infc report`: a saved plan in other formats; and `infc plan` in those of a review."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.cli.edge import FAILURE, OK, USAGE_ERROR, guarded
from infc.report.change_json import change_set_to_json
from infc.report.change_reports import report_schema
from tests.report.changes import ADDED, INFEASIBLE, REBUILT, REMOVED, UNCHANGED, change_set
from tests.report.sarif_subset import SARIF_SUBSET

EXAMPLE = Path(__file__).parents[2] / "specs" / "fashion-mnist"
CHANGES = change_set(REBUILT, ADDED, REMOVED, INFEASIBLE, *UNCHANGED)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A saved plan."""
    path = tmp_path / "plan.json"
    document = {"format_version": "1.7", "specs": [], "summary": {}, **change_set_to_json(CHANGES)}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> int:
    """The exit code of `infc report`."""
    return guarded(app, args=("report", *map(str, arguments)))


def test_one_call_writes_every_report(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One to standard output, the others to files, which are those that single calls would write."""
    sarif, comment, issues = tmp_path / "a" / "infc.sarif", tmp_path / "comment.md", tmp_path / "issues.json"
    also = [
        f"--also={name}={path}" for name, path in (("sarif", sarif), ("markdown", comment), ("codequality", issues))
    ]
    assert run(plan, "--format", "github", *also, "--details-url", "https://ci.example/1", "--marker", "prod") == OK
    assert capsys.readouterr().out.startswith("::error file=services/detector.infc.yaml,line=9")
    Draft202012Validator(SARIF_SUBSET).validate(json.loads(sarif.read_text(encoding="utf-8")))
    assert comment.read_text(encoding="utf-8").startswith("<!-- infc-plan:prod -->\n\n## infc plan: 1 to add")
    assert "(https://ci.example/1)" in comment.read_text(encoding="utf-8")
    assert json.loads(issues.read_text(encoding="utf-8"))[0]["check_name"] == "change-infeasible"
    alone = tmp_path / "alone.sarif"
    assert run(plan, "--format", "sarif", "--out", alone) == OK
    assert alone.read_bytes() == sarif.read_bytes()


def test_text_is_what_the_plan_said(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The default, as `infc plan` prints it."""
    assert run(plan) == OK
    out = capsys.readouterr().out
    assert out.startswith("Changes against origin/main (1f2e3d4)\n")
    assert "± resnet50 @ l4" in out


def test_json_fits_its_schema(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The comparison alone, without the decisions of the plan."""
    assert run(plan, "--format", "json") == OK
    report = json.loads(capsys.readouterr().out)
    Draft202012Validator(report_schema()).validate(report)
    assert [each["name"] for each in report["sets"][0]["changes"]][:2] == ["detector", "old-ocr"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "report-plan-file"),
        ("[]", "no saved plan"),
        ('{"format_version": "1.0"}', "no saved plan"),
        ('{"format_version": "2.0", "specs": []}', "format version 2.0, and this infc reads 1.x"),
        ('{"format_version": "1.0", "specs": []}', "holds no comparison"),
        ('{"format_version": "1.0", "specs": [], "base": null}', "compared with nothing"),
        ('{"format_version": "1.0", "specs": [], "base": "x", "digest": 3, "changes": []}', "3 is no text"),
    ],
)
def test_a_file_that_is_no_saved_plan_is_a_clear_error(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, with an id to look up; nothing is written."""
    path = tmp_path / "plan.json"
    path.write_text(content, encoding="utf-8")
    assert run(path, "--also", f"sarif={tmp_path / 'out.sarif'}") == FAILURE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.sarif").exists()


def test_numbers_that_no_plan_holds_are_shown_all_the_same(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An integer of thousands of digits is data like any other."""
    text = plan.read_text(encoding="utf-8").replace('"value": 6.4', f'"value": 1{"0" * 4000}')
    plan.write_text(text, encoding="utf-8")
    for format in ("markdown", "text", "sarif"):
        assert run(plan, "--format", format) == OK
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("also", ["sarif", "sarif=", "pdf=x", "=x"])
def test_also_needs_a_format_and_a_file(also: str, plan: Path) -> None:
    """Anything else is a usage error."""
    assert run(plan, "--also", also) == USAGE_ERROR


def test_a_plan_in_the_formats_of_a_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a git base, at the changed line; the saved plan gives the same reports later."""
    shutil.copytree(EXAMPLE, tmp_path / "specs" / "fashion-mnist")
    shutil.copy(EXAMPLE.parent / "infc.lock", tmp_path / "specs")
    monkeypatch.chdir(tmp_path)
    identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    for command in (("init", "-q", "-b", "main"), ("add", "-A"), (*identity, "commit", "-q", "-m", "base")):
        subprocess.run(["git", *command], check=True, timeout=60)
    spec = tmp_path / "specs" / "fashion-mnist" / "fashion-mnist.infc.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("p99: 80ms", "p99: 60ms"), encoding="utf-8")
    assert (
        guarded(app, args=("plan", "specs/fashion-mnist", "--base", "main", "--format", "json", "--out", "plan.json"))
        == OK
    )
    capsys.readouterr()
    assert guarded(app, args=("plan", "specs/fashion-mnist", "--base", "main", "--format", "markdown")) == OK
    planned = capsys.readouterr().out
    assert run("plan.json", "--format", "markdown", "--also", "github=github.txt") == OK
    assert capsys.readouterr().out == planned
    assert "- spec `slo.latency.p99`: `80ms` → `60ms` (`specs/fashion-mnist/fashion-mnist.infc.yaml:12`)" in planned
    annotated = Path("github.txt").read_text(encoding="utf-8")
    assert annotated.startswith("::notice file=specs/fashion-mnist/fashion-mnist.infc.yaml,line=12,")
