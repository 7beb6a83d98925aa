"""Bad specs that state their own errors: what is stated is found, and nothing else is found."""

import re
import shutil
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from infc.diag.catalogue import CATALOGUE
from infc.report.diagnostics_text import render_diagnostics
from infc.spec import load_spec

FIXTURES = Path(__file__).parent / "fixtures"
SPECS = sorted(path.relative_to(FIXTURES).as_posix() for path in FIXTURES.rglob("*.infc.yaml"))
_HERE = re.compile(r"# (error|warning): ([a-z0-9, -]+?)\s*$")
_ELSEWHERE = re.compile(r"# (error|warning)@([^:]+):([0-9]+): ([a-z0-9-]+)\s*$")
# These are about the file system or the bytes, and have no line to state them on. None is no file, a text a link to it.
_NOT_IN_A_COMMENT: dict[str, bytes | str | None] = {
    "spec-not-found": None,
    "spec-unreadable": "whole.infc.yaml",
    "spec-too-large": b"# " + b"x" * 1024 * 1024,
    "spec-encoding": "# SLO of the team\nmetadata: {owner: caf\xe9}\n".encode("latin-1"),
    "spec-character": b"objective: cost\0\n",
    "spec-empty": b"# to be written\n",
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fixtures in a repository of their own, which is the current directory."""
    root = tmp_path / "repository"
    shutil.copytree(FIXTURES, root)
    (root / ".git").mkdir()
    monkeypatch.chdir(root)
    return root


def stated(name: str) -> list[tuple[str, int, str, str]]:
    """(file, line, severity, id) of every comment that states a diagnostic."""
    found: list[tuple[str, int, str, str]] = []
    for number, line in enumerate((FIXTURES / name).read_text(encoding="utf-8").splitlines(), start=1):
        if here := _HERE.search(line):
            found += [(name, number, here[1], id.strip()) for id in here[2].split(",")]
        if elsewhere := _ELSEWHERE.search(line):
            found.append((elsewhere[2], int(elsewhere[3]), elsewhere[1], elsewhere[4]))
    return sorted(found)


@pytest.mark.parametrize("name", SPECS)
def test_a_bad_spec_gets_exactly_the_diagnostics_it_states(name: str, repository: Path) -> None:
    """Every stated diagnostic is found on its line, and no other; an error leaves no spec, a warning does."""
    loaded = load_spec(Path(name))
    found = [(d.span.path, d.span.line, d.severity.value, d.id) for d in loaded.diagnostics if d.span]
    assert sorted(found) == stated(name)
    assert len(found) == len(loaded.diagnostics), "every diagnostic of a spec has a place"
    assert (loaded.spec is None) == any(severity == "error" for _, _, severity, _ in found)


@pytest.mark.parametrize("name", SPECS)
def test_a_bad_spec_is_rendered_with_carets_and_fixes(name: str, repository: Path, snapshot: SnapshotAssertion) -> None:
    """What the user reads, byte for byte; every diagnostic says how to fix it."""
    loaded = load_spec(Path(name))
    assert all(d.help for d in loaded.diagnostics)
    assert render_diagnostics(loaded.diagnostics) == snapshot


@pytest.mark.parametrize("id", _NOT_IN_A_COMMENT)
def test_a_file_that_is_no_spec_is_rendered_with_its_fix(
    id: str, repository: Path, snapshot: SnapshotAssertion
) -> None:
    """The same for what is wrong with the file as a whole."""
    path = Path("whole.infc.yaml")
    match _NOT_IN_A_COMMENT[id]:
        case bytes() as data:
            path.write_bytes(data)
        case str() as target:
            path.symlink_to(target)
    loaded = load_spec(path)
    assert [d.id for d in loaded.diagnostics] == [id]
    assert render_diagnostics(loaded.diagnostics) == snapshot


def test_every_id_of_the_spec_area_has_a_fixture() -> None:
    """No id can be added to the catalogue without a spec that shows it."""
    ids = {kind.id for kind in CATALOGUE if kind.id.startswith("spec-")}
    shown = {id for name in SPECS for _, _, _, id in stated(name)}
    assert ids - shown == set(_NOT_IN_A_COMMENT)
    assert shown <= ids
