"""A lock in the middle of a merge: git's conflict markers, and what each side says."""

import re
from dataclasses import dataclass

from infc.lock.document import lock_from_text
from infc.lock.file import merge
from infc.lock.values import Lock

_MARKER = re.compile(r"^(?P<kind><{7}|\|{7}|={7}|>{7})( .*)?$")


@dataclass(frozen=True, kw_only=True)
class ConflictedLock:
    """Both sides of a merge. Each is a whole lock: what merged cleanly is in both."""

    ours: Lock
    theirs: Lock

    @property
    def both(self) -> Lock:
        """Every entry of either side; of one that both have, ours."""
        return merge(self.theirs, self.ours.entries)


def conflicted_lock(text: str) -> ConflictedLock | None:
    """The two sides of a text with conflict markers; None where it has none, or a side is no lock."""
    sides = _sides(text)
    if sides is None:
        return None
    ours, theirs = (lock_from_text(side, "infc.lock")[0] for side in sides)
    return None if ours is None or theirs is None else ConflictedLock(ours=ours, theirs=theirs)


def _sides(text: str) -> tuple[str, str] | None:
    """The text as each side has it; what stands between `|||||||` and `=======` is of neither."""
    ours: list[str] = []
    theirs: list[str] = []
    readers = {"": (ours, theirs), "<<<<<<<": (ours,), "|||||||": (), "=======": (theirs,)}
    place = ""
    follows = {"": "<<<<<<<", "<<<<<<<": "||||||| =======", "|||||||": "=======", "=======": ">>>>>>>"}
    for line in text.splitlines():
        marker = _MARKER.match(line)
        if marker is None:
            for side in readers[place]:
                side.append(line)
            continue
        kind = marker["kind"]
        if kind not in follows[place].split():
            return None
        place = "" if kind == ">>>>>>>" else kind
    return None if place else ("\n".join(ours) + "\n", "\n".join(theirs) + "\n")
