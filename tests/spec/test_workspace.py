"""Where a spec's lock, profiles and cache are, and what its paths may not leave."""

from pathlib import Path

from infc.spec import find_workspace


def test_without_git_and_lock_the_workspace_is_the_specs_folder(tmp_path: Path) -> None:
    """A spec on its own."""
    workspace = find_workspace(tmp_path / "a.infc.yaml")
    assert workspace.root == workspace.boundary == tmp_path.resolve()


def test_the_git_top_level_is_root_and_boundary(tmp_path: Path) -> None:
    """Of a worktree too, where .git is a file."""
    (tmp_path / ".git").write_text("gitdir: elsewhere")
    (tmp_path / "specs" / "deep").mkdir(parents=True)
    workspace = find_workspace(tmp_path / "specs" / "deep" / "a.infc.yaml")
    assert workspace.root == workspace.boundary == tmp_path.resolve()


def test_the_nearest_lock_is_the_root_and_git_stays_the_boundary(tmp_path: Path) -> None:
    """Profiles, cache and the user's targets are beside the lock."""
    (tmp_path / ".git").mkdir()
    specs = tmp_path / "team" / "specs"
    specs.mkdir(parents=True)
    (tmp_path / "team" / "infc.lock").touch()
    workspace = find_workspace(specs / "a.infc.yaml")
    assert workspace.root == (tmp_path / "team").resolve()
    assert workspace.boundary == tmp_path.resolve()
    assert workspace.lock == workspace.root / "infc.lock"
    assert workspace.profiles == workspace.root / "infc-profiles"
    assert workspace.cache == workspace.root / ".infc"
    assert workspace.targets == workspace.root / "targets"


def test_a_lock_above_the_repository_is_somebody_elses(tmp_path: Path) -> None:
    """The search stops at the git top level."""
    (tmp_path / "infc.lock").touch()
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    assert find_workspace(repository / "a.infc.yaml").root == repository.resolve()
