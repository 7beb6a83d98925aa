"""The emitted objects of a locked deployment, from its bundle."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from infc.diag import ToolError
from infc.lock import LockEntry
from infc.lock.drift.manifests import ExpectedObject
from infc.lock.drift.objects import Key, ObjectValue, key_of
from infc.pipeline.drift.bundle import MANIFESTS, LockedBundle

_KUSTOMIZATION = "kustomization.yaml"
_MOST_BYTES = 16 << 20


def expected_objects(bundle: LockedBundle) -> dict[str, ExpectedObject]:
    """Objects by the path of their file, of every file under `kubernetes/` that is as locked."""
    found = {}
    for path in object_files(bundle.entry):
        content = bundle.read(path)
        for manifest in () if content is None else objects_in(content, path):
            key = key_of(manifest)
            if key is not None:
                found[path] = ExpectedObject(key=key, manifest=manifest, file=path)
    return found


def object_files(entry: LockEntry) -> tuple[str, ...]:
    """The locked files of a deployment that hold an object."""
    files = (path for path in entry.files if path.startswith(MANIFESTS) and path.endswith(".yaml"))
    return tuple(path for path in files if not path.endswith(_KUSTOMIZATION))


def objects_below(folder: Path) -> dict[Key, Mapping[str, ObjectValue]]:
    """Every object in the YAML files below a folder; hidden files and folders are left out.

    Raises:
        ToolError: a file is no YAML, or cannot be read.
    """
    found: dict[Key, Mapping[str, ObjectValue]] = {}
    for file in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        path = file.relative_to(folder)
        if file.name == _KUSTOMIZATION or any(part.startswith(".") for part in path.parts) or not file.is_file():
            continue
        for manifest in objects_in(_read(file), file.as_posix()):
            key = key_of(manifest)
            if key is not None:
                found[key] = manifest
    return found


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ToolError(f"{file} is larger than {_MOST_BYTES >> 20} MiB", help="name the folder of the manifests")
        return file.read_bytes()
    except OSError as error:
        raise ToolError(f"cannot read {file}: {error.strerror or error}") from error


def objects_in(content: bytes, name: str) -> Iterator[Mapping[str, ObjectValue]]:
    """The documents of a YAML file that are mappings; those of a List are taken out of it.

    Raises:
        ToolError: it is no YAML.
    """
    try:
        documents: list[Any] = list(yaml.load_all(content, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ToolError(f"{name} is no YAML: {first}") from error
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
            yield from (item for item in document["items"] if isinstance(item, dict))
        elif isinstance(document, dict):
            yield document
