"""Pages of docs/ are true: what they name is there, and blocks that say `sh run` run, in order, in a repository.

A page opts in with `<!-- docs-test: workspace=NAME -->`.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_MARK = re.compile(r"<!-- docs-test: workspace=([a-z-]+) -->")
_BLOCK = re.compile(r"^```sh run\n(.*?)^```$(?:\n+^```text output\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
_COMMIT = re.compile(r"\([0-9a-f]{7}\)")
_PATH = re.compile(r"`((?:docs|benchmarks|tests|specs|targets|schemas|compiler)/[^`\s<>]*)`")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_MAKE = re.compile(r"(?:`|^)make ([a-z-]+)", re.MULTILINE)
_GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
_NAMES = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "t"), ("EMAIL", "t@example.com"))
}


def pages() -> list[Path]:
    """The pages that opted in."""
    return sorted(page for page in DOCS.glob("*.md") if _MARK.search(page.read_text(encoding="utf-8")))


def _clothes(folder: Path) -> None:
    """A git repository with nothing but a small model."""
    (folder / "models").mkdir()
    shutil.copy(ROOT / "specs" / "fashion-mnist" / "resnet8.onnx", folder / "models" / "clothes.onnx")
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True, env={**os.environ, **_GIT})


def _examples(folder: Path) -> None:
    """A git repository of the example specs with their lock, committed; what is fetched or measured is not in it."""
    ignored = shutil.ignore_patterns(
        "service-time-*", ".infc", "dist", "*.onnx.data", "minilm*.onnx", "efficientnet*.onnx"
    )
    shutil.copytree(ROOT / "specs", folder / "specs", ignore=ignored)
    git = ["git", "-C", str(folder)]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "main"]):
        subprocess.run([*git, *command], check=True, env={**os.environ, **_GIT, **_NAMES})


WORKSPACES: Mapping[str, Callable[[Path], None]] = {"clothes": _clothes, "examples": _examples}


def test_pages_say_what_they_need() -> None:
    """Blocks that run are on pages that name a workspace; one name, one workspace."""
    running = [page for page in DOCS.rglob("*.md") if _BLOCK.search(page.read_text(encoding="utf-8"))]
    assert [page for page in running if page not in pages()] == []
    assert {_MARK.search(page.read_text(encoding="utf-8"))[1] for page in pages()} <= WORKSPACES.keys()  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """Each block ends well, and prints what the block of text right after it shows, but for the names of commits."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    for program in ("git", "bash"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    text = page.read_text(encoding="utf-8")
    mark = _MARK.search(text)
    assert mark is not None
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "infc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m infc "$@"\n')
    (programs / "infc").chmod(0o755)
    folder = tmp_path / "repository"
    folder.mkdir()
    WORKSPACES[mark[1]](folder)
    environment = {**os.environ, **_GIT, **_NAMES, "NO_COLOR": "1", "PATH": f"{programs}:{os.environ['PATH']}"}
    for block, shown in _BLOCK.findall(text):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        assert _COMMIT.sub("", shown) in _COMMIT.sub("", done.stdout), f"{block}\n{done.stdout}"


def _prose() -> list[Path]:
    """What people read: not the pages that are made from the catalogue."""
    docs = [*DOCS.glob("*.md"), *(DOCS / "decisions").glob("*.md")]
    return sorted([*docs, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "targets/README.md"))])


@pytest.mark.parametrize("page", _prose(), ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    """Files and folders of the repository, links, targets of make; what a benchmark writes may be absent."""
    text = page.read_text(encoding="utf-8")
    named = {path.partition("::")[0] for path in _PATH.findall(text) if not path.startswith("benchmarks/results/")}
    assert [path for path in sorted(named) if not any(ROOT.glob(each.rstrip("/")) for each in _spelled_out(path))] == []
    assert [link for link in _LINK.findall(text) if not (page.parent / link).exists()] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [name for name in _MAKE.findall(text) if f"\n{name}:" not in makefile] == []


def _spelled_out(path: str) -> list[str]:
    """`a/{b,c}.py` is two paths; a line number behind a path is no part of it."""
    plain = re.sub(r":\d+$", "", path)
    braces = re.search(r"\{([^}]*)\}", plain)
    return [plain] if braces is None else [plain.replace(braces[0], each) for each in braces[1].split(",")]
