"""Bundles on disk: the whole folder changes at once, whatever happens."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infc.diag import InternalError, ToolError
from infc.emit.manifest import MANIFEST_NAME, REPORT_NAME, read_manifest, verify_bundle
from infc.emit.write import write_bundle, write_report
from infc.ir.bundle import Bundle


def bundle(content: bytes, *, files: int = 3, size: int = 10) -> Bundle:
    """A bundle whose files all say the same."""
    paths = {f"model_repository/m/{i}/data.bin": content * size for i in range(files)}
    return Bundle(name="m", target="l4", files={"launch.sh": b"#!/bin/sh\n", "config.pbtxt": content, **paths})


def left_overs(folder: Path) -> list[str]:
    """Hidden entries beside the output folder."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_bundle_holds_its_files_and_a_manifest_with_their_digests(tmp_path: Path) -> None:
    """What is written is what the bundle says, scripts are executable, and nothing else appears."""
    source = tmp_path / "engine"
    source.write_bytes(b"engine" * 1000)
    made = Bundle(name="m", target="l4", files={"1/model.plan": source, "launch.sh": b"#!/bin/sh\n"})
    assert write_bundle(made, tmp_path / "dist" / "m") == ()
    out = tmp_path / "dist" / "m"
    assert (out / "1/model.plan").read_bytes() == source.read_bytes()
    assert (out / "1/model.plan").stat().st_mode & 0o777 == 0o644
    assert (out / "launch.sh").stat().st_mode & 0o777 == 0o755
    manifest = json.loads((out / MANIFEST_NAME).read_text())
    assert list(manifest["files"]) == ["1/model.plan", "launch.sh"]
    assert verify_bundle(out) == ()
    assert left_overs(out.parent) == []


def test_new_bundle_replaces_the_old_one_entirely(tmp_path: Path) -> None:
    """Files that the new bundle does not have are gone."""
    write_bundle(bundle(b"a", files=5), tmp_path / "m")
    write_bundle(bundle(b"b", files=2), tmp_path / "m")
    manifest = read_manifest(tmp_path / "m")
    assert manifest is not None
    assert manifest.files.keys() == bundle(b"b", files=2).files.keys()
    assert verify_bundle(tmp_path / "m") == ()


