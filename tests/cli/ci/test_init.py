"""`infc ci init`: what it writes, what it leaves alone, what it refuses."""

from pathlib import Path

import pytest

from infc.cli import app
from infc.cli.edge import FAILURE, OK, USAGE_ERROR, guarded

WORKFLOWS = ("infc-comment.yml", "infc-compile.yml", "infc-plan.yml")


def run(root: Path, *arguments: str) -> int:
    """The exit code of `infc ci init` for a repository."""
    return guarded(app, args=("ci", "init", "--dir", str(root), *arguments))


def test_files_are_written_once_and_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run changes nothing; an edited file keeps everything from being written until --force is given."""
    assert run(tmp_path, "--provider", "github") == OK
    assert "next: require the check" in capsys.readouterr().err
    folder = tmp_path / ".github" / "workflows"
    assert tuple(sorted(path.name for path in folder.iterdir())) == WORKFLOWS
    assert run(tmp_path, "--provider", "github") == OK
    plan, comment = folder / "infc-plan.yml", folder / "infc-comment.yml"
    plan.write_text("mine\n", encoding="utf-8")
    comment.unlink()
    assert run(tmp_path, "--provider", "github") == FAILURE
    assert plan.read_text(encoding="utf-8") == "mine\n"
    assert not comment.exists()
    assert "infc-plan.yml is there already and differs; --force" in capsys.readouterr().err
    assert run(tmp_path, "--provider", "github", "--force") == OK
    assert "infc plan" in plan.read_text(encoding="utf-8")


def test_gitlabs_root_file_stays_the_repositorys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made where there is none; else, even with --force, only the line to add is named."""
    root = tmp_path / ".gitlab-ci.yml"
    root.write_text("stages: [test, deploy]\n", encoding="utf-8")
    assert run(tmp_path, "--provider", "gitlab", "--force") == OK
    assert root.read_text(encoding="utf-8") == "stages: [test, deploy]\n"
    said = capsys.readouterr().err
    assert "include: [{local: .gitlab/infc.gitlab-ci.yml}]" in said
    assert "stages: of .gitlab-ci.yml has test and deploy" in said
    root.unlink()
    assert run(tmp_path, "--provider", "gitlab") == OK
    assert "include:" in root.read_text(encoding="utf-8")


def test_workflows_go_to_the_top_of_the_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Providers read them nowhere else: in a folder of it they would do nothing, without a word."""
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "specs"
    inner.mkdir()
    assert run(inner, "--provider", "github") == USAGE_ERROR
    assert f"--dir {tmp_path}" in " ".join(capsys.readouterr().err.split())
    assert not list(inner.iterdir())
    assert run(tmp_path, "--provider", "github", "--specs", "specs") == OK


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files go to standard output."""
    assert run(tmp_path, "--provider", "github", "--dry-run", "--runner", "gpu") == OK
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out.count("--- .github/workflows/") == len(WORKFLOWS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--specs", "${{ secrets.X }}"),
        ("--specs", "../elsewhere"),
        ("--specs", "/etc"),
        ("--specs", "-o"),
        ("--specs", "a\nb"),
        ("--requirement", "infc; ${{ x }}"),
        ("--requirement", "--index-url=http://evil"),
        ("--branch", "main\n  evil: true"),
        ("--rendered", "$(id)"),
        ("--rendered", "a..b"),
        ("--builder", "ssh://x"),
        ("--runner", "remote", "--builder", "ssh://x $(id)"),
        ("--marker", "x-->"),
    ],
)
def test_what_could_be_code_in_a_workflow_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Expressions, substitutions, options and line ends."""
    assert run(tmp_path, "--provider", "github", *arguments) == USAGE_ERROR
    assert list(tmp_path.iterdir()) == []
