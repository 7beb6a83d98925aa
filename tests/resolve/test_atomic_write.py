"""Small files in one step: never half, and never in place of what is no file."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infc.resolve.atomic_write import write_bytes_atomically, write_text_atomically


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """The new text is there, readable for all, with nothing left beside it; the same text again touches nothing."""
    path = tmp_path / "made" / "a.txt"
    write_text_atomically(path, "one")
    write_text_atomically(path, "two")
    before = path.stat()
    write_text_atomically(path, "two")
    assert (path.read_text(), path.stat().st_ino, path.stat().st_mode & 0o777) == ("two", before.st_ino, 0o644)
    assert list(path.parent.iterdir()) == [path]


def test_a_pipe_and_a_device_are_written_to_and_stay(tmp_path: Path) -> None:
    """A pipe gets the text; of a device that is full the error is told, and endless ones are not read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_text_atomically(pipe, "text")
    reader.join()
    assert (read, pipe.is_fifo()) == ([b"text"], True)
    write_bytes_atomically(Path("/dev/null"), b"gone")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        write_bytes_atomically(Path("/dev/full"), b"too much")


def test_closed_streams_take_no_file_s_place() -> None:
    """A command whose stdin, stdout and stderr were closed still ends as it should."""
    code = "import os; [os.close(n) for n in (0, 1, 2)]; from infc.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "targets", "path"], check=False)
    assert done.returncode == 0
