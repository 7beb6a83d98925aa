"""Checks, plans, locks and reviews of a repository that others filled with words that do something."""

import contextlib
import io
import json
import re
import tomllib
from pathlib import Path

import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.resolve.targets import data_directory
from tests.injection.inert import anonymous, html_faults, line_faults, markdown_faults, shape
from tests.injection.repositories import hostile, plain, write_repository

pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
pytest.importorskip("markdown_it", reason="comes with rich")
pytestmark = pytest.mark.skipif(not (data_directory("targets") / "hardware").is_dir(), reason="no catalogue")

Printed = tuple[str, str]
FORMATS = ("text", "json", "markdown", "html", "sarif", "github", "codequality")
_ANNOTATION = re.compile(r"::(error|warning|notice)( [^:]*)?::(.*)")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Printed]:
    """What each command prints for the hostile and for the plain repository, by the command's words."""
    found: dict[str, list[str]] = {}
    for words in (hostile(), plain()):
        root = tmp_path_factory.mktemp("repository") / "r"
        specs = write_repository(root, words)
        for key, text in _run_all(root, specs).items():
            found.setdefault(key, []).append(text)
    return {key: (texts[0], texts[1]) for key, texts in found.items()}


def _run_all(root: Path, specs: tuple[Path, ...]) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("NO_COLOR", "1")
        printed = {
            f"check {f}": _infc("check", "faulty", "--format", f) for f in FORMATS if f not in ("markdown", "html")
        }
        printed["check merged"] = _infc("check", "specs", "--show-merged")
        printed["check merged json"] = _infc("check", "specs", "--show-merged", "--format", "json")
        named = [spec.as_posix() for spec in specs]
        printed["plan first"] = _infc("plan", *named)
        _infc("plan", *named, "--format", "json", "--out", "plan.json")
        for format in (f for f in FORMATS if f != "html"):
            printed[f"report {format}"] = _infc("report", "plan.json", "--format", format)
        printed["lock"] = _infc("lock", *named)
        printed["lock file"] = (root / "infc.lock").read_text(encoding="utf-8")
        printed["lock check"] = _infc("lock", "--check", *named)
        for spec in specs:
            spec.write_text(spec.read_text().replace("50ms", "40ms").replace('"l4"', '"l4", "t4"'))
        printed["lock check stale"] = _infc("lock", "--check", *named)
        for format in FORMATS:
            printed[f"plan {format}"] = _infc("plan", *named, "--format", format)
        printed["why"] = _infc("plan", named[0], "--why", "fp16/t4")
        printed["ladder"] = _infc("plan", named[0], "--ladder", "--format", "markdown")
        return printed


def _infc(*arguments: str) -> str:
    """What a command in this process prints, errors behind it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        guarded(app, args=arguments)
    return out.getvalue() or err.getvalue()


def test_every_command_said_something(outputs: dict[str, Printed]) -> None:
    """Nothing crashed on the words, and as much was found as with plain ones."""
    for key, (mine, twin) in outputs.items():
        assert bool(mine) == bool(twin), key
        assert "infc has a bug" not in mine, key
    assert "error[" in outputs["check text"][0]
    assert "feasible" in outputs["plan text"][0]


LINES = (
    "check text",
    "check merged",
    "plan first",
    "report text",
    "lock",
    "lock check",
    "lock check stale",
    "plan text",
)


@pytest.mark.parametrize("key", [*LINES, "why", "ladder", "report markdown", "plan markdown"])
def test_lines_hold_no_commands(key: str, outputs: dict[str, Printed]) -> None:
    """Nothing moves the cursor, sets a title, turns text around or talks to a CI system."""
    assert list(line_faults(outputs[key][0])) == []


def test_the_page_holds_only_its_own_elements(outputs: dict[str, Printed]) -> None:
    """The page of hostile words has no element or attribute that the page of plain words has not."""
    mine, twin = outputs["plan html"]
    assert html_faults(mine, twin) == []
    assert "alert(1)" in mine


@pytest.mark.parametrize("key", ["plan markdown", "report markdown", "ladder"])
def test_markdown_renders_to_the_same_elements(key: str, outputs: dict[str, Printed]) -> None:
    """No link, picture, heading, table or mention comes from the words."""
    mine, twin = outputs[key]
    assert markdown_faults(mine, twin) == []


@pytest.mark.parametrize("key", ["check github", "plan github", "report github"])
def test_annotations_are_as_many_as_problems(key: str, outputs: dict[str, Printed]) -> None:
    """One line a problem; what a runner decodes of it is one line of text."""
    mine, twin = outputs[key]
    assert len(mine.splitlines()) == len(twin.splitlines())
    for line in mine.splitlines():
        match = _ANNOTATION.fullmatch(line)
        assert match, line
        assert not re.search(r"[\x00-\x1f\x7f]", line)


@pytest.mark.parametrize(
    "key",
    [
        *(f"check {f}" for f in ("json", "sarif", "codequality", "merged json")),
        *(f"plan {f}" for f in ("json", "sarif", "codequality")),
        *(f"report {f}" for f in ("json", "sarif", "codequality")),
    ],
)
def test_documents_have_the_same_shape(key: str, outputs: dict[str, Printed]) -> None:
    """JSON of hostile words differs from that of plain ones in its texts only, not in what holds them."""
    mine, twin = (json.loads(text) for text in outputs[key])
    assert anonymous(shape(mine)) == anonymous(shape(twin))
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", json.dumps(mine, ensure_ascii=False)
    )


def test_the_lock_reads_back_what_was_written(outputs: dict[str, Printed]) -> None:
    """TOML has as many blocks, each with the path of its spec as it is."""
    mine, twin = (tomllib.loads(text) for text in outputs["lock file"])
    assert shape(mine) == shape(twin)
