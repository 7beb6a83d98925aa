"""A real engine from a real machine behind ssh: Debian's sshd on loopback, logging in to a root of its own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infc.build import build, target_of
from infc.build.builders.address import SshAddress, parse_address
from infc.build.builders.ssh import SshBuilder
from infc.diag import Diagnostic
from infc.ir.precision import Precision
from tests.build.build_requests import request
from tests.build.far_machine import FarMachine, clean_root, far_machine

pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
pytest.importorskip("onnx", reason="lowers with the extra onnx")
pytestmark = pytest.mark.slow


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarMachine]:
    """The machine, with Python and TensorRT-RTX."""
    with far_machine(tmp_path / "far", clean_root()) as machine:
        yield machine


@pytest.fixture
def builder(far: FarMachine) -> Iterator[SshBuilder]:
    """The builder of that machine."""
    opened = open_builder(far)
    yield opened
    opened.close()


def open_builder(far: FarMachine) -> SshBuilder:
    """Another infc that uses the machine."""
    address = parse_address(far.address)
    assert isinstance(address, SshAddress)
    return SshBuilder(address)


def test_an_engine_is_built_there_and_fetched(far: FarMachine, builder: SshBuilder, tmp_path: Path) -> None:
    """The bytes and facts are those of a build here; the second run, of another infc, takes the finished result."""
    asked = request("l4", Precision.FP16)
    lines: list[str] = []
    engine, problems = build(asked, tmp_path / "engines", lines.append, builder)
    assert problems == ()
    assert engine is not None
    here, _ = build(asked, tmp_path / "here")
    assert here is not None
    assert (engine.key, engine.digest, engine.facts) == (here.key, here.digest, here.facts)
    assert any(line.startswith("building") for line in lines)
    assert [path.name for path in far.jobs.iterdir()] == [engine.key]

    second = open_builder(far)
    lines.clear()
    again, problems = build(asked, tmp_path / "elsewhere", lines.append, second)
    second.close()
    assert problems == ()
    assert again is not None
    assert again.digest == engine.digest
    assert not any(line.startswith("building") for line in lines)
    assert any("already" in line for line in lines)


def test_what_the_machine_cannot_build_is_said_before_it_is_tried(builder: SshBuilder) -> None:
    """No TensorRT there, no kind that travels, no such target: each with a way out."""
    for asked, words in (
        (request("l4", Precision.FP16, kind="tensorrt"), "has no TensorRT"),
        (request("cpu", Precision.FP32, kind="onnxruntime"), "builds TensorRT engines"),
        (request("h100-sxm", Precision.FP16), "no target for h100-sxm"),
    ):
        refusal = builder.refusal(target_of(asked))
        assert isinstance(refusal, Diagnostic)
        assert words in refusal.message
    assert builder.refusal(target_of(request("t4", Precision.FP16))) is None


def test_a_refusal_of_the_library_travels(builder: SshBuilder, tmp_path: Path) -> None:
    """What TensorRT-RTX says there is the diagnostic here."""
    engine, (problem,) = build(request("t4", Precision.FP32), tmp_path, builder=builder)
    assert engine is None
    assert problem.id == "build-precision-unsupported"


def test_a_lost_connection_is_made_again(far: FarMachine, builder: SshBuilder, tmp_path: Path) -> None:
    """The build goes on while nobody is connected; infc comes back and takes the result."""
    lines: list[str] = []

    def cut_once(line: str) -> None:
        lines.append(line)
        if line.startswith("building") and not any("lost" in each for each in lines):
            far.cut()
            far.start()

    engine, problems = build(request("l4", Precision.INT8), tmp_path, cut_once, builder)
    assert problems == ()
    assert engine is not None
    assert any("lost; connecting again" in line for line in lines)
    assert sum(line.startswith("building") for line in lines) == 1


def test_what_finished_while_infc_was_away_is_not_built_again(far: FarMachine, tmp_path: Path) -> None:
    """The first infc is killed while it follows a build; the next one joins it or fetches its result."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from infc.build import build\n"
        "from infc.ir.precision import Precision\n"
        "from tests.build.build_requests import request\n"
        "from tests.build.builders.test_ssh import open_builder\n"
        "from infc.build.builders.address import parse_address\n"
        "from infc.build.builders.ssh import SshBuilder\n"
        "def progress(line):\n"
        "    if line.startswith('building'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "build(request('l4', Precision.FP16), Path(sys.argv[2]), progress, SshBuilder(parse_address(sys.argv[1])))\n"
    )
    command = [sys.executable, "-c", script, far.address, str(tmp_path / "killed")]
    killed = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[3], text=True)
    assert killed.returncode == -9, killed.stderr
    builder = open_builder(far)
    lines: list[str] = []
    engine, problems = build(request("l4", Precision.FP16), tmp_path / "engines", lines.append, builder)
    builder.close()
    assert problems == ()
    assert engine is not None
    assert any("already" in line for line in lines)


