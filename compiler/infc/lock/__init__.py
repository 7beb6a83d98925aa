"""infc.lock: what was decided and built, from which inputs; reviewed and merged by git."""

from infc.lock.check import CurrentArtifact, EntryStatus, check, holds
from infc.lock.diff import EntryDiff, diff_entries, diff_locks
from infc.lock.entry import (
    entry_from,
    locked_checkpoint,
    locked_choice,
    locked_engine,
    locked_prediction,
    repeatable_files,
)
from infc.lock.file import merge, read_lock, update_lock, write_lock
from infc.lock.inputs import engine_inputs, input_digests
from infc.lock.values import InputDigests, Lock, LockEntry

__all__ = [
    "CurrentArtifact",
    "EntryDiff",
    "EntryStatus",
    "InputDigests",
    "Lock",
    "LockEntry",
    "check",
    "diff_entries",
    "diff_locks",
    "engine_inputs",
    "entry_from",
    "holds",
    "input_digests",
    "locked_checkpoint",
    "locked_choice",
    "locked_engine",
    "locked_prediction",
    "merge",
    "read_lock",
    "repeatable_files",
    "update_lock",
    "write_lock",
]
