"""Killed at any point, or out of disk: the device has the old release or the new one in service, and whole."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infc.emit.jetson.device.trust import SUMS_NAME, digest_of, signed_files
from tests.emit.jetson.device.bundles import NAME, Maker
from tests.emit.jetson.device.conftest import Agent

OLD: dict[str, Any] = {"current": "7", "previous": None, "kept": ["7"], "left": []}
NEW: dict[str, Any] = {"current": "8", "previous": "7", "kept": ["7", "8"], "left": []}
MODE = {"targets.0.power_mode": "25W"}


@pytest.fixture(scope="module")
def release_8(makes_bundles: Maker) -> Path:
    """An update with another model and another power mode."""
    return makes_bundles.archive("8", seed=2, changes=MODE)


def _changes(agent: Agent, scratch: Path, *words: str | Path) -> int:
    """How many changes a run makes to the device's files."""
    done = agent.run(*words, faults=("count", scratch / "count"))
    assert done.returncode == 0, done.stderr
    return int((scratch / "count").read_text())


def _is_sound(agent: Agent) -> str:
    """The version in service; everything about it must be as an install or an undone one leaves it."""
    state = agent.state()
    assert state in (OLD, NEW), state
    assert agent.device.power_mode() == ("15W" if state == OLD else "25W")
    current = agent.folder / "current"
    signed = signed_files((current / SUMS_NAME).read_bytes())
    assert all(digest_of(current / path) == digest for path, digest in signed.items())
    assert (current / "engine" / "model.plan").is_file()
    assert (current / "acceptance.json").is_file()
    status = agent("status")["deployments"][0]
    assert status["engine_key_now"] == status["acceptance"]["engine"]["key"]
    program = agent.device.root / "opt" / "infc" / "edge.py"
    assert program.resolve().is_relative_to(current.resolve())
    return str(state["current"])


def _killed(agent: Agent, when: int | str, *words: str | Path) -> None:
    done = agent.run(*words, faults=("kill", str(when)))
    assert done.returncode == -9, done.stderr


STEPS = ["unpack", "verify", "match", "stage", "build", "check", "power", "switch", "restart", "accept", "keep"]


def _undone(agent: Agent, step: str, release: Path) -> None:
    _killed(agent, f"{step}:2", "install", release)
    assert _step(agent) == step
    assert "cut off at" in agent("recover")["message"]
    assert _is_sound(agent) == ("8" if step == "keep" else "7")


@pytest.mark.slow
def test_killed_in_the_middle_of_the_switch(agent: Agent, release_8: Path) -> None:
    """What was cut off is seen; the next command that changes anything undoes it first."""
    _undone(agent, "switch", release_8)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step(step: str, agent: Agent, release_8: Path) -> None:
    """What was not accepted is undone, what was is finished; installed again it is in service either way."""
    _undone(agent, step, release_8)
    agent("install", release_8)
    assert _is_sound(agent) == "8"


def _step(agent: Agent) -> str | None:
    journal = agent("status")["deployments"][0]["journal"]
    return None if journal is None else str(journal["step"])


