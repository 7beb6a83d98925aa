"""A device for tests: a folder that looks like the root of a Jetson, with stand-ins of NVIDIA's programs in it.

The folder is either plain, so that `edge.py --root` and this machine's Python work in it, or the root of an arm64
system that commands are run in by chroot and emulation (`tests.edge.arm64_root`).
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.edge.trtexec_lists import OPTION_LISTS, extract_options

HERE = Path(__file__).parent
BOARDS = HERE / "boards"
"""A folder for each kind of module: its nvpmodel.conf, and what its device tree says."""
TIMEOUT_S = 900.0
BOARD = "orin-nx-16gb"
"""The module that a device is, if nothing else is said."""
HURRY = 20.0
"""How much shorter the stand-in of trtexec times an engine than it is told."""
TENSORRT_VERSIONS = ("10.3.0", "10.7.0", "10.13.3", "10.16.2", "11.1.0", "11.4.1")
"""Versions that the stand-in of trtexec can be."""


_ASK = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=30)"


@dataclass(frozen=True)
class Answer:
    """How a command on the device ended."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """All that it printed."""
        return self.out + self.err

    def json(self) -> Any:
        """What it printed on standard output, read as JSON."""
        return json.loads(self.out)


@dataclass
class Device:
    """A device's root, and how a command is run in it.

    `network` and `prefix` go in front of a command (`nsenter`; `chroot`); without them commands run on this machine,
    with the root's programs first on their PATH. `seen_as` is the folder that commands take for the root.
    """

    root: Path
    network: Sequence[str] = ()
    prefix: Sequence[str] = ()
    seen_as: Path = field(default_factory=lambda: Path("/"))

    def path(self, path: Path | str) -> str:
        """A path below the root, as commands on the device see it."""
        inside = Path(path)
        inside = inside.relative_to(self.root) if self.root in inside.parents else Path(str(path).lstrip("/"))
        return str(self.seen_as / inside)

    def command(self, words: Sequence[str]) -> list[str]:
        """The command that runs these words on the device."""
        return [*self.network, *self.prefix, *words]

    def environment(self) -> dict[str, str]:
        """PATH with the root's stand-ins first, and nothing that would let Python find a package."""
        folder = self.seen_as / "usr" / "local" / "bin"
        return {"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}

    def run(self, *words: str, timeout_s: float = TIMEOUT_S) -> Answer:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=timeout_s,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            self.command(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(),
            start_new_session=True,
            preexec_fn=_takes_interrupts,
        )

    def answers(self, url: str) -> bool:
        """Whether a URL of the device answers with 200, asked by a program of this machine in its network."""
        done = subprocess.run([*self.network, sys.executable, "-c", _ASK, url], capture_output=True, check=False)
        return done.returncode == 0

    def set(self, **settings: Any) -> None:
        """Change what the stand-ins do; None takes a setting away."""
        path = self.root / "var" / "lib" / "standins" / "settings.json"
        now = json.loads(path.read_text())
        now.update(settings)
        staged = path.with_suffix(".new")
        staged.write_text(json.dumps({name: value for name, value in now.items() if value is not None}))
        staged.replace(path)

    def set_tensorrt(self, version: str) -> None:
        """Install another TensorRT: its programs say so, and its libraries have its major version in their names."""
        self.set(tensorrt=version)
        folder = self.root / "usr" / "lib" / "aarch64-linux-gnu"
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("libnvinfer*"):
            path.unlink()
        for name in ("libnvinfer", "libnvinfer_plugin"):
            (folder / f"{name}.so.{version.partition('.')[0]}").write_text(version)

    def calls(self, program: str) -> list[list[str]]:
        """Arguments of every start of a stand-in so far."""
        path = self.root / "var" / "lib" / "standins" / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [call["arguments"] for call in found if call["program"] == program]

    def file(self, path: str) -> Path:
        """A file of the device, as this machine sees it."""
        return self.root / path.lstrip("/")

    def power_mode(self) -> str:
        """Name of the mode that the device is in."""
        return self.run(self.path("/usr/local/bin/nvpmodel"), "-q").out.split("NV Power Mode: ")[1].split()[0]

    def restart(self) -> None:
        """Switch the device off and on: everything ends, the power mode is the one noted, enabled units start."""
        self.stop()
        noted, state = self.root / "var/lib/nvpmodel/status", self.root / "var/lib/standins"
        if noted.exists():
            (state / "power_mode").write_text(str(int(noted.read_text().split("pmode:")[1].split()[0])))
        for unit in sorted((self.root / "etc/systemd/system/multi-user.target.wants").glob("*.service")):
            self.run(self.path("/usr/local/bin/systemctl"), "start", unit.name)

    def stop(self) -> None:
        """End every process that the stand-in of systemctl started here."""
        for path in (self.root / "var" / "lib" / "standins" / "units").glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError, FileNotFoundError):
                os.killpg(int(path.read_text()), signal.SIGKILL)
            path.unlink(missing_ok=True)


