"""Devices for the tests of the program: plain folders with stand-ins of NVIDIA's programs, one with a release in it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infc.emit.jetson.edge_file import edge_file
from tests.edge.arm64_root import FOLDER_VARIABLE
from tests.edge.root import Device, plain_device
from tests.emit.jetson.device.bundles import NAME, Maker
from tests.emit.jetson.python_3_8 import python_3_8

FAULTS = Path(__file__).parent / "faults.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow tests of the program, minutes of kills, full disks and loads, are run by `make edge`."""
    if FOLDER_VARIABLE in os.environ:
        return
    reason = f"`make edge` runs it; {FOLDER_VARIABLE} is not set"
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason=reason))


@dataclass
class Agent:
    """The program on one device, and what it leaves there."""

    device: Device
    python: str
    program: Path

    @property
    def folder(self) -> Path:
        """Where the deployment is kept."""
        return self.device.root / "opt" / "infc" / NAME

    def __call__(self, *words: str | Path, code: int = 0) -> dict[str, Any]:
        """Run a command, which must end with `code`; returns the object that it prints."""
        return self.finished(self.run(*words), code)

    def run(self, *words: str | Path, faults: tuple[str, int | Path] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever it is; with a fault if one is asked for."""
        root = str(self.device.root)
        through = [str(FAULTS), faults[0], str(faults[1]), root] if faults else []
        return subprocess.run(
            [self.python, *through, str(self.program), *map(str, words), "--root", root, "--format", "json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.device.environment(),
            timeout=120,
            check=False,
        )

    def finished(self, done: subprocess.CompletedProcess[str], code: int) -> dict[str, Any]:
        """What a run printed; it ended with `code`, and without a traceback."""
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["code"] == code
        return found

    def state(self) -> dict[str, Any]:
        """What is in service, kept and left over, as a look at the folders tells it."""
        if not self.folder.is_dir():
            return {"current": None, "previous": None, "kept": [], "left": []}
        links = {name: self.folder / name for name in ("current", "previous")}
        found: dict[str, Any] = {
            name: link.readlink().name.split("-")[0] if link.is_symlink() else None for name, link in links.items()
        }
        releases = self.folder / "releases"
        found["kept"] = sorted(path.name.split("-")[0] for path in releases.iterdir()) if releases.is_dir() else []
        known = {"current", "previous", "releases", "rejected.json"}
        found["left"] = sorted(path.name for path in self.folder.iterdir() if path.name not in known)
        return found

    def copy(self, root: Path) -> "Agent":
        """The same device once more, in another folder."""
        shutil.copytree(self.device.root, root, symlinks=True)
        return Agent(Device(root=root, seen_as=root), self.python, self.program)


@pytest.fixture(scope="session")
def makes_bundles(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Makes bundles that hold the real program, and signs them with the key that the devices trust."""
    return Maker(tmp_path_factory.mktemp("bundles"), program=edge_file())


@pytest.fixture(scope="session")
def empty_device(tmp_path_factory: pytest.TempPathFactory, makes_bundles: Maker) -> Agent:
    """A device that nothing was ever installed on, with Python 3.8 where there is one. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "edge.py").write_bytes(makes_bundles.program)
    device = plain_device(folder / "root")
    keys = device.file("/etc/infc/keys")
    keys.mkdir(parents=True)
    shutil.copy(makes_bundles.public, keys / "release.pem")
    try:
        python = python_3_8()
    except pytest.skip.Exception:
        python = sys.executable
    return Agent(device, python, folder / "edge.py")


@pytest.fixture(scope="session")
def release_7(makes_bundles: Maker) -> Path:
    """The bundle of release 7."""
    return makes_bundles.archive("7")


@pytest.fixture(scope="session")
def device_with_7(tmp_path_factory: pytest.TempPathFactory, empty_device: Agent, release_7: Path) -> Agent:
    """A device with release 7 in service. Not to be changed: copy it."""
    agent = empty_device.copy(tmp_path_factory.mktemp("with-7") / "root")
    agent("install", release_7)
    return agent


@pytest.fixture
def new_agent(tmp_path: Path, empty_device: Agent) -> Iterator[Agent]:
    """A device of its own for one test, empty."""
    agent = empty_device.copy(tmp_path / "device")
    yield agent
    agent.device.stop()


@pytest.fixture
def agent(tmp_path: Path, device_with_7: Agent) -> Iterator[Agent]:
    """A device of its own for one test, with release 7 in service."""
    agent = device_with_7.copy(tmp_path / "device")
    yield agent
    agent.device.stop()
