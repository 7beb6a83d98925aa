"""A git repository with a few specs that share one small model, for tests of what a change does to them."""

import shutil
import subprocess
from pathlib import Path

from infc.pipeline.locking import relock, write_relocked
from infc.spec import find_workspace

SPECS = Path(__file__).parents[2] / "specs"
MODEL = SPECS / "fashion-mnist/resnet8.onnx"
PROFILE = SPECS / "infc-profiles/model-af88a6f297ed.json"
SPEC = """model: {{onnx: ../model/resnet8.onnx}}
slo:
  latency: {{p99: {p99}}}
workload: {{rate: {rate}}}
constraints: {{hardware: [{hardware}], precision: [fp16]}}
"""


def git(*arguments: str, folder: Path = Path()) -> str:
    """What git prints; it must succeed."""
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "init.defaultBranch=main")
    settings = ("-c", "commit.gpgsign=false", "-c", "core.autocrlf=false", "-c", "merge.conflictStyle=merge")
    command = ["git", *who, *settings, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def write_spec(name: str, *, p99: str = "20ms", rate: str = "50/s", hardware: str = "l4", more: str = "") -> Path:
    """A spec under `specs/`, written or replaced."""
    path = Path("specs", f"{name}.infc.yaml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(SPEC.format(p99=p99, rate=rate, hardware=hardware) + more, encoding="utf-8")
    return path


def replace_text(path: Path | str, old: str, new: str) -> None:
    """Replace a piece of a file that must be there."""
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new), encoding="utf-8")


def make_repository(*names: str) -> None:
    """Specs of these names in the current folder, with their model and its stored profile; nothing is committed."""
    git("init", "--quiet")
    Path(".gitignore").write_text(".infc/\ndist/\n", encoding="utf-8")
    Path("model").mkdir()
    shutil.copy(MODEL, "model")
    Path("infc-profiles").mkdir()
    shutil.copy(PROFILE, "infc-profiles")
    for name in names:
        write_spec(name)


def commit(message: str = "a change") -> None:
    """Commit everything."""
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", message)


def lock() -> None:
    """Write infc.lock, as `infc lock` does."""
    workspace = find_workspace(Path("infc.lock"))
    relocked = relock(workspace, None, upgrade=None)
    assert not relocked.has_errors, relocked.diagnostics
    assert not write_relocked(workspace, relocked)
