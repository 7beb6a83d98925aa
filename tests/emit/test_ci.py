"""The files of `infc ci init`: what the providers' own schemas and the shell say, and what may never be in them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infc.emit.ci import CiOptions, Provider, Runner, ci_files, scripts

RUNNERS: tuple[Runner, ...] = ("gpu", "remote", "none")
FORK_RUN = ("infc-plan.yml", "infc-comment.yml")


def options(runner: Runner = "none", *, rendered: str | None = "rendered/production") -> CiOptions:
    """Options of a repository."""
    return CiOptions(
        specs="specs",
        requirement="infc[onnx,triton]==0.1.0",
        branch="main",
        runner=runner,
        builder="ssh://ci@l4-box" if runner == "remote" else "",
        marker="plan",
        rendered=rendered,
    )


def github(runner: Runner = "none") -> dict[str, Any]:
    """File name -> workflow."""
    return {
        Path(path).name: yaml.load(text, yaml.BaseLoader)  # noqa: S506 - `on` stays a word
        for path, text in ci_files("github", options(runner)).items()
    }


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """Every step of every job."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("provider", "schema"), [("github", "vendor.github-workflows"), ("gitlab", "vendor.gitlab-ci")]
)
def test_the_providers_own_schema_takes_every_file(provider: Provider, schema: str, tmp_path: Path) -> None:
    """The schema that check-jsonschema ships, offline."""
    pytest.importorskip("check_jsonschema", reason="check-jsonschema (the dev extra) is not installed")
    paths = []
    for runner in RUNNERS:
        for name, text in ci_files(provider, options(runner)).items():
            path = tmp_path / runner / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            paths.append(str(path))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("runner", RUNNERS)
def test_every_action_is_at_one_commit_with_its_version_beside_it(runner: Runner) -> None:
    """A tag can be moved; Dependabot and Renovate read the version of the comment."""
    for text in ci_files("github", options(runner)).values():
        lines = [line for line in text.splitlines() if "uses:" in line]
        assert lines
        assert all(re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+){2}$", line) for line in lines)


@pytest.mark.parametrize("runner", RUNNERS)
def test_nothing_of_an_event_reaches_a_shell_as_text(runner: Runner) -> None:
    """No expression inside `run`: values come as environment variables, which a shell does not read as code."""
    for workflow in github(runner).values():
        assert not any("${{" in step.get("run", "") for step in steps(workflow))


def test_the_job_of_a_fork_has_no_secrets_and_only_reads() -> None:
    """Neither by a token that writes, nor by credentials that checkout leaves behind."""
    plan = github()["infc-plan.yml"]
    assert plan["permissions"] == {"contents": "read"}
    assert set(plan["on"]) == {"pull_request", "merge_group"}
    assert "permissions" not in plan["jobs"]["plan"]
    checkout = next(step for step in steps(plan) if "actions/checkout@" in step.get("uses", ""))
    assert checkout["with"] == {"fetch-depth": "0", "persist-credentials": "false"}
    for name in FORK_RUN:
        assert "secrets." not in ci_files("github", options())[f".github/workflows/{name}"]
    scanning = plan["jobs"]["code-scanning"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in scanning["if"]
    assert not any("checkout" in step.get("uses", "") for step in scanning["steps"])


def test_the_job_that_may_comment_runs_nothing_of_the_pull_request() -> None:
    """No checkout, no download: infc reads the artifact as data. No permission but the two it needs."""
    comment = github()["infc-comment.yml"]
    assert comment["permissions"] == {}
    job = comment["jobs"]["comment"]
    assert job["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert [step.get("uses", "").partition("@")[0] for step in job["steps"]] == ["actions/setup-python", "", ""]
    assert [step["run"] for step in job["steps"] if "run" in step] == [scripts.INSTALL, scripts.COMMENT]
    assert comment["on"]["workflow_run"]["workflows"] == [github()["infc-plan.yml"]["name"]]


def test_what_is_merged_is_compiled_as_locked() -> None:
    """On the main branch only, where the engines can be built."""
    for runner, place in (
        ("gpu", ["self-hosted", "linux", "gpu"]),
        ("remote", "ubuntu-latest"),
        ("none", "ubuntu-latest"),
    ):
        workflow = github(runner)["infc-compile.yml"]
        assert workflow["on"]["push"] == {"branches": ["main"]}
        assert "pull_request" not in workflow["on"]
        job = workflow["jobs"]["compile"]
        assert job["runs-on"] == place
        compiled = next(step["run"] for step in job["steps"] if "infc compile" in step.get("run", ""))
        assert "--locked" in compiled
        assert ('--builder "$INFC_BUILDER"' in compiled) is (runner == "remote")


def test_only_the_hand_over_may_write_to_the_repository() -> None:
    """And it is there only when a branch for the manifests was named."""
    jobs = github()["infc-compile.yml"]["jobs"]
    assert jobs["rendered"]["permissions"] == {"contents": "write"}
    assert "permissions" not in jobs["compile"]
    without = ci_files("github", options(rendered=None))[".github/workflows/infc-compile.yml"]
    assert "contents: write" not in without


def test_gitlab_plans_merge_requests_and_compiles_the_default_branch() -> None:
    """One pipeline each; the whole history, for the base is in it; the report where GitLab looks for it."""
    files = ci_files("gitlab", options("gpu"))
    root = yaml.safe_load(files[".gitlab-ci.yml"])
    assert root["include"] == [{"local": ".gitlab/infc.gitlab-ci.yml"}]
    jobs = yaml.safe_load(files[".gitlab/infc.gitlab-ci.yml"])
    assert jobs["infc-plan"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
    assert jobs["infc-plan"]["variables"] == {"GIT_DEPTH": "0"}
    assert jobs["infc-plan"]["artifacts"]["reports"] == {"codequality": "gl-code-quality-report.json"}
    assert jobs["infc-compile"]["tags"] == ["gpu"]
    assert "--locked" in "".join(jobs["infc-compile"]["script"])


def test_every_script_is_one_for_the_shell(tmp_path: Path) -> None:
    """By bash itself, and by shellcheck where it is installed."""
    workflows = [workflow for runner in RUNNERS for workflow in github(runner).values()]
    found = {step["run"] for workflow in workflows for step in steps(workflow) if "run" in step}
    paths = []
    for index, script in enumerate(sorted({*found, scripts.GITLAB_PLAN})):
        path = tmp_path / f"{index}.sh"
        path.write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{script}\n", encoding="utf-8")
        paths.append(str(path))
        done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if shellcheck is not None:
        done = subprocess.run([shellcheck, *paths], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


def test_the_same_options_give_the_same_bytes() -> None:
    """Readable by any YAML parser as what it is."""
    assert json.dumps(ci_files("github", options())) == json.dumps(ci_files("github", options()))
