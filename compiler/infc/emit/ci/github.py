"""Workflow files for GitHub Actions: plan and comment on a pull request, compile on the main branch.

A pull request of a fork is planned by a job without secrets and with a read-only token. Another workflow, which always
runs as the main branch has it, reads the plan from that run's artifact as data and writes the comment.

Source: GitHub Docs, "Secure use reference" (pinning, script injection), "Events that trigger workflows" (workflow_run).
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from infc.diag import InternalError
from infc.emit.ci.options import BUNDLES_ARTIFACT, PLAN_ARTIFACT, PYTHON, CiOptions
from infc.emit.ci.scripts import (
    CHECK,
    COMMENT,
    INSTALL,
    LOCK,
    PLAN,
    RENDERED,
    REPORT,
    SSH_BUILDER,
    VERDICT,
    compile_script,
)
from infc.emit.yaml_text import YamlValue, yaml_text
from infc.resolve.targets.location import data_directory

FOLDER = ".github/workflows"
PLAN_WORKFLOW = "infc plan"
_SAVED = "${{ steps.plan.outputs.saved == 'yes' }}"
_OWN_BRANCH = "github.event.pull_request.head.repo.full_name == github.repository"
_HAS_CODE_SCANNING = "(!github.event.repository.private || vars.INFC_CODE_SCANNING == 'on')"
_USES = re.compile(r"^(\s*(?:- )?uses: (\S+)@([0-9a-f]{40}))$", re.MULTILINE)


def github_files(options: CiOptions) -> dict[str, str]:
    """Path -> text of every workflow file."""
    return {
        f"{FOLDER}/infc-plan.yml": _file(_plan_workflow(options), _PLAN_HEAD),
        f"{FOLDER}/infc-comment.yml": _file(_comment_workflow(options), _COMMENT_HEAD),
        f"{FOLDER}/infc-compile.yml": _file(_compile_workflow(options), _COMPILE_HEAD),
    }


_PLAN_HEAD = """\
Plans every pull request: what it does to decisions, promised latency and cost. Made by `infc ci init`.
Safe for forks: no secrets, a token that only reads. The comment is written by infc-comment.yml."""
_COMMENT_HEAD = """\
Writes the comment of a pull request once infc-plan.yml is done. Made by `infc ci init`.
Runs as the default branch has it, also for forks: it checks nothing out, runs nothing of the pull request, and reads
plan.json from the run's artifact as data. It works once this file is on the default branch."""
_COMPILE_HEAD = """\
Compiles what was merged, exactly as infc.lock says (--locked refuses anything else). Made by `infc ci init`."""


def _plan_workflow(options: CiOptions) -> dict[str, YamlValue]:
    return {
        "name": PLAN_WORKFLOW,
        "on": {"pull_request": {"branches": [options.branch]}, "merge_group": {}},
        "permissions": {"contents": "read"},
        "concurrency": {
            "group": "infc-plan-${{ github.event.pull_request.number || github.ref }}",
            "cancel-in-progress": True,
        },
        "env": _environment(options, "INFC_MARKER"),
        "jobs": {"plan": _plan_job(), "code-scanning": _code_scanning_job()},
    }


def _plan_job() -> dict[str, YamlValue]:
    return {
        "runs-on": "ubuntu-latest",
        "timeout-minutes": 30,
        "outputs": {"saved": "${{ steps.plan.outputs.saved }}"},
        "steps": [
            {**_uses("actions/checkout"), "with": {"fetch-depth": 0, "persist-credentials": False}},
            *_install_steps(),
            {"name": "Check the specs", "run": CHECK},
            {
                "name": "Plan against the base",
                "id": "plan",
                "env": {"BASE": "${{ github.event.merge_group.base_sha || format('origin/{0}', github.base_ref) }}"},
                "run": PLAN,
            },
            {"name": "Annotate the changed lines, fill the summary", "if": _SAVED, "run": REPORT},
            {
                "name": "Keep the plan for the comment",
                "if": _SAVED,
                **_uses("actions/upload-artifact"),
                "with": {"name": PLAN_ARTIFACT, "path": "plan.json\ninfc.sarif\n", "retention-days": 14},
            },
            {
                "name": "Is every deployment feasible and allowed?",
                "env": {"CODE": "${{ steps.plan.outputs.code }}"},
                "run": VERDICT,
            },
            {"name": "Is infc.lock current?", "run": LOCK},
        ],
    }


def _code_scanning_job() -> dict[str, YamlValue]:
    """Only for branches of the repository itself (the token of a fork may not write) and where code scanning is on."""
    conditions = ["!cancelled()", "needs.plan.outputs.saved == 'yes'", _OWN_BRANCH, _HAS_CODE_SCANNING]
    return {
        "needs": "plan",
        "if": f"${{{{ {' && '.join(conditions)} }}}}",
        "runs-on": "ubuntu-latest",
        "timeout-minutes": 10,
        "permissions": {"actions": "read", "contents": "read", "security-events": "write"},
        "steps": [
            {**_uses("actions/download-artifact"), "with": {"name": PLAN_ARTIFACT}},
            {
                **_uses("github/codeql-action/upload-sarif"),
                "with": {"sarif_file": "infc.sarif", "category": "infc-plan"},
            },
        ],
    }


