"""A lock by the text of its blocks: reading a thousand entries takes longer than planning one spec.

What is said of a block without parsing it is read off the lines that infc itself writes. A text of any other shape has
no blocks: it is parsed as a whole.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from infc.lock.document import lock_from_text
from infc.lock.text import text_from_lock
from infc.lock.values import VERSION, Lock, LockEntry

_SEPARATOR = "\n[[artifact]]\n"
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class LockBlock:
    """One entry as text, without the line that starts it."""

    name: str
    target: str
    spec: str
    text: str

    @property
    def address(self) -> tuple[str, str]:
        """What an entry is found and sorted by."""
        return (self.name, self.target)

    def value(self, table: str, key: str) -> str | None:
        """The text of a value of one of the entry's tables; None where it has none."""
        _, _, rest = self.text.partition(f"\n[artifact.{table}]\n")
        return _line(rest.partition("\n[")[0], key)


def lock_blocks(text: str) -> tuple[LockBlock, ...] | None:
    """The blocks of a lock; None where the text is not as infc writes it, or holds conflict markers."""
    head, *parts = text.replace("\r\n", "\n").split(_SEPARATOR)
    if f"version = {VERSION}" not in head.splitlines() or _CONFLICT.search(text):
        return None
    found = []
    for part in parts:
        lines = part.partition("\n[")[0]
        name, target, spec = (_text(_line(lines, key)) for key in ("name", "target", "spec"))
        if name is None or target is None or spec is None:
            return None
        found.append(LockBlock(name=name, target=target, spec=spec, text=part.rstrip("\n")))
    return tuple(found) if len({block.address for block in found}) == len(found) else None


def blocks_of(lock: Lock) -> tuple[LockBlock, ...]:
    """The blocks that a lock is written as."""
    return lock_blocks(text_from_lock(lock)) or ()


def text_from_blocks(blocks: Iterable[LockBlock]) -> str:
    """A lock of these blocks."""
    return "".join([f"version = {VERSION}\n", *(f"{_SEPARATOR}{block.text}\n" for block in blocks)])


def entries_from(blocks: Iterable[LockBlock]) -> tuple[LockEntry, ...] | None:
    """The entries of the blocks; None where one of them is no entry."""
    lock, _ = lock_from_text(text_from_blocks(blocks), "infc.lock")
    return None if lock is None else lock.entries


def _line(lines: str, key: str) -> str | None:
    start = f"{key} = "
    return next((line.removeprefix(start) for line in lines.splitlines() if line.startswith(start)), None)


def _text(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, str) else None
