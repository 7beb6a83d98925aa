"""What differs between two locks, in the words of a review."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.lock.values import Cell, ChangeKind, Lock, LockEntry

FileAction: TypeAlias = Literal["added", "changed", "removed"]


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One value, such as `choice.precision` or `predicted.p99_ms`; None where it is absent."""

    path: str
    old: Cell
    new: Cell


@dataclass(frozen=True, kw_only=True)
class InputChange:
    """An input that differs, as digests or text."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """An emitted file that differs."""

    path: str
    action: FileAction


@dataclass(frozen=True, kw_only=True)
class EntryDiff:
    """One deployment in both locks; `old` or `new` is None where it is not in one of them.

    rebuilt: another engine. changed: the same engine with other settings, numbers, files or inputs.
    """

    name: str
    target: str
    kind: ChangeKind
    old: LockEntry | None
    new: LockEntry | None
    inputs: tuple[InputChange, ...]
    fields: tuple[FieldChange, ...]
    files: tuple[FileChange, ...]

    @property
    def label(self) -> str:
        """`name @ target`."""
        return f"{self.name} @ {self.target}"


def diff_locks(old: Lock, new: Lock) -> tuple[EntryDiff, ...]:
    """Every deployment of either lock, sorted by name and target."""
    addresses = sorted({entry.address for entry in (*old.entries, *new.entries)})
    return tuple(diff_entries(old.find(*address), new.find(*address)) for address in addresses)


def diff_entries(old: LockEntry | None, new: LockEntry | None) -> EntryDiff:
    """What differs between two states of one deployment; one of them is not None."""
    known = new or old
    if known is None:
        raise ValueError("nothing to compare")
    fields = tuple(_field_changes(old, new))
    inputs = tuple(_input_changes(old, new)) if old and new else ()
    files = tuple(_file_changes(old.files if old else {}, new.files if new else {}))
    return EntryDiff(
        name=known.name,
        target=known.target,
        kind=_kind(old, new, is_same=not (fields or inputs or files)),
        old=old,
        new=new,
        inputs=inputs,
        fields=fields,
        files=files,
    )


def _kind(old: LockEntry | None, new: LockEntry | None, *, is_same: bool) -> ChangeKind:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    if _engine(old) != _engine(new):
        return "rebuilt"
    return "unchanged" if is_same else "changed"


def _engine(entry: LockEntry) -> tuple[str, str]:
    return entry.engine.kind, entry.engine.key or entry.engine.inputs


def _field_changes(old: LockEntry | None, new: LockEntry | None) -> Iterator[FieldChange]:
    before, after = (dict(cells(entry)) if entry else {} for entry in (old, new))
    for path in dict.fromkeys([*before, *after]):
        if before.get(path) != after.get(path):
            yield FieldChange(path=path, old=before.get(path), new=after.get(path))


def cells(entry: LockEntry) -> Iterator[tuple[str, Cell]]:
    """Every value of an entry that is compared one by one, by its path, such as `choice.precision`."""
    yield "spec", entry.spec
    yield from _values("choice", entry.choice)
    if entry.choice.speculation is not None:
        yield from _values("choice.speculation", entry.choice.speculation)
    predicted = entry.predicted
    for prefix, values_ms in (("", predicted.latency_ms), ("ttft_", predicted.ttft_ms), ("tpot_", predicted.tpot_ms)):
        yield from ((f"predicted.{prefix}{label}_ms", value) for label, value in values_ms.items())
    yield from _values("predicted", entry.predicted)
    if entry.accuracy is not None:
        yield from _values("accuracy", entry.accuracy)
        if entry.accuracy.raised:
            yield "accuracy.raised", ", ".join(sorted(entry.accuracy.raised))
    yield "engine.kind", entry.engine.kind
    yield "engine.key", entry.engine.key
    yield "engine.pending", entry.engine.is_pending
    yield from ((f"engine.toolchain.{name}", version) for name, version in entry.engine.toolchain.items())
    if entry.release is not None:
        yield "release.version", entry.release.version
        yield "release.content", entry.release.content


def _values(table: str, value: object) -> Iterator[tuple[str, Cell]]:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        cell = getattr(value, field.name)
        is_cell = not isinstance(cell, Mapping) and not dataclasses.is_dataclass(cell)
        if is_cell and cell is not None and cell != ():
            yield f"{table}.{field.name}", getattr(cell, "value", cell)


def _input_changes(old: LockEntry, new: LockEntry) -> Iterator[InputChange]:
    for field in dataclasses.fields(old.inputs):
        before, after = getattr(old.inputs, field.name), getattr(new.inputs, field.name)
        if before != after:
            yield InputChange(name=field.name, old=_text(before), new=_text(after))


def _text(value: str | tuple[str, ...] | None) -> str | None:
    return ", ".join(value) if isinstance(value, tuple) else value


def _file_changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[FileChange]:
    for path in sorted(old.keys() | new.keys()):
        if path not in old:
            yield FileChange(path=path, action="added")
        elif path not in new:
            yield FileChange(path=path, action="removed")
        elif old[path] != new[path]:
            yield FileChange(path=path, action="changed")
