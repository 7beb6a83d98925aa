"""A lock that somebody else wrote: a pull request can hold any text in it, and CI prints it."""

import contextlib
import io
import json
import subprocess
from pathlib import Path

import pytest

from infc.cli import app
from infc.cli.edge import guarded
from tests.injection.hostile import HOSTILE
from tests.injection.inert import line_faults
from tests.injection.repositories import plain, write_repository

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one locked spec."""
    root = tmp_path_factory.mktemp("locked") / "r"
    spec = write_repository(root, plain())[0]
    (root / ".git").rmdir()
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    spec = (root / spec).replace(root / "a.infc.yaml")
    spec.write_text(spec.read_text().replace("../../../", ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert "1 added" in _infc("lock", "a.infc.yaml")
    return root


def _infc(*arguments: str) -> str:
    """What a command prints, on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        guarded(app, args=arguments)
    return out.getvalue() + err.getvalue()


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_words_of_a_lock_do_nothing_in_a_log(word: str, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In what names a deployment they are refused; elsewhere they are shown as text."""
    monkeypatch.chdir(repository)
    locked = Path("infc.lock").read_text()
    lines = locked.splitlines()
    toolchain = next(line for line in lines if line.startswith("toolchain = "))
    changed = locked.replace(toolchain, f"toolchain = {json.dumps(word)}")
    orphan = locked[locked.index("[[artifact]]") :].replace('spec = "a.infc.yaml"', f"spec = {json.dumps(word)}")
    Path("hostile-text.lock").write_text(changed)
    Path("hostile-name.lock").write_text(locked + "\n" + orphan.replace('name = "', 'name = "other-', 1))
    printed = [_infc("diff", "infc.lock", "hostile-text.lock"), _infc("diff", "infc.lock", "hostile-name.lock")]
    for text in printed:
        assert list(line_faults(text)) == []
        assert "infc has a bug" not in text
