"""Whether something else held a server up: how long its threads were ready to run and had no core."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NOISY_SHARE = 0.15
"""From this share of the time on, measured times say more of the machine than of the server."""


class WaitShare:
    """A share of time, known when the measurement is over."""

    value = 0.0


def processes_under(root: int) -> tuple[int, ...]:
    """A process and all that it started, directly or not; empty where there is no such process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    if root not in parents:
        return ()
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return tuple(found)


@contextmanager
def wait_share(processes: Sequence[int]) -> Iterator[WaitShare]:
    """The largest share of the time that the main thread of one of the processes waited for a core.

    It stays 0 for processes of another machine or of a system that does not count it.

    Source: /proc/PID/schedstat, second column: nanoseconds on a run queue.
    """
    share = WaitShare()
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
