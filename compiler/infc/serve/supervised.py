"""Ending what runs under `supervisor.py`."""

import contextlib
import os
import signal
import subprocess


def end(process: "subprocess.Popen[bytes]", server_pid: int, patience_s: float) -> None:
    """End a supervisor, and with it its server and all of the server's processes.

    The supervisor ends the server when its input closes. One that is stuck or starved is killed after `patience_s`, and
    before it the server's process group: the kernel would end the server's first process alone. `server_pid` 0: the
    server had not been started.
    """
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        if server_pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server_pid, signal.SIGKILL)
        process.kill()
        process.wait()
    finally:
        process.stdout.close()
