"""The SLO guide is true: its commands print what it shows, its rule and its table are what is emitted."""

import contextlib
import io
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.kubernetes.objects import Identity
from infc.emit.kubernetes.served import Goal, Served
from infc.emit.monitoring import monitoring_files
from infc.emit.monitoring.objectives import WINDOWS
from infc.emit.monitoring.triton_summary import late_shares, share_steps
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.ir.spec import Autoscale
from infc.pipeline.plan import plan_spec

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "slo.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```console\n\$ (infc [^\n]+)\n(.*?)\n?```", GUIDE, flags=re.DOTALL)
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example that the guide follows, without what was measured on this machine."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("service-time-*", ".infc")
    for part in ("fashion-mnist", "infc-profiles"):
        shutil.copytree(ROOT / "specs" / part, folder / "specs" / part, ignore=ignored)
    shutil.copy(ROOT / "specs" / "infc.lock", folder / "specs")
    (folder / ".git").mkdir()
    return folder


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_sample_output_is_real(command: str, shown: str, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the guide shows is what the command prints first."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    with contextlib.chdir(checkout), contextlib.redirect_stdout(out):
        assert guarded(app, args=shlex.split(command)[1:]) == 0
    assert out.getvalue().startswith(shown), out.getvalue()


def test_the_rule_is_the_emitted_one(checkout: Path) -> None:
    """Expression, labels and words of the p99 that the guide follows."""
    decided = plan_spec(checkout / "specs" / "fashion-mnist" / "fashion-mnist.infc.yaml").decisions[0]
    problem, plan = decided.problem, decided.decision
    assert isinstance(problem, Problem)
    assert isinstance(plan, Plan)
    served = Served(
        identity=Identity(name=plan.name, namespace="search", component="triton", labels={}),
        server="triton",
        model=plan.name,
        goals=tuple(
            Goal(
                metric="latency",
                label=target.label,
                percentile=target.percentile,
                limit_s=target.limit_s,
                predicted_s=plan.estimate.e2e_s[target.label].value,
            )
            for target in problem.latency
        ),
        availability=problem.availability,
        replicas=plan.candidate.replicas,
        instances_per_replica=1,
        peak_rps=problem.traffic.peak_rps,
        metrics_port="metrics",
        shadow_outputs={},
    )
    (rule,) = [block for block in BLOCKS if "alert:" in block]
    assert rule in monitoring_files(served)["monitoring/rules.yaml"].decode()
    later = replace(served, goals=(replace(served.goals[1], limit_s=0.030),))
    assert rule not in monitoring_files(later)["monitoring/rules.yaml"].decode()


def test_the_tables_hold_the_numbers_that_are_used() -> None:
    """Windows of the alerts, and what the ladder counts a share as."""
    for window in WINDOWS:
        assert f"| {window.severity} | {window.factor:g} |" in GUIDE
    (row,) = [line for line in GUIDE.splitlines() if line.startswith("| is counted as |")]
    shown = [float(cell.strip().rstrip("%")) for cell in row.split("|")[2:-1]]
    steps = share_steps(late_shares(99.0))
    counted = [100.0 * sum(steps[:count]) for count in range(len(steps) + 1)]
    assert shown == pytest.approx(counted, abs=0.06)


def test_the_options_are_those_of_the_spec() -> None:
    """The example of `autoscale` is a valid one."""
    (block,) = [block for block in BLOCKS if "autoscale:" in block]
    options = Autoscale.model_validate(yaml.safe_load(block)["deploy"]["kubernetes"]["autoscale"])
    assert (options.min_replicas, options.start_time, options.scale_down_window) == (2, 90.0, 600.0)
