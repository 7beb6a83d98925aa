"""Progress of long builds, in percent, as lines of words on standard output."""

from __future__ import annotations

import time
from typing import Any

REPORT_EVERY_S = 1.0


def say(line: str) -> None:
    """One line of progress."""
    print(line, flush=True)


def progress_monitor(trt: Any) -> Any:
    """A monitor that prints how far the build is, in percent of its outermost phase, for builds that take long."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.progress = Progress()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            line = self.progress.step(phase_name, step)
            if line is not None:
                say(line)
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.progress.finish(phase_name)

    return Monitor()


class Progress:
    """How far a build is: phases nest, and each is one step of the phase around it."""

    def __init__(self) -> None:
        self.phases: list[list[Any]] = []
        self.shown, self.shown_at = 0, time.monotonic()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase began inside `parent` (None: it is the outermost)."""
        while self.phases and self.phases[-1][0] != parent:
            self.phases.pop()
        self.phases.append([name, max(steps, 1), 0])

    def step(self, name: str, step: int) -> str | None:
        """Step number `step` (from 0) of a phase is done; a line to show, None when it is too soon for one."""
        for phase in self.phases:
            if phase[0] == name:
                phase[2] = min(step + 1, phase[1])
        share, percent = 1.0, 0.0
        for _, steps, done in self.phases:
            percent += share * 100.0 * done / steps
            share /= steps
        if int(percent) <= self.shown or time.monotonic() - self.shown_at < REPORT_EVERY_S:
            return None
        self.shown, self.shown_at = int(min(percent, 100.0)), time.monotonic()
        return f"{self.shown}% built ({name})"

    def finish(self, name: str) -> None:
        """A phase ended, and with it those inside."""
        names = [phase[0] for phase in self.phases]
        if name in names:
            del self.phases[names.index(name) :]
