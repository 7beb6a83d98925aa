"""A compile for edge devices of a model that others filled with words that do something, through the command."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.emit.jetson.archive import unpack
from tests.injection.inert import anonymous, hidden_faults, html_faults, line_faults, markdown_faults, shape
from tests.injection.repositories import Vocabulary, hostile, plain, write_model

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("markdown_it", reason="comes with rich")
pytestmark = pytest.mark.slow

SAME = ("install.sh", "bin/edge.py", "bin/libraries.json", "systemd/infc-cam.service", "compose.yaml")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders with `page.html`, `log.txt`, the bundle in `dist/cam/` and its archive in `release/`: hostile, plain."""
    folders = []
    for words in (hostile(), plain()):
        root = tmp_path_factory.mktemp("edge")
        _compile(root, words)
        (archive,) = (root / "dist" / "cam").glob("*.tar.zst")
        (root / "release").mkdir()
        unpack(archive, root / "release")
        folders.append(root)
    return folders[0], folders[1]


def _compile(root: Path, words: Vocabulary) -> None:
    texts = list(words.raw.values())
    folder = root / words.named(texts[0]) / words.named(texts[2])
    folder.mkdir(parents=True)
    (root / ".git").mkdir()
    write_model(root / "model.onnx", words)
    spec = {
        "metadata": {"name": "cam", "owner": words.shown(texts[5])},
        "model": {"onnx": "../../model.onnx"},
        "slo": {"latency": {"p99": "50ms"}},
        "workload": {"rate": "60/s", "arrival": {"constant": {"streams": 2}}},
        "constraints": {"hardware": ["jetson-orin-nano-8gb"], "precision": ["fp16"], "max_power": "15W"},
        "deploy": {"server": "jetson", "jetson": {"jetpack": "6.2"}},
    }
    (folder / "cam.infc.yaml").write_text(json.dumps(spec))
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(root)
        code = guarded(app, args=["compile", ".", "-o", "dist", "--format", "html"])
    assert code == 0, err.getvalue()
    (root / "page.html").write_text(out.getvalue())
    (root / "log.txt").write_text(err.getvalue())


def files_of(root: Path) -> dict[str, str]:
    """The release's and the bundle's files that are text, by path."""
    texts = {}
    for folder in (root / "release", root / "dist" / "cam"):
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix not in {".bin", ".onnx", ".zst"}:
                texts[path.relative_to(folder).as_posix().removeprefix("cam-1/")] = path.read_text(encoding="utf-8")
    return texts


def test_the_report_of_a_compile_holds_only_its_own_elements(compiled: tuple[Path, Path]) -> None:
    """The page, and what was said on the way."""
    mine, twin = compiled
    assert html_faults((mine / "page.html").read_text(), (twin / "page.html").read_text()) == []
    assert list(line_faults((mine / "log.txt").read_text())) == []


def test_what_runs_on_a_device_does_not_depend_on_words(compiled: tuple[Path, Path]) -> None:
    """Programs, the unit of systemd and the compose file are the same, byte for byte."""
    mine, twin = (files_of(folder) for folder in compiled)
    assert {path: mine[path] for path in SAME} == {path: twin[path] for path in SAME}


def test_documents_of_a_release_have_the_same_shape(compiled: tuple[Path, Path]) -> None:
    """Manifest, provenance, bill of materials, samples and README; the list of digests has one file a line."""
    mine, twin = (files_of(folder) for folder in compiled)
    assert len(mine) == len(twin)
    for path, text in mine.items():
        assert list(hidden_faults(text)) == [], path
        if path.endswith(".json"):
            assert anonymous(shape(json.loads(text))) == anonymous(shape(json.loads(twin[path]))), path
        elif path.endswith(".md"):
            assert markdown_faults(text, twin[path]) == [], path
    sums = mine["SHA256SUMS"].splitlines()
    assert len(sums) == len(twin["SHA256SUMS"].splitlines())
    assert all(re.fullmatch(r"[0-9a-f]{64}  [A-Za-z0-9._/-]+", line) for line in sums)