@pytest.mark.slow
def test_told_to_end_it_undoes_first(agent: Agent, release_8: Path) -> None:
    """SIGTERM and Ctrl-C end a run with code 1 once the device is as before; a lost connection (SIGHUP) does not."""
    agent.device.set(build_s=20.0)
    command = [agent.python, str(agent.program), "install", str(release_8), "--root", str(agent.device.root)]
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            command, env=agent.device.environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as run:
            assert run.stderr is not None
            assert any("trtexec: " in line for line in run.stderr)
            run.send_signal(signal.SIGHUP)
            run.send_signal(number)
            words = run.stderr.read()
        assert (run.returncode, "error[1]: ended by a signal" in words) == (1, True)
        assert agent.state() == OLD
        assert _is_sound(agent) == "7"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_all_through_an_install(device_with_7: Agent, release_8: Path, tmp_path: Path) -> None:
    """Recovered, it is the old or the new release; the journal, where there is one, is always readable."""
    total = _changes(device_with_7.copy(tmp_path / "count-root"), tmp_path, "install", release_8)
    for number in range(3, total + 1, 7):
        agent = device_with_7.copy(tmp_path / f"killed-{number}")
        _killed(agent, number, "install", release_8)
        agent("recover")
        assert _is_sound(agent) in "78"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_while_it_undoes(device_with_7: Agent, release_8: Path, tmp_path: Path) -> None:
    """Undoing can be cut off as well, and is taken up again."""
    first = device_with_7.copy(tmp_path / "first")
    _killed(first, "accept:1", "install", release_8)
    undoing = _changes(first.copy(tmp_path / "count-root"), tmp_path, "recover")
    for again in range(1, undoing + 1):
        agent = first.copy(tmp_path / f"undone-{again}")
        _killed(agent, again, "recover")
        agent("recover")
        assert _is_sound(agent) == "7"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_while_it_goes_back(agent: Agent, release_8: Path, tmp_path: Path) -> None:
    """A rollback that was asked for is finished."""
    agent("install", release_8)
    total = _changes(agent.copy(tmp_path / "count-root"), tmp_path, "rollback", NAME)
    for number in range(1, total + 1, 2):
        copy = agent.copy(tmp_path / f"killed-{number}")
        _killed(copy, number, "rollback", NAME)
        is_begun = _step(copy) is not None
        copy("recover")
        state = copy.state()
        assert (state["current"], state["previous"]) in ((("7", "8"),) if is_begun else (("7", "8"), ("8", "7")))
        assert copy.device.power_mode() == ("15W" if state["current"] == "7" else "25W")
        assert state["left"] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_while_it_removes(device_with_7: Agent, tmp_path: Path) -> None:
    """A removal that was begun is finished: no half of a deployment stays."""
    total = _changes(device_with_7.copy(tmp_path / "count-root"), tmp_path, "remove", NAME)
    for number in range(1, total + 1):
        agent = device_with_7.copy(tmp_path / f"killed-{number}")
        _killed(agent, number, "remove", NAME)
        expected = None if (agent.folder / "journal.json").exists() else agent.state()["current"]
        agent("recover")
        assert (agent.state()["current"], agent.state()["left"]) == (expected, [])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_disk_that_fills_up_at_any_point(device_with_7: Agent, release_8: Path, tmp_path: Path) -> None:
    """Code 30 and the old release, or, when it fills up after the acceptance, the new one; nothing lies about."""
    total = _changes(device_with_7.copy(tmp_path / "count-root"), tmp_path, "install", release_8)
    codes = set()
    for number in range(1, total + 1, 11):
        agent = device_with_7.copy(tmp_path / f"full-{number}")
        done = agent.run("install", release_8, faults=("full", number))
        assert "Traceback" not in done.stderr
        codes.add(done.returncode)
        agent("recover")
        assert _is_sound(agent) == ("8" if done.returncode == 0 else "7"), done.stderr
        assert not any(path.name.startswith(".building") for path in (agent.folder.parent / "engines").iterdir())
    assert codes == {0, 30}


@pytest.mark.slow
@pytest.mark.parametrize("when", [f"accept:{number}" for number in range(1, 9)] + ["keep:1", "keep:2", "keep:4"])
def test_disk_that_fills_up_around_the_acceptance(when: str, agent: Agent, release_8: Path) -> None:
    """Code 0 says that the new release stays, also after the next command; any other, that the old one does."""
    done = agent.run("install", release_8, faults=("full", when))
    assert done.returncode in (0, 30), done.stderr
    agent("recover")
    assert _is_sound(agent) == ("8" if done.returncode == 0 else "7"), done.stderr


def test_full_disk_before_the_build_is_code_30(agent: Agent, release_8: Path) -> None:
    """The log cannot be written either: the words come all the same."""
    found = agent.finished(agent.run("install", release_8, faults=("full", 1)), 30)
    assert "No space left on device" in found["message"]
    assert _is_sound(agent) == "7"