def test_unchanged_bundle_is_left_alone_and_a_touched_one_is_restored(tmp_path: Path) -> None:
    """Writing the same again keeps the folder; a changed, added or re-moded file makes it written again."""
    out = tmp_path / "m"
    write_bundle(bundle(b"a"), out)
    inode = out.stat().st_ino
    write_bundle(bundle(b"a"), out)
    assert out.stat().st_ino == inode
    for damage in (
        lambda: (out / "config.pbtxt").write_bytes(b"x"),
        lambda: (out / "more").write_bytes(b"x"),
        lambda: (out / "launch.sh").chmod(0o644),
        lambda: (out / "config.pbtxt").unlink(),
    ):
        damage()
        write_bundle(bundle(b"a"), out)
        assert verify_bundle(out) == ()
        assert (out / "launch.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("kind", ["folder", "file", "symlink"])
def test_what_infc_did_not_write_is_refused_and_kept(tmp_path: Path, kind: str) -> None:
    """A folder without the manifest, a file and a link are never replaced."""
    out = tmp_path / "m"
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    match kind:
        case "folder":
            precious.rename(out)
        case "file":
            out.write_text("years of work")
        case "symlink":
            out.symlink_to(precious)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    problems = write_bundle(bundle(b"a"), out)
    assert [problem.id for problem in problems] == ["output-not-a-bundle"]
    assert problems[0].help
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_the_report_lies_beside_the_bundle_and_is_renewed_by_itself(tmp_path: Path) -> None:
    """It comes with the bundle in one step and is no part of it; a new page leaves every other file alone."""
    out = tmp_path / "m"
    write_bundle(bundle(b"a"), out, b"<p>first</p>")
    assert (out / REPORT_NAME).read_bytes() == b"<p>first</p>"
    assert REPORT_NAME not in (out / MANIFEST_NAME).read_text()
    signature = out / "model.sig"
    signature.write_bytes(b"signed")
    before = {path: path.stat().st_ino for path in out.rglob("*") if path.name != REPORT_NAME}
    write_bundle(bundle(b"a"), out, b"<p>second</p>")
    assert (out / REPORT_NAME).read_bytes() == b"<p>second</p>"
    write_report(out, b"<p>third</p>")
    assert (out / REPORT_NAME).read_bytes() == b"<p>third</p>"
    assert {path: path.stat().st_ino for path in out.rglob("*") if path.name != REPORT_NAME} == before
    assert (out / REPORT_NAME).stat().st_mode & 0o777 == 0o644
    assert verify_bundle(out) == ()
    assert left_overs(tmp_path) == []
    write_bundle(bundle(b"b"), out, b"<p>of another</p>")
    assert (out / REPORT_NAME).read_bytes() == b"<p>of another</p>"
    assert not signature.exists()


def test_a_link_in_the_report_s_place_is_not_followed(tmp_path: Path) -> None:
    """What it leads to is not written to."""
    out, other = tmp_path / "m", tmp_path / "other"
    write_bundle(bundle(b"a"), out)
    other.write_bytes(b"mine")
    (out / REPORT_NAME).symlink_to(other)
    write_report(out, b"<p>page</p>")
    assert other.read_bytes() == b"mine"
    assert not (out / REPORT_NAME).is_symlink()


def test_empty_folder_is_taken(tmp_path: Path) -> None:
    """An empty folder holds nothing that could be lost."""
    (tmp_path / "m").mkdir()
    assert write_bundle(bundle(b"a"), tmp_path / "m") == ()
    assert verify_bundle(tmp_path / "m") == ()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "a\\b", "", ".", "a\0b", MANIFEST_NAME])
