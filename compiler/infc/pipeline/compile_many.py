"""Compiling many specs: each in a thread, a few at work here at a time, engines built wherever the builders are.

The results are those of the specs one by one, in their order. A run that is killed leaves finished engines in the
cache; the next one builds only the others.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from infc.diag import Diagnostic, DiagnosticError, ToolError
from infc.ir.spec import OnnxModel
from infc.pipeline.compile import CompiledSpec, CompileOptions, compile_spec, refused_spec
from infc.pipeline.desks import AwayBuilder, Desks
from infc.pipeline.locking import duplicate_names
from infc.spec import LoadedSpec, load_spec

FAILURE = 1
_GRACE_S = 20.0
"""How long the threads together may take to end after Ctrl-C; they look after every step and every batch."""


@dataclass(frozen=True, kw_only=True)
class SpecOutcome:
    """What came of one spec: its result, or what stopped it (`error`, with a `help`)."""

    path: Path
    result: CompiledSpec | None
    diagnostics: tuple[Diagnostic, ...]
    error: str | None = None
    help: str | None = None
    exit_code: int


class Watcher(Protocol):
    """Is told how far each spec is, by its position in the list; several threads call it."""

    def announce(self, index: int, line: str) -> None:
        """A spec took a step."""

    def progress(self, index: int, what: str, done: int, total: int) -> None:
        """How much of a step is done."""

    def finished(self, index: int, exit_code: int) -> None:
        """A spec is done."""


def compile_many(
    paths: Sequence[Path], options: CompileOptions, *, jobs: int, watcher: Watcher
) -> Iterator[SpecOutcome]:
    """Compile specs in parallel; outcomes come in the order of `paths`, each once those before it are there.

    `jobs` specs work on this machine at once; as many more as the builder has slots may be waiting for an engine.
    Leaving the iteration early (Ctrl-C) closes the builder and ends the threads. A spec that fails does not stop the
    others; a bug of infc stops all.
    """
    run = _Run(paths, options, jobs=jobs, watcher=watcher)
    threads = [
        threading.Thread(target=run.work, daemon=True, name=f"infc-compile-{number}")
        for number in range(min(len(paths), jobs + options.builder.slots))
    ]
    try:
        for thread in threads:
            thread.start()
        yield from run.outcomes()
    except BaseException:
        run.stop()
        options.builder.close()
        raise
    finally:
        end_s = time.monotonic() + _GRACE_S
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0.0, end_s - time.monotonic()))


class _Run:
    def __init__(self, paths: Sequence[Path], options: CompileOptions, *, jobs: int, watcher: Watcher) -> None:
        self._options = options
        self._watcher = watcher
        self._desks = Desks(jobs)
        self._waiting: SimpleQueue[tuple[int, LoadedSpec]] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, SpecOutcome | BaseException]] = SimpleQueue()
        loaded = [load_spec(path) for path in paths]
        self._count = len(loaded)
        self._clashes = _clashes(loaded)
        for index, each in enumerate(loaded):
            self._waiting.put((index, each))

    def outcomes(self) -> Iterator[SpecOutcome]:
        """In order. Raises what a thread raised, unless the spec alone failed."""
        found: dict[int, SpecOutcome] = {}
        following = 0
        while following < self._count:
            index, outcome = self._done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            found[index] = outcome
            while following in found:
                yield found.pop(following)
                following += 1

    def work(self) -> None:
        """Take one spec after the other until none waits."""
        while True:
            try:
                index, loaded = self._waiting.get_nowait()
            except Empty:
                return
            try:
                outcome = self._outcome(index, loaded)
            except BaseException as stopped:
                self._done.put((index, stopped))
                return
            self._watcher.finished(index, outcome.exit_code)
            self._done.put((index, outcome))

    def stop(self) -> None:
        """Have every thread end at its next step."""
        self._desks.close()

    def _outcome(self, index: int, loaded: LoadedSpec) -> SpecOutcome:
        clash = self._clashes.get(index)
        if clash is not None:
            return _outcome_of(loaded.path, refused_spec(loaded, clash))
        model = _model_file(loaded)
        self._desks.sit(model)
        builder = AwayBuilder(self._options.builder, self._desks, model)
        options = replace(
            self._options,
            builder=builder,
            announce=lambda line: self._told(lambda: self._watcher.announce(index, line)),
            progress=lambda what, done, total: self._told(lambda: self._watcher.progress(index, what, done, total)),
        )
        try:
            return _outcome_of(loaded.path, compile_spec(loaded.path, options))
        except DiagnosticError as error:
            return SpecOutcome(path=loaded.path, result=None, diagnostics=error.diagnostics, exit_code=error.exit_code)
        except ToolError as error:
            return SpecOutcome(
                path=loaded.path, result=None, diagnostics=(), error=str(error), help=error.help, exit_code=FAILURE
            )
        except OSError as error:
            message = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
            return SpecOutcome(path=loaded.path, result=None, diagnostics=(), error=message, exit_code=FAILURE)
        finally:
            builder.leave()

    def _told(self, tell: Callable[[], None]) -> None:
        """Pass something on to the watcher, unless the run was stopped: then the thread ends here."""
        if self._desks.is_closed:
            raise KeyboardInterrupt
        tell()


def _model_file(loaded: LoadedSpec) -> Path | None:
    model = loaded.spec.model if loaded.spec is not None else None
    return loaded.file(model.onnx).resolve() if isinstance(model, OnnxModel) else None


def _outcome_of(path: Path, result: CompiledSpec) -> SpecOutcome:
    return SpecOutcome(path=path, result=result, diagnostics=result.diagnostics, exit_code=result.exit_code)


def _clashes(all_loaded: Sequence[LoadedSpec]) -> dict[int, Diagnostic]:
    """The specs, by position, whose name an earlier one has: they would write the same folder and lock entry."""
    first: dict[str, LoadedSpec] = {}
    clashes: dict[int, Diagnostic] = {}
    for index, loaded in enumerate(all_loaded):
        known = first.setdefault(loaded.name, loaded)
        for problem in duplicate_names([known, loaded]):
            clashes[index] = problem
    return clashes
