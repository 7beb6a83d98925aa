"""Who may work on this machine at once, while others wait for engines that are built elsewhere."""

import threading
from collections.abc import Mapping
from pathlib import Path

from infc.build.builder import Builder, BuildTarget, Report
from infc.diag import Diagnostic
from infc.ir.job import Attestation, BuildJob


class Desks:
    """A bounded number of places for work that fills a core and memory: planning, lowering, measuring accuracy.

    A spec sits down with its model, and gets up while its engine is built. Who comes back goes on at once, so that no
    one who holds something waits for a desk; newcomers wait until there are fewer than `count` again. Two specs with
    one model do not sit at the same time: the second finds what the first has lowered and measured.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._models: set[Path] = set()
        self._changed = threading.Condition()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether everyone is to go home."""
        return self._is_closed

    def sit(self, model: Path | None) -> None:
        """Wait for a desk, and until no one works on the model. Raises KeyboardInterrupt when closed meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or (self._free > 0 and model not in self._models))
            if self._is_closed:
                raise KeyboardInterrupt
            self._free -= 1
            if model is not None:
                self._models.add(model)

    def get_up(self, model: Path | None) -> None:
        """Leave the desk to the next."""
        with self._changed:
            self._free += 1
            if model is not None:
                self._models.discard(model)
            self._changed.notify_all()

    def come_back(self) -> None:
        """Go on working, desk or no desk."""
        with self._changed:
            self._free -= 1

    def close(self) -> None:
        """Let no one sit down any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class AwayBuilder:
    """A builder whose builds leave the desk to others meanwhile. Everything else is that of the builder inside."""

    def __init__(self, builder: Builder, desks: Desks, model: Path | None) -> None:
        self._builder = builder
        self._desks = desks
        self._model: Path | None = model

    @property
    def name(self) -> str:
        """Its name."""
        return self._builder.name

    @property
    def slots(self) -> int:
        """Its slots."""
        return self._builder.slots

    def refusal(self, target: BuildTarget) -> Diagnostic | None:
        """Its refusal."""
        return self._builder.refusal(target)

    def toolchain(self, target: BuildTarget) -> Mapping[str, str]:
        """Its toolchain."""
        return self._builder.toolchain(target)

    def build(self, job: BuildJob, folder: Path, out: Path, report: Report) -> Attestation | Diagnostic:
        """Its build, away from the desk."""
        model, self._model = self._model, None  # given up with the first build, and not asked for again
        self._desks.get_up(model)
        try:
            return self._builder.build(job, folder, out, report)
        finally:
            self._desks.come_back()

    def leave(self) -> None:
        """The spec is done, however it ended."""
        self._desks.get_up(self._model)

    def close(self) -> None:
        """The builder inside is closed by who opened it."""