def test_path_outside_the_bundle_is_a_bug(tmp_path: Path, path: str) -> None:
    """Paths are checked before anything is written."""
    with pytest.raises(InternalError):
        write_bundle(Bundle(name="m", target="l4", files={path: b""}), tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_changes_on_disk_are_named(tmp_path: Path) -> None:
    """Verification tells missing, changed and added files apart."""
    out = tmp_path / "m"
    write_bundle(bundle(b"a"), out)
    (out / "config.pbtxt").write_bytes(b"edited")
    (out / "launch.sh").unlink()
    (out / "extra").symlink_to(out)
    messages = [problem.message for problem in verify_bundle(out)]
    assert [message.split(" since")[0] for message in messages] == [
        "launch.sh is missing",
        "extra was added",
        "config.pbtxt was changed",
    ]


def test_failure_while_writing_keeps_the_old_bundle(tmp_path: Path) -> None:
    """When the disk is full (here: a file size limit), the old bundle stays and no left-over does."""
    out = tmp_path / "m"
    write_bundle(bundle(b"a"), out)
    script = """
import resource, signal, sys
from pathlib import Path
from infc.diag import ToolError
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_bundle(Bundle(name="m", target="l4", files={"a": b"x", "b": b"y" * 100_000}), Path(sys.argv[1]))
except ToolError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script, str(out)], capture_output=True, text=True, check=True)
    assert "cannot write" in done.stdout
    assert "unchanged" in done.stdout
    assert verify_bundle(out) == ()
    assert (out / "config.pbtxt").read_bytes() == b"a"
    assert left_overs(tmp_path) == []


def test_missing_engine_file_is_a_tool_error(tmp_path: Path) -> None:
    """An engine that vanished from the cache is named, and nothing is written."""
    missing = Bundle(name="m", target="l4", files={"1/model.plan": tmp_path / "gone.plan"})
    with pytest.raises(ToolError, match=r"gone\.plan"):
        write_bundle(missing, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


KILLED_WRITER = """
import sys
from pathlib import Path
from infc.emit import write
from infc.ir.bundle import Bundle
if sys.argv[2] == "portable":
    write.exchange = lambda first, second: False
round = 0
print("ready", flush=True)
while True:
    round += 1
    content = b"%08d" % round
    files = {f"model_repository/m/{i}/data.bin": content * 2000 for i in range(8)}
    write.write_bundle(Bundle(name="m", target="l4", files={"config.pbtxt": content, **files}), Path(sys.argv[1]))
"""


@pytest.mark.parametrize("way", ["exchange", "portable"])
def test_kill_at_any_moment_leaves_a_whole_bundle(tmp_path: Path, way: str) -> None:
    """SIGKILL at random moments: the folder is one whole bundle, and the next run removes what the killed one left."""
    out = tmp_path / "m"
    chance = random.Random(7)
    for _ in range(12 if way == "exchange" else 8):
        writer = subprocess.Popen([sys.executable, "-c", KILLED_WRITER, str(out), way], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.12))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        if out.exists():
            assert verify_bundle(out) == ()
            contents = {path.read_bytes()[:8] for path in out.rglob("*.bin")} | {(out / "config.pbtxt").read_bytes()}
            assert len(contents) == 1
        elif any(path.name.startswith(".infc-old-") for path in tmp_path.iterdir()):
            assert way == "portable"
    assert write_bundle(bundle(b"last"), out) == ()
    assert left_overs(tmp_path) == []
    assert verify_bundle(out) == ()


def test_bundle_moved_away_by_a_killed_run_is_put_back(tmp_path: Path) -> None:
    """A run that died without an output folder is repaired even when the next one is refused by the file system."""
    out = tmp_path / "m"
    write_bundle(bundle(b"old"), out)
    out.rename(tmp_path / ".infc-old-m-0123456789abcdef")
    (tmp_path / ".infc-old-m-x-0123456789abcdef").mkdir()
    with pytest.raises(ToolError):
        write_bundle(Bundle(name="m", target="l4", files={"a": tmp_path / "gone"}), out)
    assert verify_bundle(out) == ()
    assert left_overs(tmp_path) == [".infc-old-m-x-0123456789abcdef"]


def test_two_writers_at_once_leave_one_whole_bundle(tmp_path: Path) -> None:
    """Neither run sees the other's hidden folder as a left-over, and no file is mixed in."""
    out = tmp_path / "m"
    script = KILLED_WRITER.replace("while True:", "while round < 25:").replace(
        'b"%08d" % round', "sys.argv[3].encode() * 8"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(out), "exchange", letter], stdout=subprocess.DEVNULL)
        for letter in "ab"
    ]
    assert [writer.wait(timeout=240) for writer in writers] == [0, 0]
    assert verify_bundle(out) == ()
    assert left_overs(tmp_path) == []


def test_bytes_and_modes_do_not_depend_on_the_environment(tmp_path: Path) -> None:
    """Hash seed, time zone, umask and working directory leave no trace."""
    script = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle
files = {name: name.encode() for name in {"b", "a", "launch.sh", "c/d/e", "c/d/f"}}
assert write_bundle(Bundle(name="m", target="l4", files=files), Path(sys.argv[1])) == ()
"""
    seen = []
    for seed, zone, umask in (("0", "UTC", "022"), ("1", "Asia/Tokyo", "077"), ("2", "America/Lima", "000")):
        out = tmp_path / f"run{seed}" / "m"
        out.parent.mkdir()
        subprocess.run(
            [sys.executable, "-c", script, str(out), umask],
            cwd=out.parent,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            check=True,
        )
        paths = sorted(out.rglob("*"))
        seen.append(
            [
                (p.relative_to(out).as_posix(), p.stat().st_mode, b"" if p.is_dir() else p.read_bytes())
                for p in [out, *paths]
            ]
        )
    assert seen[0] == seen[1] == seen[2]
