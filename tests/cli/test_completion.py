"""The completion scripts in the real shells, as somebody who presses Tab sees them."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infc.cli import app
from infc.cli.edge import guarded

BIN = Path(sys.executable).parent
pytestmark = pytest.mark.slow
CASES = [
    ("infc expl", "infc expl", "explain"),
    ("infc ci i", "infc ci i", "init"),
    ("option", "infc plan --detailed", "--detailed-exitcode"),
    ("choice", "infc plan --format code", "codequality"),
    ("hardware", "infc predict m.onnx --hardware jetson-agx-t", "jetson-agx-thor-t5000"),
    ("diagnostic", "infc explain change-inf", "change-infeasible"),
    ("schema", "infc schema pol", "policy"),
]


def needs(shell: str) -> pytest.MarkDecorator:
    """Skipped where that shell is not installed."""
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a spec and the three scripts."""
    for shell in ("bash", "zsh", "fish"):
        assert guarded(app, args=("completion", shell)) == 0
        (tmp_path / f"infc.{shell}").write_text(capsys.readouterr().out, encoding="utf-8")
    (tmp_path / "encoder.infc.yaml").write_text("", encoding="utf-8")
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    """A shell that reads nobody's settings."""
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8",
        "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder),
    }  # fmt: skip


@needs("bash")
def test_bash(folder: Path) -> None:
    """What its completion function puts into COMPREPLY; files are left to bash itself."""
    ask = (
        "COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=(); _infc_completion infc 2>/dev/null"
    )
    lines = [
        f'{ask.format(typed=typed)}; echo "{name}: ${{COMPREPLY[*]}}"'
        for name, typed, _ in [*CASES, ("file", "infc check enc", "")]
    ]
    command = ["bash", "--noprofile", "--norc", "-c", "; ".join(["source infc.bash", *lines])]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=120, check=False
    )
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert {name: wanted in said[name].split() for name, _, wanted in CASES} == {name: True for name, _, _ in CASES}
    assert said["file"].split() in ([], ["enc"])


@needs("fish")
def test_fish(folder: Path) -> None:
    """What fish would list, with descriptions; spec files too."""
    lines = [f"echo '{name}:' (complete -C '{typed}')" for name, typed, _ in [*CASES, ("file", "infc check enc", "")]]
    done = subprocess.run(
        ["fish", "--no-config", "-c", "source infc.fish\n" + "\n".join(lines)],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    for name, _, wanted in [*CASES, ("file", "", "encoder.infc.yaml")]:
        assert wanted in re.split(r"\s", said[name]), (name, said[name], done.stderr)
    assert "objective" in said["diagnostic"] or "broken" in said["diagnostic"]


@needs("zsh")
def test_zsh(folder: Path) -> None:
    """Typed into an interactive zsh, Tab included."""
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env=environment(folder),
        close_fds=True,
    )
    os.close(slave)
    try:
        os.write(master, b"PS1='READY> '; autoload -Uz compinit; compinit -u -D; source ./infc.zsh\n")
        read_until(master, "READY> ", since="infc.zsh")
        for _, typed, wanted in [*CASES, ("file", "infc check enc", "encoder.infc.yaml")]:
            os.write(master, typed.encode() + b"\t")
            seen = read_until(master, wanted)
            assert wanted in seen, (typed, seen)
            os.write(master, b"\x15")
    finally:
        shell.kill()  # an interactive shell ignores SIGTERM
        shell.wait(timeout=20)
        os.close(master)


def read_until(master: int, wanted: str, *, since: str = "", timeout_s: float = 60.0) -> str:
    """Everything the terminal shows, until `wanted` is among it (after `since`), or the time is up."""
    seen, ends = "", time.monotonic() + timeout_s
    while time.monotonic() < ends:
        if select.select([master], [], [], 0.2)[0]:
            seen += os.read(master, 65536).decode(errors="replace")
        if wanted in seen.partition(since)[2] if since else wanted in seen:
            return seen
    return seen
