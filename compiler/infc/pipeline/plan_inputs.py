"""What enters a plan, as digests: two plans with the same inputs are the same, byte for byte.

Known before the spec is parsed: its bytes, the code and data of this infc, the workspace's catalogue, profiles, policy
and locked blocks of the spec. The files that a spec names are known once it has been parsed.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import infc
from infc.resolve.store import ProfileStore
from infc.resolve.targets import data_directory
from infc.spec import LoadedSpec, Workspace, find_workspace

FileKind: TypeAlias = Literal["file", "model", "folder", "names", "hub"]
_CODE_SUFFIXES = frozenset({".py", ".json", ".yaml", ".j2"})
_LARGEST_HASHED_BYTES = 16 * 1024 * 1024
"""Larger data files count as unchanged by size and time only."""
_POLICY = "infc-policy.yaml"


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Options of the command that change what a plan says. `overlay` is the folder that was given, if any."""

    overlay: Path | None
    has_ladder: bool

    def words(self) -> str:
        """The options as part of a key."""
        return json.dumps([None if self.overlay is None else str(self.overlay.resolve()), self.has_ladder])


@dataclass(frozen=True, kw_only=True)
class FileState:
    """What a spec names, as it was: `digest` None means that it was absent. `path` is as the spec writes it."""

    kind: FileKind
    path: str
    digest: str | None
    size: int = 0
    mtime_ns: int = 0


class PlanInputs:
    """Digests of inputs, each computed once while a command runs."""

    def __init__(self, options: PlanOptions) -> None:
        self._options = options
        self._workspaces: dict[Path, Workspace] = {}
        self._of_workspace: dict[Path, str] = {}
        self._locked: dict[Path, Mapping[str, str]] = {}
        self._states: dict[tuple[FileKind, Path], FileState] = {}

    def workspace(self, spec: Path) -> Workspace:
        """The workspace of a spec."""
        folder = Path(os.path.realpath(spec)).parent
        if folder not in self._workspaces:
            self._workspaces[folder] = find_workspace(spec)
        return self._workspaces[folder]

    def key(self, spec: Path, data: bytes, base: str = "") -> str:
        """The digest of everything that is known before the spec is parsed.

        Args:
            spec: its path, as the user wrote it.
            data: what it holds.
            base: what it is compared with besides the lock.
        """
        workspace = self.workspace(spec)
        if workspace.root not in self._of_workspace:
            self._of_workspace[workspace.root] = _workspace_digest(workspace, self._options.overlay)
            self._locked[workspace.root] = _locked_blocks(workspace.lock)
        inside = Path(os.path.realpath(spec)).relative_to(workspace.root).as_posix()
        boundary = os.path.relpath(workspace.boundary, workspace.root)
        parts = (
            _environment_digest() + self._options.words(),
            self._of_workspace[workspace.root],
            self._locked[workspace.root].get(inside, ""),
            spec.as_posix(),
            inside,
            boundary,
            hashlib.sha256(data).hexdigest(),
            base,
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def files(self, loaded: LoadedSpec) -> tuple[FileState, ...]:
        """The state of everything that a loaded spec names."""
        return tuple(self._state(kind, written, loaded.path, loaded.workspace) for kind, written in _named(loaded))

    def is_unchanged(self, state: FileState, spec: Path) -> bool:
        """Whether what `spec` names is still as it was. A file with another time but the same content is."""
        known = self._states.get((state.kind, spec.parent / state.path))
        if known is not None:
            return known.digest == state.digest
        if state.kind == "file":
            found = _stat(spec.parent / state.path)
            if found is None or found == (state.size, state.mtime_ns):
                return found is not None or state.digest is None
        return self._state(state.kind, state.path, spec, self.workspace(spec)).digest == state.digest

    def _state(self, kind: FileKind, written: str, spec: Path, workspace: Workspace) -> FileState:
        path = spec.parent / written
        if (kind, path) not in self._states:
            self._states[kind, path] = _state_of(kind, written, path, workspace)
        return self._states[kind, path]


def state_to_json(state: FileState) -> list[Any]:
    """The state as JSON values."""
    return [state.kind, state.path, state.digest, state.size, state.mtime_ns]


def state_from_json(document: list[Any]) -> FileState:
    """The state that was written."""
    kind, path, digest, size, mtime_ns = document
    return FileState(kind=kind, path=path, digest=digest, size=size, mtime_ns=mtime_ns)


def _named(loaded: LoadedSpec) -> Iterator[tuple[FileKind, str]]:
    from infc.spec.files import named_files
    from infc.spec.model_checks import hub_models

    for place in loaded.places:  # its base and shared defaults, there or not
        yield "file", place
    if loaded.spec is None:
        return
    for named in named_files(loaded.spec, loaded.path.parent):
        kind: FileKind = "folder" if named.is_folder else "model" if named.path == "model.onnx" else "file"
        yield kind, named.value
        if not loaded.file(named.value).exists():
            yield "names", os.path.dirname(named.value) or "."  # what is alike in there is proposed
    for _, source in hub_models(loaded.spec):
        yield "hub", f"{source.repo}@{source.revision or ''}"


def _state_of(kind: FileKind, written: str, path: Path, workspace: Workspace) -> FileState:
    match kind:
        case "model":
            store = ProfileStore(root=workspace.root, cache=workspace.cache)
            return FileState(kind=kind, path=written, digest=_model_digest(path, store))
        case "folder":
            return FileState(kind=kind, path=written, digest=_folder_digest(path))
        case "names":
            names = sorted(entry.name for entry in os.scandir(path)) if path.is_dir() else None
            return FileState(kind=kind, path=written, digest=None if names is None else _sha256("\0".join(names)))
        case "hub":
            return FileState(kind=kind, path=written, digest=_hub_digest(written))
        case "file":
            found = _stat(path)
            if found is None:
                return FileState(kind=kind, path=written, digest=None)
            return FileState(
                kind=kind, path=written, digest=_file_digest(path, found), size=found[0], mtime_ns=found[1]
            )


def _model_digest(path: Path, store: ProfileStore) -> str | None:
    """The digest of a model, from the cache of the analysis when it has not changed."""
    known = store.digest_of(path)
    if known is not None or not path.is_file():
        return known
    from infc.resolve.model_file import model_digest, open_model

    try:
        file, _ = open_model(path)
        return "unreadable" if file is None else model_digest(file)
    except OSError:
        return "unreadable"


def _folder_digest(path: Path) -> str | None:
    """Names and sizes of the files of a checkpoint, the content of its small JSON files, the times of the others."""
    if not path.is_dir():
        return None
    parts = []
    for entry in sorted(path.iterdir()):
        found = _stat(entry)
        is_read = found is not None and entry.suffix == ".json" and found[0] <= _LARGEST_HASHED_BYTES
        content = _sha256(entry.read_bytes()) if is_read else str(found[1] if found else 0)
        parts.append(f"{entry.name} {found[0] if found else 0} {content}")
    return _sha256("\0".join(parts))


def _hub_digest(written: str) -> str | None:
    from infc.resolve.hub_cache import cached_config, hub_folder

    repo, _, revision = written.rpartition("@")
    hub = hub_folder(os.environ)
    config = None if hub is None else cached_config(hub, repo, revision or None)
    return None if config is None else _sha256(config.as_posix().encode() + config.read_bytes())


def _file_digest(path: Path, found: tuple[int, int]) -> str:
    if found[0] > _LARGEST_HASHED_BYTES:
        return f"{found[0]} {found[1]}"
    try:
        return _sha256(path.read_bytes())
    except OSError:
        return "unreadable"


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)
def _environment_digest() -> str:
    """The code, coefficients and catalogue of this infc, and what its arithmetic runs on: as when first asked."""
    import numpy as np

    digest = hashlib.sha256(f"{infc.__version__} {sys.version} {np.__version__} {os.uname().machine}".encode())
    for root in (Path(infc.__file__).resolve().parent, data_directory("targets")):
        for path in _walk(root):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix in _CODE_SUFFIXES)


