"""Real-time priority, without which other processes of a shared machine make the tail: whether it can be had."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SERVER_PRIORITY = 40
GENERATOR_PRIORITY = 45
"""SCHED_FIFO priorities: the generator above the server, so that requests leave on time whatever the server does."""

VLLM_NICENESS = -10
"""Priority of vLLM. No real-time class: its processes spin while they wait for each other."""

_PROBE = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"


def can_be_realtime() -> bool:
    """Whether this process may start others under SCHED_FIFO (Linux, root or CAP_SYS_NICE)."""
    if sys.platform != "linux":
        return False
    probe = subprocess.run([sys.executable, "-I", "-S", "-c", _PROBE], capture_output=True, check=False)
    return probe.returncode == 0


@contextmanager
def realtime(priority: int = GENERATOR_PRIORITY) -> Iterator[None]:
    """The calling thread under SCHED_FIFO while the block runs, where that may be had."""
    if not can_be_realtime():
        yield
        return
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
