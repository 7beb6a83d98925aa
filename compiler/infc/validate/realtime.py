"""Real-time priority, without which other processes of a shared machine make the tail: whether it can be had."""

import subprocess
import sys

SERVER_PRIORITY = 40
GENERATOR_PRIORITY = 45
"""SCHED_FIFO priorities: the generator above the server, so that requests leave on time whatever the server does."""

_PROBE = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"


def can_be_realtime() -> bool:
    """Whether this process may start others under SCHED_FIFO (Linux, root or CAP_SYS_NICE)."""
    if sys.platform != "linux":
        return False
    probe = subprocess.run([sys.executable, "-I", "-S", "-c", _PROBE], capture_output=True, check=False)
    return probe.returncode == 0
