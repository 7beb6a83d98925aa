"""Folders and patterns: which specs a repository of many teams gives, and what is not searched."""

import shutil
import subprocess
from pathlib import Path

import pytest

from infc.pipeline.spec_search import is_pattern, specs_matching, specs_under

FILES = (
    "teams/search/specs/encoder.infc.yaml",
    "teams/search/specs/eu/ranker.infc.yaml",
    "teams/search/specs/base.yaml",
    "teams/ads/specs/bids.infc.yaml",
    "teams/ads/dist/bids/copy.infc.yaml",
    "teams/ads/node_modules/package/example.infc.yaml",
    "teams/ads/.cache/old.infc.yaml",
    "infc-defaults.yaml",
)


@pytest.fixture
def monorepo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two teams in a git repository that ignores build output."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("dist/\n")
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(paths: tuple[Path, ...]) -> list[str]:
    """The paths as text."""
    return [path.as_posix() for path in paths]


def test_a_folder_gives_what_people_wrote(monorepo: Path) -> None:
    """Not what was built, installed or cached; bases and defaults are no specs."""
    expected = [
        "teams/ads/specs/bids.infc.yaml",
        "teams/search/specs/encoder.infc.yaml",
        "teams/search/specs/eu/ranker.infc.yaml",
    ]
    assert names(specs_under(Path())) == expected
    assert names(specs_under(Path("teams"))) == expected


def test_an_ignored_spec_that_git_keeps_is_found(monorepo: Path) -> None:
    """What is committed is part of the repository, whatever .gitignore says later."""
    subprocess.run(["git", "add", "-f", "teams/ads/dist/bids/copy.infc.yaml"], check=True)
    assert "teams/ads/dist/bids/copy.infc.yaml" in names(specs_under(Path()))


def test_a_link_to_a_spec_is_not_a_second_one(monorepo: Path) -> None:
    """It would be planned, and counted, twice. A link to a spec elsewhere is the only way to it."""
    folder = Path("teams/ads/specs")
    (folder / "again.infc.yaml").symlink_to("bids.infc.yaml")
    (folder / "shared.infc.yaml").symlink_to("../../search/specs/encoder.infc.yaml")
    own = names(specs_under(folder))
    assert own == ["teams/ads/specs/bids.infc.yaml", "teams/ads/specs/shared.infc.yaml"]
    assert names(specs_matching(Path("teams/a*/specs/*"))) == own
    assert len(specs_under(Path())) == 3


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("teams/*/specs/*.infc.yaml", ["teams/ads/specs/bids.infc.yaml", "teams/search/specs/encoder.infc.yaml"]),
        ("teams/search/**/*.infc.yaml", [f"teams/search/specs/{n}.infc.yaml" for n in ("encoder", "eu/ranker")]),
        ("teams/a?s/specs", ["teams/ads/specs/bids.infc.yaml"]),
        ("teams/*/specs/*.yaml", ["teams/ads/specs/bids.infc.yaml", "teams/search/specs/encoder.infc.yaml"]),
        ("**/dist/**/*.infc.yaml", []),
        ("**/node_modules/**", []),
        ("teams/[xyz]*/**", []),
    ],
)
def test_a_pattern_gives_specs_and_searches_folders(monorepo: Path, pattern: str, expected: list[str]) -> None:
    """As a shell would expand it, without what a search leaves out and without files that are no specs."""
    assert is_pattern(Path(pattern))
    assert names(specs_matching(Path(pattern))) == expected


def test_a_file_with_brackets_is_a_file(monorepo: Path) -> None:
    """A name that exists is no pattern."""
    odd = Path("teams/ads/specs/a[1].infc.yaml")
    odd.touch()
    assert not is_pattern(odd)
    assert odd in specs_under(Path())


def test_without_git_nothing_is_ignored(tmp_path: Path) -> None:
    """A folder outside of a repository is searched all the same."""
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/a.infc.yaml").touch()
    (tmp_path / ".gitignore").write_text("dist/\n")
    assert specs_under(tmp_path) == (tmp_path / "dist/a.infc.yaml",)
