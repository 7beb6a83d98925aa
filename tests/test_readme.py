"""The README is true: its commands run, and its sample output is what they print."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n\$ (infc [^\n]+)\n(.*?)\n?```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of the repository that the README's commands name, without what was measured on this machine."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("service-time-*", ".infc", "*.onnx.data", "minilm*.onnx", "efficientnet*.onnx")
    shutil.copytree(ROOT / "specs", folder / "specs", ignore=ignored)
    shutil.copytree(ROOT / "tests" / "diagnostics" / "fixtures", folder / "tests" / "diagnostics" / "fixtures")
    (folder / ".git").mkdir()
    return folder


def test_the_readme_shows_commands() -> None:
    """A plan and a check are shown with their output."""
    assert [command.split()[1] for command, _ in BLOCKS] == ["plan", "check"]


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_sample_output_is_real(command: str, shown: str, checkout: Path) -> None:
    """What the README shows is what the command prints first."""
    arguments = [sys.executable, "-m", "infc", *shlex.split(command)[1:]]
    done = subprocess.run(
        arguments, cwd=checkout, capture_output=True, text=True, timeout=120, env=os.environ | {"NO_COLOR": "1"}
    )
    assert done.stdout.startswith(shown), done.stdout + done.stderr


def test_make_targets_of_the_readme_exist() -> None:
    """Every `make X` that the README names is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_ci_calls_the_test_command_of_the_readme() -> None:
    """CI runs what a newcomer runs."""
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
