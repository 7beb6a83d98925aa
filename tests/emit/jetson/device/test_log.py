"""The log of a device: one object a line, bounded in size, and never the reason that a run fails."""

import json
import subprocess
import sys
from pathlib import Path

from infc.emit.jetson.device.log import LOG_BYTES, Teller, events_of


def _teller(folder: Path) -> Teller:
    teller = Teller("0123456789ab", folder)
    teller.name = "dock-camera"
    return teller


def test_events_are_lines_of_json(tmp_path: Path) -> None:
    """Time, run, step, outcome, words; seconds and other facts where there are some."""
    teller = _teller(tmp_path)
    teller.begin("build")
    teller.say("50% built")
    teller.end("done", key="abc")
    lines = (tmp_path / "dock-camera.jsonl").read_text().splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["begun", "note", "done"]
    assert {"time", "run", "step", "outcome", "words", "seconds", "key"} == set(json.loads(lines[2]))
    assert [event["words"] for event in events_of(tmp_path, "dock-camera")] == ["", "50% built", "done"]


def test_large_logs_are_set_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    """Three files at most; events are read from the oldest on."""
    teller = _teller(tmp_path)
    for number in range(4):
        teller.say(f"{number} " + "x" * LOG_BYTES)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dock-camera.jsonl",
        "dock-camera.jsonl.1",
        "dock-camera.jsonl.2",
    ]
    assert [event["words"][0] for event in events_of(tmp_path, "dock-camera")] == ["1", "2", "3"]


def test_line_that_a_full_disk_cut_is_left_out(tmp_path: Path) -> None:
    """The rest of the log can be read."""
    teller = _teller(tmp_path)
    teller.say("first")
    with (tmp_path / "dock-camera.jsonl").open("a") as file:
        file.write('{"time": "2026-')
        file.write("\n")
    teller.say("second")
    assert [event["words"] for event in events_of(tmp_path, "dock-camera")] == ["first", "second"]


def test_log_that_cannot_be_written_is_told_once_a_line_and_stops_nothing(tmp_path: Path) -> None:
    """Here a file is where the folder should be."""
    (tmp_path / "log").write_text("")
    teller = _teller(tmp_path / "log")
    teller.begin("unpack")
    teller.end()
    assert [step["step"] for step in teller.steps] == ["unpack"]


def test_a_reader_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """An operator's connection is lost: what is said from then on is logged, and no flush of it fails later."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from infc.emit.jetson.device.log import Teller\n"
        "reader, writer = os.pipe()\n"
        "os.dup2(writer, 2)\n"
        "os.close(writer), os.close(reader)\n"
        "teller = Teller('0123456789ab', Path(sys.argv[1]))\n"
        "teller.name = 'dock-camera'\n"
        "teller.say('first')\n"
        "sys.stderr.flush()\n"
        "teller.say('second')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    assert ended.returncode == 0
    assert [event["words"] for event in events_of(tmp_path, "dock-camera")] == ["first", "second"]
