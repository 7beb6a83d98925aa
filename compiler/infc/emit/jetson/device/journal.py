"""How far a command has come, on disk: what the next run needs to finish it or to undo it; and one run at a time."""

from __future__ import annotations

import fcntl
import time
from types import TracebackType
from typing import Any

from .codes import BUSY, FAILED, Refusal
from .durable import read_json, remove_file, remove_tree, remove_unfinished, sync_folder, write_json
from .layout import Deployment, Places

JOURNAL_FORMAT = "1.0"
LOCK_WAIT_S = 2.0
"""Parts of a run that was killed end a moment after it, and hold the lock until then."""
STEPS = (
    "unpack",
    "verify",
    "match",
    "stage",
    "build",
    "check",
    "power",
    "switch",
    "restart",
    "accept",
    "keep",
)
"""Steps of an install, in order. From `switch` on the release may be in service, from `keep` on it is accepted."""


def is_at_least(step: str, other: str) -> bool:
    """Whether a step is another or comes after it.

    >>> is_at_least("restart", "switch"), is_at_least("build", "switch")
    (True, False)
    """
    return STEPS.index(step) >= STEPS.index(other)


class Journal:
    """The journal of one deployment: written before each step, gone when nothing is under way."""

    def __init__(self, deployment: Deployment, entry: dict[str, Any]) -> None:
        self.deployment, self.entry = deployment, entry

    @property
    def step(self) -> str:
        """The step that was begun last."""
        return str(self.entry["step"])

    def reach(self, step: str, **facts: Any) -> None:
        """Note that a step begins, and what is needed to undo it; when that cannot be written, it has not begun."""
        entry = {**self.entry, **facts, "step": step}
        write_json(self.deployment.journal, entry)
        self.entry = entry

    def clear(self) -> None:
        """Nothing is under way any more."""
        remove_file(self.deployment.journal)
        sync_folder(self.deployment.folder)
        tidy(self.deployment)


def new_journal(deployment: Deployment, run: str, purpose: str) -> Journal:
    """A journal of a command (`install`, `rollback`, `remove`), not written yet."""
    deployment.releases.mkdir(parents=True, exist_ok=True)
    entry = {"format_version": JOURNAL_FORMAT, "run": run, "purpose": purpose, "name": deployment.name}
    return Journal(deployment, {**entry, "release": None, "step": STEPS[0]})


def read_journal(deployment: Deployment) -> Journal | None:
    """The journal that a run left behind; None when nothing is under way. Raises Refusal when it cannot be read."""
    entry = read_json(deployment.journal)
    if entry is None:
        if deployment.journal.exists():
            raise Refusal(FAILED, f"{deployment.journal} cannot be read", "look at it, then remove it by hand")
        return None
    if entry.get("step") not in STEPS or str(entry.get("format_version", "")).split(".")[0] != "1":
        raise Refusal(FAILED, f"{deployment.journal} was written by another edge.py", f"use {deployment.places.agent}")
    return Journal(deployment, entry)


def tidy(deployment: Deployment) -> None:
    """Remove what no run is about to use: half-written files, staging, folders of a deployment that has nothing."""
    remove_unfinished(deployment.folder)
    remove_tree(deployment.staging)
    for folder in (deployment.releases, deployment.folder):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


class OneRun:
    """Only one run of the program changes a device at a time; the kernel frees the lock however the run ends."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def __enter__(self) -> None:
        """Take the lock. Raises Refusal 50."""
        self.places.home.mkdir(parents=True, exist_ok=True)
        self.file = self.places.lock.open("ab")
        end_s = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end_s:
                    self.file.close()
                    raise Refusal(BUSY, f"another run is under way{_who(self.places)}", "wait for it to end") from None
            time.sleep(0.05)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Free the lock."""
        self.file.close()


def is_under_way(places: Places) -> bool:
    """Whether a run of the program that changes this device goes on now; a journal without one was cut off."""
    try:
        with places.lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _who(places: Places) -> str:
    for deployment in places.deployments():
        entry = read_json(deployment.journal)
        if entry is not None:
            return f": {deployment.name} is at step {entry.get('step')}"
    return ""
