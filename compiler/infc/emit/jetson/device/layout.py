"""Where everything is on a device: folders, links and files under `/opt/infc` and `/etc/infc`."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .codes import FAILED, Refusal

RELEASE_NAME = re.compile(r"\d+(?:\.\d+)*-[0-9a-f]{12}")
REPLACED = ".replaced"
"""Ends the name of a release's folder while another of the same name takes its place."""
_DEPLOYMENT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TAKEN_NAMES = ("engines", "log", "lock")


class Places:
    """Paths that all deployments of a device share. `root` is in front of every one."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.keys = Path(root) / "etc" / "infc" / "keys"
        self.home = Path(root) / "opt" / "infc"
        self.engines = self.home / "engines"
        self.log = self.home / "log"
        self.lock = self.home / "lock"
        self.agent = self.home / "edge.py"
        self.libraries = self.home / "libraries.json"

    def deployment(self, name: str) -> Deployment:
        """Paths of one deployment. Raises Refusal for what cannot be a name."""
        if not can_be_name(name):
            raise Refusal(FAILED, f"{name!r} cannot be the name of a deployment", "names are like dock-camera")
        return Deployment(self, name)

    def deployments(self) -> list[Deployment]:
        """Deployments that the device has something of, by name."""
        try:
            names = sorted(entry.name for entry in self.home.iterdir() if entry.is_dir() and not entry.is_symlink())
        except OSError:
            return []
        return [
            Deployment(self, name) for name in names if name not in _TAKEN_NAMES and _DEPLOYMENT_NAME.fullmatch(name)
        ]


class Deployment:
    """Paths of one deployment, and which of its releases are which."""

    def __init__(self, places: Places, name: str) -> None:
        self.places, self.name = places, name
        self.folder = places.home / name
        self.releases = self.folder / "releases"
        self.staging = self.folder / "staging"
        self.current = self.folder / "current"
        self.previous = self.folder / "previous"
        self.journal = self.folder / "journal.json"
        self.rejected = self.folder / "rejected.json"

    def release(self, name: str) -> Path:
        """Folder of a release."""
        return self.releases / name

    def kept(self) -> list[str]:
        """Names of the releases that are kept, oldest version first."""
        try:
            names = [entry.name for entry in self.releases.iterdir() if RELEASE_NAME.fullmatch(entry.name)]
        except OSError:
            return []
        return sorted(names, key=lambda name: ([int(part) for part in name.split("-")[0].split(".")], name))


def can_be_name(name: str) -> bool:
    """Whether a deployment may have this name: it becomes a folder beside those of the device itself."""
    return name not in _TAKEN_NAMES and _DEPLOYMENT_NAME.fullmatch(name) is not None


def linked_release(link: Path) -> str | None:
    """Name of the release that `current` or `previous` leads to; None when it leads to none."""
    try:
        name = os.path.basename(os.readlink(str(link)))
    except OSError:
        return None
    return name if RELEASE_NAME.fullmatch(name) and (link.parent / "releases" / name).is_dir() else None


def release_name(version: str, content_digest: str) -> str:
    """What the folder of a release is called.

    >>> release_name("7", "sha256:0123456789abcdef")
    '7-0123456789ab'
    """
    return f"{version}-{content_digest.partition(':')[2][:12]}"
