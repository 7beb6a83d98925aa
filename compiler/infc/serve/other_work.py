"""Whether something else held a server up: what share of the cores went to other programs and other machines.

How long the server itself waits for a core does not tell: vLLM's processes wait for each other's core, and the less,
the slower the machine happens to be.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NOISY_SHARE = 0.15
"""From this share of the cores on, measured times say more of the machine than of the server."""
_STAT = Path("/proc/stat")
_IDLE_FIELDS = (3, 4)
"""Idle and waiting for a disk. Source: proc(5), the fields of a line `cpu` of /proc/stat."""
_COUNTED_FIELDS = 8
"""Up to `steal`, what the host gave to other machines; those after it are counted in the first two already."""


class OthersShare:
    """A share of the cores' time, known when the measurement is over."""

    value = 0.0


def processes_under(root: int) -> tuple[int, ...]:
    """A process and all that it started, directly or not; empty where there is no such process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            fields = _fields(int(entry.name))
            if fields:
                parents[int(entry.name)] = int(fields[1])
    if root not in parents:
        return ()
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return tuple(found)


@contextmanager
def others_share(processes: Sequence[int]) -> Iterator[OthersShare]:
    """The share of this machine's cores that neither a server's `processes` nor this program had, in the block.

    Programs that this one started and that ended within the block count as its own. The share stays 0 without
    processes, which are then those of another machine, and on a system that does not count.

    Source: proc(5), `cpu` of /proc/stat, and utime, stime, cutime and cstime of /proc/PID/stat, in clock ticks.
    """
    share = OthersShare()
    before, own_before, start_s = _busy_ticks(), _own_ticks(processes), time.perf_counter()
    yield share
    elapsed_s = time.perf_counter() - start_s
    after, own_after = _busy_ticks(), _own_ticks(processes)
    if not processes or before is None or after is None:
        return
    others = (after - before) - (own_after - own_before)
    total = elapsed_s * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
    share.value = min(max(others / total, 0.0), 1.0)


def _busy_ticks() -> int | None:
    """What all cores did since the machine started, None where the system does not say."""
    try:
        line = _STAT.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    return sum(int(ticks) for index, ticks in enumerate(line[:_COUNTED_FIELDS]) if index not in _IDLE_FIELDS)


def _own_ticks(processes: Sequence[int]) -> int:
    """What the processes used, and this one with the children that it has waited for."""
    used = 0
    for process in processes:
        fields = _fields(process)
        used += sum(map(int, fields[11:13])) if fields else 0
    return used + sum(map(int, _fields(os.getpid())[11:15]))


def _fields(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on, none where the process is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
