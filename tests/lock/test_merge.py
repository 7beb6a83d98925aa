"""Merging branches that each changed other specs, with git itself: the lock equals one that was made anew."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from infc.lock.conflict import conflicted_lock
from infc.lock.file import read_lock
from tests.pipeline.git_repository import commit, git, lock, make_repository, write_spec

LOCK = Path("infc.lock")
MERGED: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "two specs apart": (lambda: write_spec("a", rate="60/s"), lambda: write_spec("d", rate="60/s")),
    "neighbours": (lambda: write_spec("b", rate="60/s"), lambda: write_spec("c", rate="60/s")),
    "one changed, one added": (lambda: write_spec("a", rate="60/s"), lambda: write_spec("e")),
    "one changed, its neighbour removed": (lambda: write_spec("b", rate="60/s"), lambda: remove("c")),
    "added apart": (lambda: write_spec("aa"), lambda: write_spec("cc")),
    "removed apart": (lambda: remove("a"), lambda: remove("d")),
    "another device and another rate": (lambda: write_spec("a", hardware="t4"), lambda: write_spec("c", rate="60/s")),
}
CONFLICTING: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "two added at one spot": (lambda: write_spec("bb", rate="70/s"), lambda: write_spec("bc", hardware="t4")),
    "one changed, one added before it": (lambda: write_spec("b", rate="60/s"), lambda: write_spec("az")),
    "neighbours removed": (lambda: remove("b"), lambda: remove("c")),
    "one spec in two places": (
        lambda: write_spec("b", p99="19ms"),
        lambda: write_spec("b", more="objective: energy\n"),
    ),
}


def usual(shapes: Iterable[str], *names: str) -> list[ParameterSet]:
    """The shapes; all but these are only tried where INFC_ALL_MERGES is set."""
    rare = pytest.mark.skipif("INFC_ALL_MERGES" not in os.environ, reason="set INFC_ALL_MERGES=1 to try every shape")
    return [pytest.param(each, marks=[] if each in names else [rare]) for each in shapes]


def remove(name: str) -> None:
    """A spec less."""
    Path(f"specs/{name}.infc.yaml").unlink()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four locked specs on `main`."""
    pytest.importorskip("onnx", reason="a model file is opened with the extra onnx")
    folder = tmp_path_factory.mktemp("locked")
    with contextlib.chdir(folder):
        make_repository("a", "b", "c", "d")
        lock()
        commit("main")
    return folder


def branches(locked: Path, folder: Path, ours: Callable[[], object], theirs: Callable[[], object]) -> str:
    """The repository with a branch for each change, each with its own lock; what `git merge` says, or nothing."""
    shutil.copytree(locked, folder)
    with contextlib.chdir(folder):
        for name, change in (("ours", ours), ("theirs", theirs)):
            git("checkout", "--quiet", "-b", name, "main")
            change()
            lock()
            commit(name)
        git("checkout", "--quiet", "ours")
        try:
            git("merge", "--quiet", "--no-edit", "theirs")
        except subprocess.CalledProcessError as conflict:
            return str(conflict.stdout)
    return ""


def made_anew(folder: Path) -> str:
    """The lock that the specs come to with no lock before."""
    with contextlib.chdir(folder):
        merged = LOCK.read_text()
        LOCK.unlink()
        lock()
        anew = LOCK.read_text()
        LOCK.write_text(merged)
    return anew


@pytest.mark.parametrize("shape", usual(MERGED, "neighbours", "added apart"))
def test_a_merged_lock_is_one_that_was_made_anew(locked: Path, tmp_path: Path, shape: str) -> None:
    """Plain `git merge`, no conflict, and `infc lock` has nothing left to do."""
    folder = tmp_path / "repository"
    assert branches(locked, folder, *MERGED[shape]) == ""
    assert (folder / LOCK).read_text() == made_anew(folder)


@pytest.mark.parametrize("shape", usual(CONFLICTING, "two added at one spot", "one spec in two places"))
def test_a_conflict_is_resolved_from_the_file_as_git_left_it(locked: Path, tmp_path: Path, shape: str) -> None:
    """Whether git conflicts or not, `infc lock` comes to the same lock: from the markers, and from either side."""
    folder = tmp_path / "repository"
    said = branches(locked, folder, *CONFLICTING[shape])
    with contextlib.chdir(folder):
        left = LOCK.read_text()
        if "infc.lock" in said:
            assert "<<<<<<<" in left
            problems = read_lock(LOCK)[1]
            assert [problem.id for problem in problems] == ["lock-conflict"]
            assert "infc lock" in (problems[0].help or "")
        for spec in Path("specs").glob("*.yaml"):
            if "<<<<<<<" in spec.read_text():
                git("checkout", "--quiet", "--theirs", str(spec))
        lock()
        resolved = LOCK.read_text()
        assert resolved == made_anew(folder)
        for side in ("--ours", "--theirs") if "infc.lock" in said else ():
            git("checkout", "--quiet", side, "infc.lock")
            lock()
            assert LOCK.read_text() == resolved


def test_two_additions_at_one_spot_do_conflict(locked: Path, tmp_path: Path) -> None:
    """The one shape that git cannot know: otherwise the tests above would not have seen a conflict."""
    assert "CONFLICT" in branches(locked, tmp_path / "repository", *CONFLICTING["two added at one spot"])


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
def test_both_sides_of_a_conflict_are_whole_locks(locked: Path, tmp_path: Path, style: str) -> None:
    """In every style that git writes conflicts in; what the common ancestor had is of neither side."""
    folder = tmp_path / "repository"
    branches(locked, folder, *CONFLICTING["two added at one spot"])
    with contextlib.chdir(folder):
        git("checkout", "--conflict", style, "--", "infc.lock")
        conflict = conflicted_lock(LOCK.read_text())
        assert conflict is not None
        names = [{entry.name for entry in side.entries} for side in (conflict.ours, conflict.theirs, conflict.both)]
        assert names == [{*"abcd", "bb"}, {*"abcd", "bc"}, {*"abcd", "bb", "bc"}]


@pytest.mark.parametrize(
    "text",
    [
        "version = 1\n",
        "version = 1\n<<<<<<< a\n",
        "version = 1\n<<<<<<< a\n>>>>>>> b\n",
        "version = 1\n=======\n>>>>>>> b\n",
        "<<<<<<< a\nversion = 1\n=======\nversion = x\n>>>>>>> b\n",
    ],
)
def test_what_is_no_conflict_of_two_locks_is_left_to_its_reader(text: str) -> None:
    """Markers that do not belong together, and sides that are no locks, are not guessed at."""
    conflict = conflicted_lock(text)
    assert conflict is None or (conflict.ours.entries, conflict.theirs.entries) == ((), ())
