"""Plans of many specs: what was planned before comes from the cache, the rest from a process on each core.

The result does not depend on any of it.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from infc.diag import InternalError, ToolError
from infc.lock import Lock
from infc.pipeline.plan_cache import PlanCache
from infc.pipeline.plan_inputs import PlanInputs, PlanOptions, state_from_json
from infc.pipeline.plan_record import PlanRecord, SpecPlanner, record_from_json
from infc.pipeline.spec_base import SpecBase, base_text
from infc.spec import load_spec

FEWEST_PER_PROCESS = 4
"""Fewer specs than this for each process are planned in this one: a process takes half a second to start."""
COLLECTED_AFTER = 1_000_000
"""Objects between two looks for garbage: what a simulation keeps is none, and looking takes a twentieth of its time."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A spec to plan: `key` is that of its inputs, None when it could not be read; `base` what it is compared with."""

    index: int
    path: Path
    key: str | None
    base: SpecBase


def plan_many(
    paths: Sequence[Path],
    options: PlanOptions,
    *,
    has_cache: bool,
    processes: int,
    progress: Callable[[int], None],
    bases: Mapping[Path, SpecBase] | None = None,
    locks: Mapping[Path, Lock] | None = None,
) -> list[PlanRecord]:
    """The plan of each spec, in order.

    Args:
        paths: spec files, as the user wrote them.
        options: what changes what a plan says.
        has_cache: False plans everything again, and keeps nothing.
        processes: most processes that plan at a time.
        progress: called with the number of specs that are done, whenever it grows.
        bases: what each spec is compared with; None: nothing.
        locks: locks that were read already, by the root of their workspace, with the entries of these specs.

    Raises:
        ToolError: a model must be analysed and the extra `onnx` is not installed.
    """
    inputs = PlanInputs(options)
    cache = PlanCache(inputs)
    records: dict[int, PlanRecord] = {}
    jobs: list[_Job] = []
    for index, path in enumerate(paths):
        base = SpecBase() if bases is None else bases[path]
        key = _key(inputs, path, base) if has_cache else None
        found = None if key is None else cache.find(path, key)
        if found is not None:
            records[index] = found
        else:
            jobs.append(_Job(index=index, path=path, key=key, base=base))
    progress(len(records))
    count = min(processes, len(jobs) // FEWEST_PER_PROCESS)
    for job, record, files in (
        _in_processes(jobs, options, count) if count > 1 else _here(jobs, options, inputs, locks or {})
    ):
        records[job.index] = record
        # A spec that was edited meanwhile is another one.
        is_lasting = job.base.commit is not None or not record.is_of_history
        if job.key is not None and is_lasting and job.key == _key(inputs, job.path, job.base):
            cache.keep(job.path, job.key, tuple(state_from_json(each) for each in files), record)
        progress(len(records))
    cache.prune()
    return [records[index] for index in range(len(paths))]


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _key(inputs: PlanInputs, path: Path, base: SpecBase) -> str | None:
    try:
        return inputs.key(path, path.read_bytes(), base.words())
    except (OSError, ValueError):
        return None


def _here(
    jobs: Sequence[_Job], options: PlanOptions, inputs: PlanInputs, locks: Mapping[Path, Lock]
) -> Iterator[tuple[_Job, PlanRecord, list[list[Any]]]]:
    from infc.pipeline.plan_inputs import state_to_json

    with SpecPlanner(overlay=options.overlay, has_ladder=options.has_ladder, locks=locks) as planner:
        for job in jobs:
            loaded = load_spec(job.path)
            files = [] if job.key is None else [state_to_json(state) for state in inputs.files(loaded)]
            yield job, planner.record(loaded, job.base), files


def _in_processes(
    jobs: Sequence[_Job], options: PlanOptions, count: int
) -> Iterator[tuple[_Job, PlanRecord, list[list[Any]]]]:
    waiting: SimpleQueue[_Job] = SimpleQueue()
    for job in jobs:
        waiting.put(job)
    done: SimpleQueue[tuple[_Job, str] | None] = SimpleQueue()
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_Worker(options)) for _ in range(count)]
        threads = [threading.Thread(target=worker.work, args=(waiting, done), daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        for _ in jobs:
            answered = done.get()
            if answered is None:
                raise InternalError("a process that plans specs ended early; what it said stands above")
            job, line = answered
            answer = json.loads(line)
            if "error" in answer:
                raise ToolError(answer["error"], help=answer["help"])
            yield job, record_from_json(answer["record"]), answer["files"]


class _Worker:
    """A process that plans, ended with the block that it is used in."""

    def __init__(self, options: PlanOptions) -> None:
        overlay = None if options.overlay is None else str(options.overlay)
        self._head = json.dumps([overlay, options.has_ladder])
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "_Worker":
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infc.pipeline.plan_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=environment,
            process_group=0,  # Ctrl-C is for the process that started it, which ends it
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None  # noqa: S101 - it was entered
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def work(self, waiting: "SimpleQueue[_Job]", done: "SimpleQueue[tuple[_Job, str] | None]") -> None:
        """Take one job after the other until none waits; None in `done` says that the process ended."""
        assert self._process is not None  # noqa: S101 - it was entered
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None and answers is not None  # noqa: S101, PT018 - both are pipes
        try:
            questions.write(self._head + "\n")
            while True:
                job = waiting.get_nowait()
                questions.write(json.dumps([str(job.path), base_text(job.base)]) + "\n")
                questions.flush()
                line = answers.readline()
                if not line.endswith("\n"):
                    done.put(None)
                    return
                done.put((job, line))
        except Empty:
            return
        except (OSError, ValueError):
            done.put(None)
