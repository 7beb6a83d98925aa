"""Where a spec's lock, profiles and cache are, and what its paths may not leave."""

import os
from dataclasses import dataclass
from pathlib import Path

LOCK_NAME = "infc.lock"


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """`root` holds infc.lock, infc-profiles/ and .infc/; `boundary` is the folder that no path of a spec leaves."""

    root: Path
    boundary: Path

    @property
    def lock(self) -> Path:
        """The lockfile."""
        return self.root / LOCK_NAME

    @property
    def profiles(self) -> Path:
        """Committed model profiles and measurements."""
        return self.root / "infc-profiles"

    @property
    def cache(self) -> Path:
        """Engines and lowered models; ignored by git."""
        return self.root / ".infc"

    @property
    def targets(self) -> Path:
        """The user's own hardware and prices, if any."""
        return self.root / "targets"

    def locks(self, spec_path: Path) -> bool:
        """Whether the lock holds an entry of this spec, by its text alone: the lock's own reader is a later stage."""
        relative = spec_path.resolve().relative_to(self.root).as_posix()
        try:
            return f'spec = "{relative}"' in self.lock.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False


def find_workspace(spec_path: Path) -> Workspace:
    """The workspace of a spec: the nearest ancestor with infc.lock, else the git top level, else the spec's folder.

    The boundary is the git top level, else the root. Ancestors above the git top level are not searched.
    """
    folder = Path(os.path.realpath(spec_path)).parent
    top = next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)
    lock_root = None
    for parent in (folder, *folder.parents):
        if (parent / LOCK_NAME).is_file():
            lock_root = parent
            break
        if parent == top:
            break
    root = lock_root or top or folder
    return Workspace(root=root, boundary=top or root)
