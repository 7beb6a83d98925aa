"""Several builders as one: each job goes to the least loaded that can do it, and to another when one fails."""

import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from infc.build.builder import Builder, BuildTarget, Report
from infc.build.builders.local import interrupted
from infc.diag import Diagnostic, ToolError
from infc.ir.job import Attestation, BuildJob

ATTEMPTS = 3
"""How often one job is tried, on all builders together, before its failure is final."""

_POLL_S = 2.0
_TELL_EVERY_S = 15.0
_LONGEST_BACKOFF_S = 60.0
_UNREACHABLE = "builder-unreachable"
_NONE = "builder-none"
"""The one refusal that waiting may change: a cluster has no such node now."""

_FINAL = frozenset({"build-pending", "builder-interrupted"})
"""Diagnostics that trying again cannot change."""


@dataclass
class _Load:
    """How many builds run on a builder now."""

    running: int = 0


class BuilderPool:
    """The builders of a run. Which of them builds never changes what is built: the engine key says with which versions.

    The versions are those of the first builder, in the user's order, that takes the target; only builders with the same
    ones share the work. `wait_s` is how long to wait for a builder of a type that none has; `announce` hears of it.
    """

    def __init__(
        self,
        builders: Sequence[Builder],
        *,
        wait_s: float = 0.0,
        backoff_s: float = 2.0,
        announce: Report = lambda _line: None,
    ) -> None:
        self._builders = tuple(builders)
        self._loads = [_Load() for _ in builders]
        self._wait_s = wait_s
        self._backoff_s = backoff_s
        self._announce = announce
        self._given_up: set[BuildTarget] = set()
        self._changed = threading.Condition()
        self._is_closed = False

    @property
    def name(self) -> str:
        """The names of all, as the user gave them."""
        return ", ".join(builder.name for builder in self._builders)

    @property
    def slots(self) -> int:
        """How many builds may run at once, on all together."""
        return sum(builder.slots for builder in self._builders)

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """None when a builder can make such an engine now, or within the time to wait; else what each one says.

        A run waits once for each target, and only for a node of a cluster: a machine that is not there, or that lacks
        the library, is told at once.
        """
        end_s = time.monotonic() + (0.0 if target in self._given_up else self._wait_s)
        is_told = False
        while True:
            refusals = [refusal for builder in self._builders if (refusal := _refusal(builder, target)) is not None]
            if len(refusals) < len(self._builders):
                return None
            may_come = any(refusal.id == _NONE for refusal in refusals)
            left_s = end_s - time.monotonic() if may_come else 0.0
            if left_s <= 0 or not self._paused(min(_POLL_S, left_s)):
                self._given_up.add(target)
                return self._no_builder(target, refusals)
            if not is_told:
                said = "; ".join(refusal.message for refusal in refusals)
                self._announce(f"waiting up to {self._wait_s:.0f} s for a builder for {target.hardware_id}: {said}")
                is_told = True

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """The versions of the first builder that takes the target and can be reached. Raises ToolError for none."""
        failure: ToolError | None = None
        for builder in self._builders:
            if _refusal(builder, target) is None:
                try:
                    return builder.toolchain(target)
                except ToolError as error:
                    failure = failure or error
        raise failure or ToolError(f"no builder for {target.hardware_id}", help="name one with --builder")

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """Build on the least loaded builder; a failed one is given up for another, after a pause that doubles."""
        target = BuildTarget(kind=job.kind, hardware_id=job.hardware_id, compute_capability=job.compute_capability)
        abilities = [_is_able(builder, target, job.toolchain) for builder in self._builders]
        able = [index for index, ability in enumerate(abilities) if ability]
        # Who cannot be reached now may be back after a pause, and refuses a job of other versions itself.
        able = able or [index for index, ability in enumerate(abilities) if ability is None]
        if not able:
            return self._none_left(job)
        failures = dict.fromkeys(able, 0)
        tried: list[str] = []
        while True:
            with self._place(failures, report) as index:
                if index is None:
                    return interrupted(job)
                builder = self._builders[index]
                outcome = _built(builder, job, folder, out, report)
            if isinstance(outcome, Attestation) or outcome.id in _FINAL or self._is_closed:
                return outcome
            failures[index] += 1
            tried.append(builder.name)
            if len(tried) == ATTEMPTS:
                return replace(outcome, notes=(*outcome.notes, f"tried {ATTEMPTS} times: on {', '.join(tried)}"))
            pause_s = min(self._backoff_s * 2 ** (len(tried) - 1), _LONGEST_BACKOFF_S)
            report(f"{builder.name} failed ({outcome.message}); trying again in {pause_s:g} s")
            _empty(out)
            self._paused(pause_s)

    def close(self) -> None:
        """End every build; those that wait in other threads come back with a diagnostic."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for builder in self._builders:
            builder.close()

    @contextmanager
    def _place(self, failures: Mapping[int, int], report: Report) -> Iterator[int | None]:
        """A slot of the best builder for the block; None when the pool was closed. Waits until one is free."""
        index = self._taken(failures, report)
        try:
            yield index
        finally:
            if index is not None:
                with self._changed:
                    self._loads[index].running -= 1
                    self._changed.notify_all()

    def _taken(self, failures: Mapping[int, int], report: Report) -> int | None:
        """The free builder with the fewest failures of this job, then the least load, then the user's order."""
        fewest = min(failures.values())
        wanted = [index for index, count in failures.items() if count == fewest]
        started_s = told_s = time.monotonic()
        with self._changed:
            while not self._is_closed:
                free = [index for index in wanted if self._loads[index].running < self._builders[index].slots]
                if free:
                    best = min(free, key=lambda index: self._loads[index].running / self._builders[index].slots)
                    self._loads[best].running += 1
                    return best
                self._changed.wait(_POLL_S)
                now_s = time.monotonic()
                if now_s - told_s >= _TELL_EVERY_S:
                    told_s = now_s
                    names = ", ".join(self._builders[index].name for index in wanted)
                    report(f"waiting for a free slot on {names} ({now_s - started_s:.0f} s)")
        return None

    def _paused(self, seconds: float) -> bool:
        """Wait that long, or until the pool is closed; whether it is still open."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, seconds)
            return not self._is_closed

    def _no_builder(self, target: BuildTarget, refusals: Sequence[Diagnostic]) -> Diagnostic:
        if len(refusals) == 1:
            return refusals[0]
        said = zip(self._builders, refusals, strict=True)
        return Diagnostic(
            id=_NONE,
            message=f"no builder for {target.hardware_id}: none of {self.name} makes {target.kind} engines for it",
            notes=tuple(f"{builder.name}: {refusal.message}" for builder, refusal in said),
            help=next((refusal.help for refusal in refusals if refusal.help), None),
        )

    def _none_left(self, job: BuildJob) -> Diagnostic:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(job.toolchain.items()))
        return Diagnostic(
            id=_NONE,
            message=f"no builder for {job.hardware_id} with {versions} is left of {self.name}",
            notes=("the versions are part of the engine key: a builder with others makes another engine",),
            help="give the builders the same versions, or wait until the one that has them is back",
        )


def _refusal(builder: Builder, target: BuildTarget) -> Diagnostic | None:
    try:
        return builder.refusal(target)
    except ToolError as error:
        return unreachable(error)


def _is_able(builder: Builder, target: BuildTarget, toolchain: Mapping[str, str]) -> bool | None:
    """Whether a builder makes the target with these versions; None when it cannot be asked."""
    try:
        refusal = builder.refusal(target)
        if refusal is not None:
            return None if refusal.id == _UNREACHABLE else False
        return builder.toolchain(target) == toolchain
    except ToolError:
        return None


def _built(builder: Builder, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
    try:
        return builder.build(job, folder, out, lambda line: report(f"{builder.name}: {line}"))
    except ToolError as error:
        return unreachable(error)


def unreachable(error: ToolError) -> Diagnostic:
    """The diagnostic for a builder that cannot be used at all."""
    return Diagnostic(id=_UNREACHABLE, message=str(error), help=error.help)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
