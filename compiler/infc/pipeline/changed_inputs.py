"""Which inputs of a deployment differ from those that its entry was decided by, as far down as it is known."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infc.ir.change import ChangedInput, InputKind
from infc.lock.inputs import digest_of
from infc.lock.values import InputDigests, LockEntry
from infc.pipeline.changed_paths import changed_paths
from infc.pipeline.locking import shown_path
from infc.resolve.store import PROFILES_FOLDER
from infc.spec import LoadedSpec
from infc.spec.files import named_files

_SHORT = 12
_FILES: tuple[tuple[str, InputKind, str], ...] = (
    ("model", "model", "model"),
    ("tokenizer", "tokenizer", "model"),
    ("weights", "weights", "model"),
    ("dataset", "dataset", "accuracy.dataset"),
    ("calibration", "calibration", "quantization.calibration"),
    ("trace", "trace", "workload.arrival.trace"),
)
"""Inputs that are files, with where the spec names them."""
_CHOOSE_DEVICES = ("constraints.hardware", "pricing", "deploy.targets")
"""What of a spec decides which devices are considered, and at what price."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of both sides. `old` is the spec as it was, None when that text is not known.

    `catalogue` are files of the workspace's own `targets/` that differ from the base, relative to the workspace.
    """

    loaded: LoadedSpec
    old: LoadedSpec | None
    catalogue: tuple[str, ...] = ()


def changed_inputs(entry: LockEntry, now: InputDigests, known: Known) -> tuple[ChangedInput, ...]:
    """The inputs of an entry that differ from `now`, those of the same device with the spec as it is."""
    before = entry.inputs
    found: list[ChangedInput] = []
    if before.spec != now.spec:
        found += _spec(before, now, known)
    for name, kind, path in _FILES:
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            found.append(_file(kind, path, old, new, known.loaded))
    has_other_devices = any(c.kind == "spec" and c.path.startswith(_CHOOSE_DEVICES) for c in found)
    has_other_devices |= before.spec != now.spec and known.old is None
    found += _devices(entry, now, known, has_other_devices=has_other_devices)
    found += _profiles(before.profiles, now.profiles, known.loaded)
    found += _toolchain(before.toolchain, now.toolchain)
    return tuple(found)


def _spec(before: InputDigests, now: InputDigests, known: Known) -> Iterator[ChangedInput]:
    paths = tuple(changed_paths(known.old, known.loaded)) if known.old is not None else ()
    if paths:
        yield from paths
        return
    span = known.loaded.span("")
    yield ChangedInput(
        kind="spec", path="", old=_brief(before.spec), new=_brief(now.spec), file=span.path, line=1, column=1
    )


def _file(kind: InputKind, path: str, old: str | None, new: str | None, loaded: LoadedSpec) -> ChangedInput:
    """A file that the spec names: it stands where the spec says so."""
    place = next((p for p in loaded.source.entries if p.startswith(path) and _is_leaf(loaded, p)), path)
    span = loaded.span(place)
    files = () if loaded.spec is None else named_files(loaded.spec, loaded.path.parent)
    written = {named.path: named.value for named in files}
    name = next((value for at, value in written.items() if at.startswith(path)), path)
    return ChangedInput(
        kind=kind, path=name, old=_brief(old), new=_brief(new), file=span.path, line=span.line, column=span.column
    )


def _is_leaf(loaded: LoadedSpec, path: str) -> bool:
    return loaded.source.entries[path].is_scalar


def _devices(entry: LockEntry, now: InputDigests, known: Known, *, has_other_devices: bool) -> Iterator[ChangedInput]:
    """Rows of the catalogue and the price book. Where the spec asks for other devices, they differ because of it."""
    before = entry.inputs
    is_asked_for = now.hardware != digest_of([])
    if before.hardware != now.hardware and is_asked_for:
        path = _catalogue_file(known, "hardware", entry.choice.hardware)
        yield ChangedInput(
            kind="hardware",
            path=path or entry.choice.hardware,
            old=_brief(before.hardware),
            new=_brief(now.hardware),
            file=_shown(known.loaded, path),
        )
    if before.price != now.price and is_asked_for and not has_other_devices:
        path = _catalogue_file(known, "prices", (now.price or before.price or "").partition(" ")[0])
        shown = _shown(known.loaded, path)
        yield ChangedInput(kind="prices", path=path or "price book", old=before.price, new=now.price, file=shown)
    if before.catalogue != now.catalogue and not has_other_devices and is_asked_for:
        yield ChangedInput(
            kind="catalogue",
            path=", ".join(known.catalogue) or "other devices and their prices",
            old=_brief(before.catalogue),
            new=_brief(now.catalogue),
            file=_shown(known.loaded, known.catalogue[0]) if len(known.catalogue) == 1 else None,
        )


def _shown(loaded: LoadedSpec, path: str | None) -> str | None:
    """A path of the workspace as it is found from here."""
    return None if path is None else shown_path(loaded.workspace.root / path).as_posix()


def _catalogue_file(known: Known, folder: str, name: str) -> str | None:
    path = f"targets/{folder}/{name}.yaml"
    return path if path in known.catalogue else None


def _profiles(old: Sequence[str], new: Sequence[str], loaded: LoadedSpec) -> Iterator[ChangedInput]:
    """Stored figures that came or went; what they are of is read from those that are here."""
    gone = [name for name in old if name not in new]
    for name in new:
        if name in old:
            continue
        path = f"{PROFILES_FOLDER}/{name}.json"
        words = _profile_words(loaded.workspace.root / path, name)
        replaced = next((each for each in gone if _kind_of(each) == _kind_of(name)), None)
        if replaced is not None:
            gone.remove(replaced)
        yield ChangedInput(kind="profiles", path=path, old=replaced, new=words, file=_shown(loaded, path))
    for name in gone:
        yield ChangedInput(kind="profiles", path=f"{PROFILES_FOLDER}/{name}.json", old=name, new=None)


def _kind_of(name: str) -> str:
    return name.rpartition("-")[0]


def _profile_words(path: Path, name: str) -> str:
    """`service times measured on l4 in fp16`; the name where the file cannot be read."""
    what = {"service-time": "service times", "step-time": "step times", "engine": "engine figures"}.get(_kind_of(name))
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        device = document.get("hardware_id") or document.get("compute_capability")
        return f"{what or _kind_of(name)} of {device} in {document['precision']}"
    except (OSError, ValueError, KeyError, AttributeError):
        return name


def _toolchain(old: str, new: str) -> Iterator[ChangedInput]:
    """`infc 0.1.0, triton 26.09`: each tool by itself."""
    before, after = _versions(old), _versions(new)
    for tool in dict.fromkeys((*after, *before)):
        if before.get(tool) != after.get(tool):
            yield ChangedInput(kind="toolchain", path=tool, old=before.get(tool), new=after.get(tool))


def _versions(text: str) -> dict[str, str]:
    return {tool: version for tool, _, version in (part.rpartition(" ") for part in text.split(", "))}


def _brief(digest: str | None) -> str | None:
    return None if digest is None else digest.removeprefix("sha256:")[:_SHORT]
