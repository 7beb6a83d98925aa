"""Environments over one base, through the commands: planned, locked, checked and shown."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.report.merged_spec import merged_specs_schema
from infc.resolve.targets import data_directory
from infc.spec.schema import spec_part_schema, spec_schema

EXAMPLE = data_directory("targets").parent / "specs" / "fashion-mnist"
BASE = """\
model: {onnx: models/resnet8.onnx}
slo: {latency: {p99: 80ms}, availability: 99.9%}
workload: {rate: 60/s, peak: 100/s}
constraints: {hardware: [l4, a10g], precision: [fp16], max_cost: $1500/month}
"""
PROD = Path("envs/prod/clothes.infc.yaml")

pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are part of a checkout, not of a wheel")
Infc = Callable[..., tuple[int, str, str]]


@pytest.fixture
def infc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Infc:
    """Run a command where two environments extend one base: exit code, stdout, stderr."""
    for folder in ("base/models", "envs/prod", "envs/dev"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(EXAMPLE / "resnet8.onnx", tmp_path / "base/models/resnet8.onnx")
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})
    Path("base/clothes.yaml").write_text(BASE)
    Path("infc-defaults.yaml").write_text("metadata: {owner: shop}\npricing: {provider: aws}\n")
    PROD.write_text("extends: ../../base/clothes.yaml\nmetadata: {name: clothes-prod}\nworkload: {peak: 200/s}\n")
    Path("envs/dev/clothes-dev.infc.yaml").write_text(
        "extends: ../../base/clothes.yaml\nworkload: {rate: 2/s, peak: null}\n"
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = app.main(list(arguments), standalone_mode=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_environments_are_locked_by_what_they_amount_to(infc: Infc) -> None:
    """A value that moves from a spec to its base changes nothing; one that changes in the base is seen.

    Also when the plan is cached; and so are defaults that come nearer.
    """
    code, out, _ = infc("lock")
    assert code == 0
    assert "clothes-prod" in out
    assert "clothes-dev" in out
    assert infc("lock", "--check")[0] == 0

    Path("base/clothes.yaml").write_text(BASE.replace("peak: 100/s", "peak: 200/s"))
    PROD.write_text("# moved\nextends: ../../base/clothes.yaml\nmetadata: {name: clothes-prod}\n")
    assert infc("lock", "--check")[0] == 0

    assert "no changes, 2 unchanged" in infc("plan", "envs")[1]
    first = json.loads(infc("plan", str(PROD), "--format", "json")[1])
    assert first == json.loads(infc("plan", str(PROD), "--format", "json")[1])
    Path("base/clothes.yaml").write_text(BASE.replace("99.9%", "99%"))
    assert infc("lock", "--check")[0] == 4
    changed = json.loads(infc("plan", str(PROD), "--format", "json")[1])
    assert changed["specs"][0]["changes"]
    Path("envs/infc-defaults.yaml").write_text("pricing: {provider: gcp}\n")
    assert "gcp" in infc("plan", str(PROD), "--format", "json")[1]


def test_what_a_spec_amounts_to_is_shown_with_its_origins(infc: Infc) -> None:
    """As YAML that can be read, and as JSON that fits its schema."""
    code, out, _ = infc("check", "envs/*/*.infc.yaml", "--show-merged")
    assert code == 0
    assert "# clothes-dev: infc-defaults.yaml < base/clothes.yaml < envs/dev/clothes-dev.infc.yaml" in out
    assert "onnx: ../../base/models/resnet8.onnx  # base/clothes.yaml:1" in out
    report = json.loads(infc("check", str(PROD), "--show-merged", "--format", "json")[1])
    Draft202012Validator(merged_specs_schema()).validate(report)
    origin = report["specs"][0]["origins"]["workload.peak"]
    assert origin == {"path": PROD.as_posix(), "line": 3, "column": 18}


def test_a_mistake_in_what_is_shared_is_said_once_where_it_stands(infc: Infc) -> None:
    """In the base, for every format: the file, its line, and not once for each spec."""
    Path("base/clothes.yaml").write_text(BASE.replace("80ms", "80"))
    code, out, _ = infc("check", "envs", "--format", "json")
    found = json.loads(out)["diagnostics"]
    assert code == 5
    assert [(d["id"], d["span"]["path"], d["span"]["line"]) for d in found] == [
        ("spec-quantity", "base/clothes.yaml", 2)
    ]
    assert "file=base/clothes.yaml,line=2" in infc("check", "envs", "--format", "github")[1]
    assert '"path": "base/clothes.yaml"' in infc("check", "envs", "--format", "codequality")[1]
    assert '"uri": "base/clothes.yaml"' in infc("check", "envs", "--format", "sarif")[1]


def test_merged_specs_are_for_people_and_programs(infc: Infc) -> None:
    """Other formats are for diagnostics; diagnostics of a merged spec go to standard error."""
    with pytest.raises(click.UsageError, match="text or json"):
        infc("check", "envs", "--show-merged", "--format", "sarif")
    PROD.write_text("extends: ../../base/clothes.yaml\nobjective: cheap\n")
    code, out, err = infc("check", str(PROD), "--show-merged")
    assert code == 5
    assert "objective: cheap" in out
    assert "spec-unknown-value" in err


def test_editors_accept_what_the_loader_accepts(infc: Infc) -> None:
    """Overlays and parts have a schema in which nothing is required and null removes; mistakes are still seen."""
    spec, part = Draft202012Validator(spec_schema()), Draft202012Validator(spec_part_schema())
    overlay = {"extends": "b.yaml", "workload": {"peak": None, "arrival": {"trace": "t.csv"}}, "model": {"name": "x"}}
    assert spec.is_valid(overlay)
    assert not spec.is_valid({**overlay, "extends": None})
    assert not spec.is_valid({**overlay, "slo": {"latency": {"p99": 25}}})
    assert not spec.is_valid({**overlay, "slow": {}})
    assert not spec.is_valid({"slo": {"latency": {"p99": "25ms"}}})
    assert part.is_valid({"pricing": {"provider": "aws"}, "slo": {"latency": {"p99": None}}})
    assert part.is_valid({})
    assert not part.is_valid({"pricing": {"provder": "aws"}})
    assert not part.is_valid({"constraints": {"hardware": "l4"}})