def _takes_interrupts() -> None:
    """A shell that starts tests in the background has them ignore Ctrl-C, and so all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def furnish(root: Path, *, python: str, board: str = BOARD, **settings: Any) -> None:
    """Put the stand-ins, the identity of a module and the settings into a root.

    `python` runs the stand-ins; onnxruntime is in it, or below `opt/standins-site` of the root.
    """
    bin_folder, lib_folder = root / "usr" / "local" / "bin", root / "usr" / "local" / "lib" / "standins"
    for folder in (bin_folder, lib_folder, root / "var" / "lib" / "standins", root / "etc" / "systemd" / "system"):
        folder.mkdir(parents=True, exist_ok=True)
    for source in sorted((HERE / "device" / "bin").iterdir()):
        text = source.read_text().replace("#!/usr/bin/env python3", f"#!{python}", 1)
        target = bin_folder / source.name
        target.write_text(text)
        target.chmod(0o755)
    for source in (HERE / "device" / "lib").glob("*.py"):
        shutil.copyfile(source, lib_folder / source.name)
    (lib_folder / "trtexec_options.json").write_text(json.dumps(trtexec_options()))
    (root / "var" / "lib" / "standins" / "settings.json").write_text(json.dumps(settings))
    furnish_identity(root, board)


def furnish_identity(root: Path, board: str) -> None:
    """Write what a module says of itself: L4T, device tree, memory, power modes."""
    facts = yaml.safe_load((BOARDS / f"{board}.yaml").read_text())
    texts: Mapping[str, str] = {
        "etc/nv_tegra_release": facts["nv_tegra_release"] + "\n",
        "etc/nvpmodel.conf": facts["nvpmodel_conf"],
        "proc/meminfo": facts["meminfo"],
        "sys/devices/system/cpu/possible": "0-7\n",
        "sys/devices/system/cpu/present": "0-7\n",
        "proc/device-tree/model": facts["model"] + "\0",
        "proc/device-tree/compatible": "".join(word + "\0" for word in facts["compatible"]),
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "var" / "lib" / "nvpmodel").mkdir(parents=True, exist_ok=True)


@functools.cache
def trtexec_options() -> dict[str, list[str]]:
    """Options of the stand-in of trtexec, by version."""
    lists = {major: extract_options.read_releases(OPTION_LISTS / f"{major}.yaml") for major in ("10", "11")}
    return {version: sorted(extract_options.options_at(lists[version[:2]], version)) for version in TENSORRT_VERSIONS}


def plain_device(root: Path, **settings: Any) -> Device:
    """A device whose root is a plain folder, with this machine's Python and onnxruntime under the stand-ins."""
    furnish(root, python=sys.executable, **settings)
    shell = root / "bin" / "sh"  # the agent takes the architecture of a root from its shell
    shell.parent.mkdir(exist_ok=True)
    shell.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\xb7\x00")
    device = Device(root=root, seen_as=root)
    device.set(hurry=HURRY)
    device.set_tensorrt("10.3.0")
    return device
