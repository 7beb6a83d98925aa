"""Runs the program on the device and lets it meet a fault at its n-th change of the device's files.

    python faults.py count OUT  ROOT edge.py ARGUMENTS...   how many changes the run makes, into the file OUT
    python faults.py kill  N    ROOT edge.py ARGUMENTS...   the process is killed just before change N
    python faults.py kill  STEP:N ...                       the same, counted from when the journal names that step
    python faults.py full  N    ROOT edge.py ARGUMENTS...   from change N on, the disk takes no more

Changes are seen by Python's audit events: files opened to write, renamed, removed, linked; folders made and removed;
programs started. It works under Python 3.8 and later.
"""

import errno
import os
import runpy
import signal
import sys

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.mkdir", "os.chmod", "subprocess.Popen"}
GROWTH = {"open", "os.mkdir", "os.link"}
MODE, WHAT, ROOT = sys.argv[1], sys.argv[2], os.path.abspath(sys.argv[3])
OWN = os.getpid()
STEP, _, NUMBER = WHAT.rpartition(":")
STATE = {"changes": 0, "is_counting": not STEP}


def watch(event, arguments):
    """Count a change; at the n-th, do what was asked."""
    if os.getpid() != OWN or not is_change(event, arguments):
        return
    if not STATE["is_counting"]:
        STATE["is_counting"] = event == "os.rename" and names_step(arguments)
        return
    STATE["changes"] += 1
    if MODE == "kill" and STATE["changes"] == int(NUMBER):
        os.kill(OWN, signal.SIGKILL)
    if MODE == "full" and STATE["changes"] >= int(NUMBER) and event in GROWTH:
        raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))


def is_change(event, arguments):
    """Whether an event is of a file of the device that is written, or of a program that starts."""
    if event == "subprocess.Popen":
        return True
    if event == "open":
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) and is_of_device(arguments[0])
    return event in CHANGES and any(is_of_device(word) for word in arguments[:2])


def names_step(arguments):
    """Whether this is the journal on its way into place, naming the step that is waited for."""
    if not os.fsdecode(arguments[1]).endswith("/journal.json"):
        return False
    with open(arguments[0]) as file:
        return f'"step": "{STEP}"' in file.read()


def is_of_device(path):
    """Whether a path is where releases are kept."""
    return isinstance(path, (str, bytes)) and os.fsdecode(path).startswith(os.path.join(ROOT, "opt", "infc"))


def main():
    """Run the program with the words after its name."""
    program = sys.argv[4]
    sys.argv = sys.argv[4:]
    sys.addaudithook(watch)
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        if MODE == "count":
            with open(WHAT, "w") as file:
                file.write(str(STATE["changes"]))


main()