def _comment_workflow(options: CiOptions) -> dict[str, YamlValue]:
    conditions = [
        "github.event.workflow_run.event == 'pull_request'",
        "github.event.workflow_run.conclusion != 'cancelled'",
    ]
    head = "${{ github.event.workflow_run.head_repository.full_name }}-${{ github.event.workflow_run.head_branch }}"
    return {
        "name": "infc comment",
        "on": {"workflow_run": {"workflows": [PLAN_WORKFLOW], "types": ["completed"]}},
        "permissions": {},
        "concurrency": {"group": f"infc-comment-{head}"},
        "env": _environment(options, "INFC_MARKER", has_specs=False),
        "jobs": {
            "comment": {
                "if": f"${{{{ {' && '.join(conditions)} }}}}",
                "runs-on": "ubuntu-latest",
                "timeout-minutes": 10,
                "permissions": {"actions": "read", "pull-requests": "write"},
                "steps": [
                    *_install_steps(),
                    {
                        "name": "Comment on the pull request of the event",
                        "env": {"GITHUB_TOKEN": "${{ github.token }}"},
                        "run": COMMENT,
                    },
                ],
            }
        },
    }


def _compile_workflow(options: CiOptions) -> dict[str, YamlValue]:
    jobs: dict[str, YamlValue] = {"compile": _compile_job(options)}
    if options.rendered is not None:
        jobs["rendered"] = _rendered_job(options.rendered)
    return {
        "name": "infc compile",
        "on": {"push": {"branches": [options.branch]}, "workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        "concurrency": {"group": "infc-compile-${{ github.ref }}", "cancel-in-progress": False},
        "env": _environment(options),
        "jobs": jobs,
    }


def _compile_job(options: CiOptions) -> dict[str, YamlValue]:
    access: list[YamlValue] = []
    environment: dict[str, YamlValue] = {}
    if options.runner == "remote":
        environment = {"env": {"INFC_BUILDER": options.builder or "${{ vars.INFC_BUILDER }}"}}
        access = [{"name": "Access to the builder", "env": _BUILDER_ACCESS, "run": SSH_BUILDER}]
    return {
        "runs-on": ["self-hosted", "linux", "gpu"] if options.runner == "gpu" else "ubuntu-latest",
        "timeout-minutes": 180,
        "steps": [
            {**_uses("actions/checkout"), "with": {"persist-credentials": False}},
            *_install_steps(),
            *access,
            {"name": "Compile what the lock says", **environment, "run": compile_script(options)},
            {
                "name": "Keep the bundles",
                **_uses("actions/upload-artifact"),
                "with": {
                    "name": BUNDLES_ARTIFACT,
                    "path": "dist/\ncompile.html\n",
                    "if-no-files-found": "error",
                },
            },
        ],
    }


_BUILDER_ACCESS: Mapping[str, YamlValue] = {
    "BUILDER_SSH_KEY": "${{ secrets.INFC_BUILDER_SSH_KEY }}",
    "BUILDER_KNOWN_HOSTS": "${{ vars.INFC_BUILDER_KNOWN_HOSTS }}",
    "BUILDER_KUBECONFIG": "${{ secrets.INFC_BUILDER_KUBECONFIG }}",
}


def _rendered_job(branch: str) -> dict[str, YamlValue]:
    """The manifests, on a branch that Argo CD or Flux reads."""
    return {
        "needs": "compile",
        "runs-on": "ubuntu-latest",
        "timeout-minutes": 15,
        "permissions": {"contents": "write"},
        "steps": [
            {**_uses("actions/checkout"), "with": {"persist-credentials": True}},
            {**_uses("actions/download-artifact"), "with": {"name": BUNDLES_ARTIFACT}},
            {
                "name": "Hand the manifests over",
                "env": {"RENDERED_BRANCH": branch, "SOURCE_COMMIT": "${{ github.sha }}"},
                "run": RENDERED,
            },
        ],
    }


def _install_steps() -> Sequence[YamlValue]:
    return [
        {**_uses("actions/setup-python"), "with": {"python-version": PYTHON}},
        {"name": "Install infc", "run": INSTALL},
    ]


def _environment(options: CiOptions, *more: str, has_specs: bool = True) -> dict[str, YamlValue]:
    values: dict[str, YamlValue] = {"INFC_REQUIREMENT": options.requirement}
    if has_specs:
        values["INFC_SPECS"] = options.specs
    return values | ({"INFC_MARKER": options.marker} if "INFC_MARKER" in more else {})


def _uses(action: str) -> dict[str, YamlValue]:
    return {"uses": f"{action}@{_pins()[action][1]}"}


@cache
def _pins() -> Mapping[str, tuple[str, str]]:
    """Action -> (version, commit)."""
    import yaml

    path = data_directory("targets") / "ci" / "github-actions.yaml"
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    pins = {action: (str(row["version"]), str(row["commit"])) for action, row in rows.items()}
    if not all(re.fullmatch(r"[0-9a-f]{40}", commit) for _, commit in pins.values()):
        raise InternalError(f"{path} names an action without a full commit")
    return pins


def _file(workflow: Mapping[str, YamlValue], head: str) -> str:
    """The workflow below its comment, each action with its version beside it, where Dependabot and Renovate read it."""
    text = yaml_text(workflow)
    versions = {f"{action}@{commit}": version for action, (version, commit) in _pins().items()}
    pinned = _USES.sub(lambda match: f"{match[1]} # {versions[f'{match[2]}@{match[3]}']}", text)
    return "".join(f"# {line}\n" for line in head.splitlines()) + pinned