def test_a_build_is_ended_with_infc(far: FarMachine, tmp_path: Path) -> None:
    """Closing the builder, as Ctrl-C does, ends the remote process and reports an interruption."""
    builder = open_builder(far)
    is_building = threading.Event()
    answers = []

    def work() -> None:
        asked = request("l4", Precision.INT8)
        answers.append(build(asked, tmp_path, lambda line: line.startswith("building") and is_building.set(), builder))

    thread = threading.Thread(target=work)
    thread.start()
    assert is_building.wait(timeout=60)
    builder.close()
    thread.join(timeout=60)
    ((engine, (problem,)),) = answers
    assert engine is None
    assert problem.id == "builder-interrupted"
    end_s = time.monotonic() + 60
    while still := far.processes("far.desk run"):
        assert time.monotonic() < end_s, still
        time.sleep(0.1)
    (folder,) = far.jobs.iterdir()
    assert not (folder / "result").exists()


def test_another_host_key_is_refused(far: FarMachine, tmp_path: Path) -> None:
    """No word goes to a machine that known_hosts does not vouch for, and infc says so."""
    far.cut()
    far.change_host_key()
    far.start()
    builder = open_builder(far)
    engine, (problem,) = build(request("l4", Precision.FP16), tmp_path, builder=builder)
    builder.close()
    assert engine is None
    assert problem.id == "builder-host-key"
    assert not far.jobs.exists()


def test_a_machine_that_is_off_and_a_key_that_is_refused(far: FarMachine, tmp_path: Path) -> None:
    """Both are errors of reaching it, with the words of ssh."""
    (far.folder / "authorized_keys").write_text("")
    denied = open_builder(far)
    refusal = denied.refusal(target_of(request("l4", Precision.FP16)))
    assert refusal is not None
    assert (refusal.id, "Permission denied" in refusal.message) == ("builder-unreachable", True)
    denied.close()
    far.cut()
    off = open_builder(far)
    refusal = off.refusal(target_of(request("l4", Precision.FP16)))
    assert refusal is not None
    assert (refusal.id, "refused" in refusal.message) == ("builder-unreachable", True)
    off.close()


def test_a_full_disk_there_is_said(far: FarMachine, tmp_path: Path) -> None:
    """No room for the job: an error that names the disk, nothing half-written, and the next try works."""
    if os.getuid() != 0:
        pytest.skip("mounts a small file system")
    builder = open_builder(far)
    assert builder.refusal(target_of(request("l4", Precision.FP16))) is None
    far.jobs.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(far.jobs)], check=False)
    if mounted.returncode != 0:
        pytest.skip("may not mount here")
    try:
        engine, (problem,) = build(request("l4", Precision.FP16), tmp_path, builder=builder)
        assert engine is None
        assert problem.id == "builder-full"
        assert list(far.jobs.iterdir()) == []
    finally:
        subprocess.run(["umount", str(far.jobs)], check=True)
    engine, problems = build(request("l4", Precision.FP16), tmp_path, builder=builder)
    assert problems == ()
    builder.close()


def test_a_far_python_without_the_library_or_none_at_all(far: FarMachine) -> None:
    """Which interpreter is asked can be named; one without the library, or none, is said as such."""
    asked = target_of(request("l4", Precision.FP16))
    for python, words in (("/nowhere/python3", "has no Python"), ("/usr/bin/env", "")):
        address = parse_address(f"ssh://far?config={far.config}&python={python}")
        assert isinstance(address, SshAddress)
        builder = SshBuilder(address)
        refusal = builder.refusal(asked)
        builder.close()
        assert refusal is not None
        assert words in refusal.message
