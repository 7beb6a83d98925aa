"""The hooks of `.pre-commit-hooks.yaml`, run by the real pre-commit on a repository of their own."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PRE_COMMIT = shutil.which("pre-commit", path=str(BIN)) or shutil.which("pre-commit")
EXAMPLE = ROOT / "specs" / "fashion-mnist"


def hooks() -> list[dict[str, Any]]:
    """The hooks as others get them, but for where they run: here, without an environment of their own."""
    found = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return [
        {**{key: value for key, value in hook.items() if key != "additional_dependencies"}, "language": "system"}
        for hook in found
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with an example whose lock was forgotten."""
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    config = {"repos": [{"repo": "local", "hooks": hooks()}]}
    (tmp_path / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, timeout=60)
    return tmp_path


def run(repository: Path, hook: str, home: Path) -> tuple[int, str]:
    """Exit code and output of one hook over all files."""
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(home), "PRE_COMMIT_HOME": str(home / "cache")}
    done = subprocess.run(
        [str(PRE_COMMIT), "run", "--all-files", "--color=never", hook],
        cwd=repository, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_hooks_are_what_pre_commit_takes() -> None:
    """Names, entries and file patterns; each entry is a command of infc."""
    from infc.cli import COMMANDS

    for hook in hooks():
        assert hook["entry"].split()[0] == "infc"
        assert hook["entry"].split()[1] in dict(COMMANDS)
        assert hook["pass_filenames"] is False


@pytest.mark.skipif(PRE_COMMIT is None, reason="pre-commit is not installed")
def test_a_broken_spec_and_a_missing_lock_stop_the_commit(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A valid spec passes; the lock is missed; an error is shown at its line."""
    home = tmp_path_factory.mktemp("home")
    code, said = run(repository, "infc-check", home)
    assert code == 0, said
    code, said = run(repository, "infc-lock-check", home)
    assert code == 1
    assert "exit code: 4" in said
    spec = repository / "fashion-mnist.infc.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("p99: 80ms", "p99: fast"), encoding="utf-8")
    subprocess.run(["git", "add", "-A"], cwd=repository, check=True, timeout=60)
    code, said = run(repository, "infc-check", home)
    assert code == 1
    assert "fashion-mnist.infc.yaml:12:29" in said
