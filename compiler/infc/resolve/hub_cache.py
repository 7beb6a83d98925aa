"""The local cache of the Hugging Face hub: where other tools have put a model's config.json. Nothing is fetched."""

from collections.abc import Mapping
from pathlib import Path

DEFAULT_REVISION = "main"


def hub_folder(environment: Mapping[str, str]) -> Path | None:
    """The cache that huggingface_hub uses in this environment; None without a home.

    Source: huggingface_hub's documentation of HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME.

    >>> hub_folder({"HF_HOME": "/data/hf"}).as_posix()
    '/data/hf/hub'
    """
    if environment.get("HF_HUB_CACHE"):
        return Path(environment["HF_HUB_CACHE"])
    if environment.get("HF_HOME"):
        return Path(environment["HF_HOME"]) / "hub"
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "huggingface" / "hub"
    home = environment.get("HOME") or environment.get("USERPROFILE")
    return Path(home) / ".cache" / "huggingface" / "hub" if home else None


def cached_config(hub: Path, repo: str, revision: str | None) -> Path | None:
    """The config.json of a cached repository at a revision (a commit, a branch or a tag; None: main).

    A snapshot is found by its commit, or through the reference that names it. None where it is not cached.
    Source: the layout `models--<owner>--<name>/{refs,snapshots}` of huggingface_hub.
    """
    folder = hub / f"models--{repo.replace('/', '--')}"
    wanted = revision or DEFAULT_REVISION
    if ".." in wanted.split("/"):
        return None
    for commit in (wanted, _commit_of(folder / "refs" / wanted)):
        config = folder / "snapshots" / commit / "config.json" if commit else None
        if config is not None and config.is_file():
            return config
    return None


def _commit_of(reference: Path) -> str | None:
    """The commit that a reference holds, None where it holds none."""
    try:
        text = reference.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if text.isalnum() else None
