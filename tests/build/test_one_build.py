"""One build per key: processes and threads wait for each other, and a kill leaves nothing in the way."""

import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from infc.build import build
from infc.build.cache import read_engine
from infc.build.job_folder import MODEL_NAME
from infc.build.key_lock import key_lock
from infc.ir.precision import Precision
from infc.lower.settings import settings_for
from tests.build.build_requests import request

pytest.importorskip("onnxruntime", reason="builds with the extra onnx")
KEY = "a" * 64
HOLD = (
    "import sys\n"
    "from pathlib import Path\n"
    "from infc.build.key_lock import key_lock\n"
    "with key_lock(Path(sys.argv[1]), sys.argv[2], lambda: print('waits', flush=True)):\n"
    "    print('holds', flush=True)\n"
    "    sys.stdin.read()\n"
)


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock of the key until its input is closed."""
    command = [sys.executable, "-c", HOLD, str(folder), KEY]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


def test_another_process_is_waited_for(tmp_path: Path) -> None:
    """Who comes second says so once, and gets the lock when the first is done; nothing stays behind."""
    waits: list[str] = []
    with holder(tmp_path) as process:

        def let_go() -> None:
            waits.append("waits")
            assert process.stdin is not None
            process.stdin.close()

        with key_lock(tmp_path, KEY, let_go):
            assert process.wait() == 0
        assert waits == ["waits"]
    assert list(tmp_path.iterdir()) == []


def test_a_killed_holder_is_not_waited_for(tmp_path: Path) -> None:
    """The kernel frees the lock however its holder ends; the file that it left is taken over and removed."""
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == [f".lock-{KEY}"]
    with key_lock(tmp_path, KEY, lambda: pytest.fail("nobody holds it")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    """A parallel compile in one process shares the locks with every other process."""
    inside, most = 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with key_lock(tmp_path, KEY, lambda: None):
                with guard:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.002)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_the_same_engine_asked_twice_at_once_is_built_once(tmp_path: Path) -> None:
    """Both callers get it; one of them built it, the other waited or found it."""
    asked = request("cpu", Precision.FP32, kind="onnxruntime", settings=settings_for("cpu"))
    lines: list[str] = []
    engines = []
    threads = [threading.Thread(target=lambda: engines.append(build(asked, tmp_path, lines.append))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [problems for _, problems in engines] == [(), (), ()]
    assert all(engine == engines[0][0] for engine, _ in engines)
    assert sum("checking the model" in line for line in lines) == 1
    assert sum("is in the cache" in line for line in lines) == 2
    (entry,) = tmp_path.iterdir()
    assert sorted(path.name for path in entry.iterdir()) == ["attestation.json", "job.json", MODEL_NAME]


def test_an_entry_whose_papers_were_changed_does_not_count(tmp_path: Path) -> None:
    """The attestation, its job and the engine must fit each other; otherwise it is built again."""
    asked = request("cpu", Precision.FP32, kind="onnxruntime", settings=settings_for("cpu"))
    engine, _ = build(asked, tmp_path)
    assert engine is not None
    assert read_engine(tmp_path, engine.key, asked) == engine
    for name, old, new in (
        ("attestation.json", '"status": "built"', '"status": "refused"'),
        ("attestation.json", engine.digest, "0" * 64),
        ("attestation.json", engine.key, "0" * 64),
        ("attestation.json", f'"machine": "{platform.machine()}"', '"machine": "mips"'),
        ("job.json", '"timeout_s": 3600.0', '"timeout_s": 60.0'),
        ("job.json", '"precision": "fp32"', '"precision": "fp16"'),
    ):
        path = tmp_path / engine.key / name
        whole = path.read_text()
        assert old in whole
        path.write_text(whole.replace(old, new))
        assert read_engine(tmp_path, engine.key, asked) is None, (name, old)
        path.write_text(whole)
    engine.path.rename(tmp_path / "elsewhere")
    engine.path.symlink_to(tmp_path / "elsewhere")
    assert read_engine(tmp_path, engine.key, asked) is None
    lines: list[str] = []
    assert build(asked, tmp_path, lines.append) == (engine, ())
    assert any("checking the model" in line for line in lines)
