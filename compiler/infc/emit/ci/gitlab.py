"""A CI file for GitLab to include: plan and comment on a merge request, compile on the default branch.

Source: GitLab Docs, "CI/CD YAML syntax reference", "Predefined CI/CD variables", "Code Quality".
"""

from infc.emit.ci.options import IMAGE, CiOptions
from infc.emit.ci.scripts import GITLAB_CHECK, GITLAB_PLAN, INSTALL, RENDERED, SSH_BUILDER, compile_script
from infc.emit.yaml_text import YamlValue, yaml_text

INCLUDED = ".gitlab/infc.gitlab-ci.yml"
ROOT = ".gitlab-ci.yml"
_HEAD = """\
# Plans every merge request and compiles what was merged, exactly as infc.lock says. Made by `infc ci init`.
# The comment needs a project access token (role Reporter, scope api) as the masked variable INFC_COMMENT_TOKEN;
# without it the merge request has the Code Quality report and the job its log.
"""


def gitlab_files(options: CiOptions) -> dict[str, str]:
    """Path -> text. The root file only includes the other: `infc ci init` leaves one that is there alone."""
    jobs: dict[str, YamlValue] = {
        ".infc": {
            "image": IMAGE,
            "variables": {
                "INFC_REQUIREMENT": options.requirement,
                "INFC_SPECS": options.specs,
                "INFC_MARKER": options.marker,
            },
            "before_script": [INSTALL],
        },
        "infc-plan": _plan_job(),
        "infc-compile": _compile_job(options),
    }
    if options.rendered is not None:
        jobs["infc-rendered"] = _rendered_job(options.rendered)
    return {
        INCLUDED: _HEAD + yaml_text(jobs),
        ROOT: yaml_text({"include": [{"local": INCLUDED}], "workflow": _workflow()}),
    }


def _workflow() -> YamlValue:
    """One pipeline for a merge request and one for a branch, never both for one push."""
    return {
        "rules": [
            {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'},
            {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"},
        ]
    }


def _plan_job() -> YamlValue:
    return {
        "extends": ".infc",
        "stage": "test",
        "variables": {"GIT_DEPTH": "0"},
        "rules": [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}],
        "interruptible": True,
        "script": [GITLAB_CHECK, GITLAB_PLAN],
        "artifacts": {
            "when": "always",
            "expire_in": "2 weeks",
            "paths": ["plan.json", "comment.md"],
            "reports": {"codequality": "gl-code-quality-report.json"},
        },
    }


def _compile_job(options: CiOptions) -> YamlValue:
    script = [SSH_BUILDER] if options.runner == "remote" else []
    return {
        "extends": ".infc",
        "stage": "deploy",
        "rules": [{"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}],
        **({"tags": ["gpu"]} if options.runner == "gpu" else {}),
        **({"variables": {"INFC_BUILDER": options.builder}} if options.builder else {}),
        "resource_group": "infc-compile",
        "timeout": "3h",
        "script": [*script, compile_script(options)],
        "artifacts": {"expire_in": "4 weeks", "paths": ["dist/", "compile.html"]},
    }


def _rendered_job(branch: str) -> YamlValue:
    """The manifests, on a branch that Argo CD or Flux reads. Needs a token that may push."""
    remote = 'git remote set-url --push origin "https://infc:$INFC_PUSH_TOKEN@$CI_SERVER_HOST/$CI_PROJECT_PATH.git"\n'
    return {
        "image": IMAGE,
        "stage": "deploy",
        "needs": [{"job": "infc-compile", "artifacts": True}],
        "rules": [{"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $INFC_PUSH_TOKEN"}],
        "resource_group": "infc-rendered",
        "variables": {"RENDERED_BRANCH": branch, "SOURCE_COMMIT": "$CI_COMMIT_SHA"},
        "script": [remote + RENDERED],
    }
