"""Whether something else held a server up: how long its threads were ready to run and had no core."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Share:
    """A share of time, known when the measurement is over."""

    value = 0.0


def processes_of(group: int) -> tuple[int, ...]:
    """The processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            found.append(int(entry.name))
    return tuple(found)


@contextmanager
def wait_share(processes: Sequence[int]) -> Iterator[Share]:
    """The largest share of the time that the main thread of one of the processes waited for a core.

    Source: /proc/PID/schedstat, second column: nanoseconds on a run queue.
    """
    share = Share()
    before, start_s = _waits_s(processes), time.perf_counter()
    yield share
    elapsed_s = time.perf_counter() - start_s
    after = _waits_s(processes)
    share.value = max((after[each] - before[each] for each in before if each in after), default=0.0) / elapsed_s


def _waits_s(processes: Sequence[int]) -> dict[int, float]:
    waits = {}
    for process in processes:
        try:
            waits[process] = int(Path(f"/proc/{process}/schedstat").read_text(encoding="utf-8").split()[1]) * 1e-9
        except (OSError, IndexError):
            continue
    return waits
