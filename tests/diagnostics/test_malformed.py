"""However a spec is malformed: exit 5, a line number, no traceback, nothing written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from infc.cli import app
from infc.cli.edge import guarded

from .malformed import VALID, malformed_specs

CORPUS = dict(malformed_specs())
_PLACE = re.compile(r"--> \S*product\.infc\.yaml:[1-9][0-9]*:[1-9][0-9]*$", re.MULTILINE)
_THROUGH_A_PROCESS = ("empty", "latin-1", "deep-list", "alias-0", "unit-p99-0-25ms", "duplicate-key-6", "tab-7")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that holds what the valid spec names."""
    (tmp_path / ".git").mkdir()
    for name in ("model.onnx", "data.npz"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_spec_that_the_corpus_is_made_from_is_valid(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So whatever is wrong with a member of the corpus was put there."""
    (folder / "product.infc.yaml").write_text(VALID)
    assert guarded(app, args=["check", "product.infc.yaml"]) == 0
    assert "no problems" in capsys.readouterr().out


def test_the_corpus_is_large_and_varied() -> None:
    """At least 200, no two the same."""
    assert len(CORPUS) >= 200
    assert len(set(CORPUS.values())) == len(CORPUS)


@pytest.mark.parametrize("name", CORPUS)
def test_a_malformed_spec_exits_5_with_a_line_number(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the real command line: exit 5, at least one place in the text, a fix for each error, no traceback."""
    (folder / "product.infc.yaml").write_bytes(CORPUS[name])
    before = sorted(path.name for path in folder.iterdir())
    code = guarded(app, args=["check", "product.infc.yaml"])
    output = capsys.readouterr()
    assert code == 5, output
    assert _PLACE.search(output.out), output.out
    assert output.out.count("error[") <= output.out.count("help: ")
    assert "Traceback" not in output.out + output.err
    assert "\x1b" not in output.out, "nothing from the file reaches the terminal unescaped"
    assert output.err == ""
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("name", _THROUGH_A_PROCESS)
def test_a_malformed_spec_exits_5_as_a_process(name: str, folder: Path) -> None:
    """The same through the installed script."""
    (folder / "product.infc.yaml").write_bytes(CORPUS[name])
    command = [str(Path(sys.executable).with_name("infc")), "check", "product.infc.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5, done
    assert _PLACE.search(done.stdout)
    assert done.stderr == ""


def test_a_spec_that_is_not_there_exits_5_with_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing spec is a diagnostic like any other, so that reports for tools hold it too."""
    (folder / "product.infc.yaml").write_text(VALID)
    assert guarded(app, args=["check", "prodcut.infc.yaml"]) == 5
    out = capsys.readouterr().out
    assert "error[spec-not-found]" in out
    assert "--> prodcut.infc.yaml:1:1" in out
    assert "did you mean `product.infc.yaml`?" in out
