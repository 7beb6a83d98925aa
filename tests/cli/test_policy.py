"""A repository's policy on the command line: shown with its place, exit 1 when it fails a plan, 5 when it is wrong."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from infc.cli import app
from infc.report.plan_schema import plan_schema

EXAMPLE = Path(__file__).parents[2] / "specs" / "fashion-mnist"


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner().invoke(app, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the example's spec, which is the current directory."""
    (tmp_path / ".git").mkdir()
    shutil.copytree(EXAMPLE, tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def policy(repository: Path, text: str) -> None:
    """Write the repository's policy."""
    (repository / "infc-policy.yaml").write_text(text, encoding="utf-8")


def test_a_threshold_that_is_to_fail_makes_plan_and_compile_fail(repository: Path) -> None:
    """Exit 1, the rule's place in text and JSON; a compile builds and writes nothing."""
    policy(repository, "rules:\n  - {max_cost: $1/month, action: fail, because: a joke}\n")
    code, text, _ = run("plan", "shop")
    assert code == 1
    assert "fail: max_cost $1/month: $372/month (infc-policy.yaml:2; a joke)" in text
    code, out, _ = run("plan", "shop", "--format", "json")
    document = json.loads(out)
    jsonschema.validate(document, plan_schema())
    found = document["specs"][0]["policy"][0]
    assert (code, found["rule"], found["outcome"], found["path"], found["line"]) == (
        1,
        "max_cost",
        "violated",
        "infc-policy.yaml",
        2,
    )
    assert document["specs"][1]["policy"][0]["outcome"] == "unknown", "the CPU has no price"
    code, _, errors = run("compile", "shop", "-o", "dist")
    assert code == 1
    assert "error[policy-violated]" in errors
    assert not Path("dist").exists()
    assert not Path("infc.lock").exists()


def test_a_warning_does_not_change_the_exit_code(repository: Path) -> None:
    """And a rule for other specs says nothing."""
    policy(repository, "rules:\n  - min_basis: measured\n  - {max_cost: $1/month, action: fail, specs: [other/*]}\n")
    code, text, _ = run("plan", "shop")
    assert code == 0
    assert "warn: min_basis measured: analytic (infc-policy.yaml:2)" in text
    assert "$1/month" not in text


def test_a_wrong_policy_is_exit_5_everywhere(repository: Path) -> None:
    """Check, plan and compile name every problem with its line."""
    policy(repository, "rules:\n  - {max_cost: 5, action: maybe}\n")
    for command in (("check", "shop"), ("plan", "shop"), ("compile", "shop", "-o", "dist")):
        code, text, errors = run(*command)
        assert code == 5, command
        assert "infc-policy.yaml:2:" in text + errors
    assert not Path("dist").exists()


def test_the_ladder_is_shown_when_asked_for(repository: Path) -> None:
    """In JSON and in text that fits the width."""
    _, out, _ = run("plan", "shop", "--ladder", "--format", "json")
    document = json.loads(out)
    jsonschema.validate(document, plan_schema())
    first = document["specs"][0]["ladder"][0]
    assert (first["step"], first["meets_slo"], first["basis"]) == ("uncompiled", True, "analytic")
    assert document["specs"][0]["constraint_costs"] is not None
    _, text, _ = run("plan", "shop", "--ladder")
    assert "ladder: what each step buys" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_plan_says_what_it_saves_over_the_lock(repository: Path) -> None:
    """Locked on a dear device only, then planned freely: before and after at today's prices, by month and year."""
    spec = repository / "shop" / "fashion-mnist.infc.yaml"
    free = spec.read_text(encoding="utf-8")
    spec.write_text(free.replace("hardware: [t4, l4, a10g, l40s]", "hardware: [l40s]"), encoding="utf-8")
    assert run("lock", "shop")[0] == 0
    assert json.loads(run("plan", "shop", "--format", "json")[1])["specs"][0]["savings"] is None
    spec.write_text(free, encoding="utf-8")
    code, out, _ = run("plan", "shop", "--format", "json")
    document = json.loads(out)
    jsonschema.validate(document, plan_schema())
    saved = document["specs"][0]["savings"]
    assert code == 0
    assert "l40s" in saved["before"]["candidate"]
    assert saved["usd_per_month"] == pytest.approx(
        saved["before"]["usd_per_month"] - saved["after"]["usd_per_month"], rel=1e-4
    )
    assert saved["usd_per_year"] == pytest.approx(12 * saved["usd_per_month"], rel=1e-4)
    assert document["specs"][1]["savings"] is None, "nothing changed for the CPU"
    assert "a year" in run("plan", "shop")[1]
