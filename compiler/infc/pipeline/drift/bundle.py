"""The compiled bundle of a locked deployment, where it is at hand: files whose bytes are the locked ones, and no other.

The lock holds digests. What a file says, field by field, is in the bundle; a file of it counts only where its digest is
the locked one, so that no other bundle is ever taken for it.
"""

from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic
from infc.emit.manifest import content_digest, read_manifest
from infc.lock import LockEntry

_OUTPUT = "dist"
MANIFESTS = "kubernetes/"
"""The part of a bundle that is for a cluster."""


@dataclass(frozen=True, kw_only=True)
class LockedBundle:
    """A folder with the bundle of an entry. `changed` are the files that its own manifest has otherwise than the lock.

    Files are read, and their digests taken, only when they are asked for: a checkpoint may be large. `inner` is the
    part of a bundle that the folder is, where it is not the whole: `kubernetes/`, as it is committed or rendered.
    """

    folder: Path
    entry: LockEntry
    changed: tuple[str, ...]
    inner: str = ""

    def read(self, path: str) -> bytes | None:
        """The bytes of a locked file; None where they are not the locked ones."""
        if path not in self.entry.files or path in self.changed or not path.startswith(self.inner):
            return None
        try:
            content = (self.folder / path.removeprefix(self.inner)).read_bytes()
        except OSError:
            return None
        return content if content_digest(content) == self.entry.files[path] else None

    @property
    def engine_digest(self) -> str | None:
        """The digest of the engine file as compiled, where the lock does not hold it; None where it is not here."""
        manifest = read_manifest(self.folder)
        return (
            None if manifest is None or self.entry.engine.file is None else manifest.files.get(self.entry.engine.file)
        )


def find_bundle(entry: LockEntry, named: Path | None) -> tuple[LockedBundle | None, tuple[Diagnostic, ...]]:
    """The bundle in the named folder; without a name the one under `dist/`, if it is the locked one.

    Returns:
        The bundle or None, with the diagnostic why a named folder is not it.
    """
    if named is None:
        candidates = (Path(_OUTPUT, entry.name), Path(_OUTPUT, f"{entry.name}@{entry.target}"))
        found = (_opened(entry, folder) for folder in candidates)
        return next((bundle for bundle in found if bundle is not None and not bundle.changed), None), ()
    bundle = _opened(entry, named)
    if bundle is None:
        what = f"{named} is no bundle of {entry.label}"
    elif len(bundle.changed) == len(entry.files):
        what = f"{named} is another bundle than the locked one of {entry.label}"
    else:
        return bundle, ()
    return None, (
        Diagnostic(
            id="drift-bundle",
            message=what,
            help=f"compile it again (infc compile --locked {entry.spec}), or leave --bundle out",
        ),
    )


def _opened(entry: LockEntry, folder: Path) -> LockedBundle | None:
    manifest = read_manifest(folder)
    if manifest is None:
        return _opened_manifests(entry, folder)
    if manifest.name != entry.name:
        return None
    changed = tuple(path for path, digest in entry.files.items() if manifest.files.get(path) != digest)
    return LockedBundle(folder=folder, entry=entry, changed=changed)


def _opened_manifests(entry: LockEntry, folder: Path) -> LockedBundle | None:
    """The `kubernetes/` folder of a bundle by itself: every object of it is there as it is locked, else it is none."""
    found = LockedBundle(folder=folder, entry=entry, changed=(), inner=MANIFESTS)
    objects = [path for path in entry.files if path.startswith(MANIFESTS) and path.endswith(".yaml")]
    return found if objects and all(found.read(path) is not None for path in objects) else None


def digests_in(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder, by path; left out is what is hidden, and what Python keeps beside."""
    found = {}
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if file.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.parts):
            found[path.as_posix()] = content_digest(file)
    return found
