"""Drift of a rendered folder: what was committed against what is locked. No weights, no server, no GPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic, ToolError
from infc.emit.manifest import MANIFEST_NAME, read_manifest
from infc.emit.supply.bundle import ABOUT_THE_BUNDLE
from infc.lock import LockEntry
from infc.lock.drift import DriftItem, DriftReport
from infc.lock.drift.folder import FolderState, file_items, rendered_items
from infc.lock.drift.item import lock_item
from infc.lock.drift.manifests import ExpectedObject
from infc.pipeline.drift.bundle import MANIFESTS, LockedBundle, digests_in, find_bundle
from infc.pipeline.drift.locked import LockedSpec, entry_of, open_locked, stale_inputs
from infc.pipeline.drift.manifests import expected_objects, objects_below


@dataclass(frozen=True, kw_only=True)
class FolderDriftRequest:
    """Which folder to compare. `bundle` None: the one under `dist/`, if it is the locked one."""

    spec: Path
    folder: Path
    target: str | None = None
    bundle: Path | None = None


def folder_drift(
    request: FolderDriftRequest, *, announce: Callable[[str], None]
) -> tuple[DriftReport | None, tuple[Diagnostic, ...]]:
    """Compare a folder with the locked files of a deployment.

    Raises:
        ToolError: a file cannot be read, or is no YAML.
    """
    opened, problems = open_locked(request.spec)
    if opened is None:
        return None, problems
    entry, problems = entry_of(opened, request.target or _target_of(opened.entries, request.folder))
    if entry is None:
        return None, problems
    bundle, problems = find_bundle(entry, request.bundle)
    if problems:
        return None, problems
    announce(f"reading {request.folder}")
    return compare(opened, entry, request.folder, bundle, stale=stale_inputs(opened, entry))


def compare(
    opened: LockedSpec, entry: LockEntry, folder: Path, bundle: LockedBundle | None, *, stale: Sequence[str]
) -> tuple[DriftReport | None, tuple[Diagnostic, ...]]:
    """Every comparison of a folder with a deployment.

    Raises:
        ToolError: a file cannot be read, or is no YAML.
    """
    try:
        digests = digests_in(folder)
    except OSError as error:
        raise ToolError(f"{folder} cannot be read: {error.strerror or error}") from error
    state = FolderState(where=folder.as_posix(), digests=digests, objects=objects_below(folder))
    found = _compared(entry, state, {} if bundle is None else expected_objects(bundle))
    if found is None:
        return None, (_nothing_to_compare(entry, folder, bundle),)
    items, what = found
    return DriftReport(
        name=entry.name,
        target=entry.target,
        spec=opened.loaded.path.as_posix(),
        endpoint=state.where,
        server=what,
        requests=0,
        duration_s=None,
        is_since_start=False,
        items=(lock_item(stale), *items),
        objectives=(),
        notes=(_how(bundle),),
        subject="folder",
    ), ()


def _target_of(entries: tuple[LockEntry, ...], folder: Path) -> str | None:
    """The target that a bundle's own manifest names, where the lock has it."""
    written = read_manifest(folder)
    target = None if written is None else written.target
    return target if any(entry.target == target for entry in entries) else None


def _compared(
    entry: LockEntry, state: FolderState, expected: dict[str, ExpectedObject]
) -> tuple[tuple[DriftItem, ...], str] | None:
    """The items and what the folder was taken for; None where nothing of it can be compared."""
    own = {path.removeprefix(MANIFESTS): digest for path, digest in entry.files.items() if path.startswith(MANIFESTS)}
    whole, part = (len(state.digests.keys() & paths.keys() - {"README.md"}) for paths in (entry.files, own))
    if MANIFEST_NAME in state.digests or whole > part:
        beside = list(ABOUT_THE_BUNDLE)  # it names, describes or signs the rest: `infc verify` checks it
        engine = entry.engine.file
        beside += [p for p in state.digests if engine is not None and (p == engine or p.startswith(f"{engine}/"))]
        return file_items(entry.files, state, expected, beside), "a bundle"
    if part:
        objects = {path.removeprefix(MANIFESTS): each for path, each in expected.items()}
        return file_items(own, state, objects, ()), "the kubernetes folder of a bundle"
    if expected and state.objects:
        return rendered_items(tuple(expected.values()), state), "rendered objects"
    return None


def _how(bundle: LockedBundle | None) -> str:
    if bundle is None:
        return "files were compared by digest; which fields differ takes the compiled bundle (--bundle)"
    return f"files were compared by digest, fields with the bundle in {bundle.folder.as_posix()}"


def _nothing_to_compare(entry: LockEntry, folder: Path, bundle: LockedBundle | None) -> Diagnostic:
    if bundle is None:
        help = "name the folder of a bundle or its kubernetes folder; objects made from them need --bundle"
    else:
        help = "name the folder of the bundle, its kubernetes folder, or manifests made from it"
    return Diagnostic(
        id="drift-folder", message=f"{folder} holds no file and no object of {entry.label} as it is locked", help=help
    )
