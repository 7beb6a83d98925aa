"""Plans that were made before: `.infc/plans/<key>.json` in each workspace, ignored by git, safe to delete.

A record is valid while everything that entered the plan is unchanged. It is written beside its place and renamed, so
that other processes see all of it or nothing; one that cannot be read, or whose checksum is wrong, does not count.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from infc.pipeline.plan_inputs import FileState, PlanInputs, state_from_json, state_to_json
from infc.pipeline.plan_record import PlanRecord, record_from_json, record_to_json

FOLDER = "plans"
MAX_RECORDS = 5_000
MAX_BYTES = 512 * 1024 * 1024


class PlanCache:
    """The records of all workspaces that a command meets."""

    def __init__(self, inputs: PlanInputs) -> None:
        self._inputs = inputs
        self._written: set[Path] = set()

    def find(self, spec: Path, key: str) -> PlanRecord | None:
        """The plan of a spec with this key, None when there is none or a file that the spec names has changed."""
        path = self._path(spec, key)
        try:
            checksum, _, body = path.read_text(encoding="utf-8").partition("\n")
            if hashlib.sha256(body.encode()).hexdigest() != checksum:
                return None
            document = json.loads(body)
            states = [state_from_json(each) for each in document["files"]]
            record = record_from_json(document["record"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return record if all(self._inputs.is_unchanged(state, spec) for state in states) else None

    def keep(self, spec: Path, key: str, states: tuple[FileState, ...], record: PlanRecord) -> None:
        """Remember a plan, if it is one: what has errors is looked at again. Fails silently on a read-only disk."""
        if record.status == "invalid" or record.shared:
            return
        path = self._path(spec, key)
        document = {"files": [state_to_json(state) for state in states], "record": record_to_json(record)}
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_text(hashlib.sha256(body.encode()).hexdigest() + "\n" + body, encoding="utf-8")
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            self._written.add(path.parent)

    def prune(self) -> None:
        """Remove the oldest records of the folders that were written to, beyond the limits."""
        for folder in self._written:
            with contextlib.suppress(OSError):
                _prune(folder)

    def _path(self, spec: Path, key: str) -> Path:
        return self._inputs.workspace(spec).cache / FOLDER / f"{key}.json"


def _prune(folder: Path) -> None:
    entries = [(entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in os.scandir(folder)]
    kept_bytes = 0
    for number, (_, size, path) in enumerate(sorted(entries, reverse=True)):
        kept_bytes += size
        if number >= MAX_RECORDS or kept_bytes > MAX_BYTES:
            with contextlib.suppress(OSError):
                os.unlink(path)