def _workspace_digest(workspace: Workspace, overlay: Path | None) -> str:
    """What all specs of a workspace read: stored profiles, its own catalogue, its policy, the head of its lock."""
    digest = hashlib.sha256()
    if workspace.profiles.is_dir():
        for entry in sorted(os.scandir(workspace.profiles), key=lambda each: each.name):
            digest.update(f"{entry.name} {entry.stat().st_size}\0".encode())  # names are digests of the content
    folder = overlay or workspace.targets
    if folder.is_dir():
        for path in _walk(folder):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    for name in (_POLICY,):
        path = workspace.root / name
        digest.update(path.read_bytes() if path.is_file() else b"-")
    return digest.hexdigest() + ("lock" if workspace.lock.is_file() else "")


def _locked_blocks(lock: Path) -> Mapping[str, str]:
    """A digest of what a lock says of each spec, by the spec's path in it.

    The lock is split by its text: reading a thousand entries takes longer than planning one spec.
    """
    try:
        text = lock.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    head, *blocks = text.split("\n[[")
    found: dict[str, str] = {}
    for block in blocks:
        line = next((line for line in block.splitlines() if line.startswith("spec = ")), "")
        try:
            spec = str(json.loads(line.removeprefix("spec = ")))
        except ValueError:
            spec = ""
        found[spec] = _sha256(found.get(spec, head) + block)
    rest = found.get("", "")
    return {spec: digest + rest for spec, digest in found.items()}


def _sha256(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
