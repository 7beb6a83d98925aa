"""A device in the field, and whoever brings bundles to it: what the scenarios are told in."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infc.emit.jetson.archive import unpack
from tests.edge.root import Answer, Device

STAGED = "staging"
INCOMING = "/srv/bundles"


@dataclass
class Field:
    """One device and the command that runs Python there, without any package but the standard library.

    `key` is the public key that the device trusts.
    """

    device: Device
    python: Sequence[str]
    name: str
    key: Path
    durations_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        keys = self.device.file("/etc/infc/keys")
        keys.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.key, keys / "release.pem")

    @property
    def root_options(self) -> list[str]:
        """`--root`, where the root is a folder."""
        return [] if str(self.device.seen_as) == "/" else ["--root", str(self.device.root)]

    def agent(self, command: str, *words: str) -> list[str]:
        """The command line of the program that the device has."""
        program = self.device.path("/opt/infc/edge.py")
        return [*self.python, program, command, *words, *self.root_options]

    def bring(self, bundle: Path) -> str:
        """Copy a bundle to the device, as scp would; its path there."""
        target = self.device.file(INCOMING) / bundle.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if bundle.is_dir():
            shutil.copytree(bundle, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(bundle, target)
        return self.device.path(target)

    def first_install(self, bundle: Path, *options: str) -> Answer:
        """Install on a device that has nothing yet: unpack, and run the bundle's own install.sh."""
        folder = bundle
        if not bundle.is_dir():
            into = self.device.file(INCOMING) / bundle.name.removesuffix(".tar.zst")
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir(parents=True)
            folder = unpack(bundle, into)
        inside = folder if self.device.root in folder.parents else Path(self.bring(folder))
        script = (
            self.device.path(inside / "install.sh") if self.device.root in inside.parents else f"{inside}/install.sh"
        )
        return self.device.run("sh", script, *self.root_options, *options)

    def install_words(self, bundle: Path, *options: str) -> list[str]:
        """How a bundle is installed by the program that the device has."""
        return self.agent("install", self.bring(bundle), "--format", "json", *options)

    def install(self, bundle: Path, *options: str) -> Answer:
        """Install a bundle with the program that the device has."""
        started = time.monotonic()
        answer = self.device.run(*self.install_words(bundle, *options))
        self.durations_s.append(time.monotonic() - started)
        return answer

    def status(self) -> dict[str, Any]:
        """What the device says of this deployment; it must answer."""
        answer = self.device.run(*self.agent("status", "--format", "json"))
        assert answer.code == 0, answer.words
        found: dict[str, Any] = answer.json()
        return found

    def deployment(self) -> dict[str, Any]:
        """The one deployment of the device."""
        (found,) = self.status()["deployments"]
        assert found["name"] == self.name
        return dict(found)

    @property
    def folder(self) -> Path:
        """Where the deployment's files are."""
        return self.device.file(f"/opt/infc/{self.name}")

    def serves(self) -> str | None:
        """Version of the release that is in service; None when there is none or it does not answer."""
        link = self.folder / "current"
        if not link.is_symlink():
            return None
        version = os.readlink(link).rpartition("/")[2].split("-")[0]
        service = json.loads((link / "manifest.json").read_text())["service"]
        is_up = self.device.answers(f"{service['url']}/v2/models/{service['model']}/ready")
        return version if is_up else None

    def is_clean(self) -> bool:
        """Whether nothing of an install is left but what is in service or kept."""
        staging = self.folder / STAGED
        leftovers = list(staging.iterdir()) if staging.is_dir() else []
        halves = [path for path in self.folder.rglob(".*") if path.name not in (".", "..")]
        engines = self.device.file("/opt/infc/engines")
        unfinished = (
            [path for path in engines.iterdir() if path.name != ".timing" and not (path / "model.plan").is_file()]
            if engines.is_dir()
            else []
        )
        return not (leftovers or halves or unfinished or (self.folder / "journal.json").exists())

    def events(self) -> list[dict[str, Any]]:
        """The device's log of this deployment."""
        path = self.device.file(f"/opt/infc/log/{self.name}.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def engines(self) -> dict[str, int]:
        """Keys of the engines in the cache, and when each was written."""
        return {
            path.parent.name: path.stat().st_mtime_ns
            for path in self.device.file("/opt/infc/engines").glob("*/model.plan")
        }

    def kill(self, process: "subprocess.Popen[str]", *, is_power_cut: bool) -> None:
        """End an install with signal 9: the program alone, or everything on the device."""
        if is_power_cut:
            for pid in descendants(process.pid):
                _kill(pid)
        _kill(process.pid)
        process.communicate()
        if is_power_cut:
            self.device.restart()


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that these started."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                facts = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(facts[1]), []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
