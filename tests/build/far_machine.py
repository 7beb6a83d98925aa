"""A machine behind ssh, on loopback: Debian's sshd on a free port, logging in to a root of its own.

The far side sees only a small Debian root with Python and TensorRT-RTX (`INFC_CLEAN_ROOT`, see docs/builders.md) or,
without one, this system with another home, an empty environment and a Python that finds TensorRT-RTX and nothing else.
"""

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import pytest

_PATHS = ("/usr/sbin/sshd", "/usr/local/sbin/sshd")


@dataclass
class FarMachine:
    """The machine: `config` is an ssh configuration that reaches it as `far`, `home` its user's home seen from here."""

    folder: Path
    home: Path
    port: int
    python: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def config(self) -> Path:
        """The ssh configuration of the near side."""
        return self.folder / "config"

    @property
    def address(self) -> str:
        """What a user gives to --builder."""
        return f"ssh://far?config={self.config}&python={self.python}"

    @property
    def jobs(self) -> Path:
        """Where the far side keeps jobs and results."""
        return self.home / ".cache" / "infc" / "jobs"

    def start(self) -> None:
        """Start sshd and wait until it answers."""
        command = [_sshd(), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        end_s = time.monotonic() + 20
        while time.monotonic() < end_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        pytest.skip("sshd does not start here: " + (self.folder / "sshd.log").read_text()[-300:])

    def cut(self) -> None:
        """Lose every connection at once: the listener and its sessions end, what runs in the background goes on."""
        assert self.process is not None
        sessions = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        self.process.kill()
        self.process.wait()
        for pid in sessions.stdout.split():
            subprocess.run(["kill", "-9", pid], capture_output=True, check=False)

    def processes(self, words: str) -> list[str]:
        """Command lines of processes of this machine's jobs that hold these words."""
        keys = [path.name for path in self.jobs.iterdir()] if self.jobs.exists() else []
        shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
        return [line for line in shown if words in line and any(key in line for key in keys)]

    def change_host_key(self) -> None:
        """Show another host key from the next start on."""
        key = self.folder / "host_key"
        key.unlink()
        _keygen(key)


@contextmanager
def far_machine(folder: Path, root: Path | None, programs: Path | None = None) -> Iterator[FarMachine]:
    """A machine that runs for the block; skips the test where sshd or a clean root cannot be had.

    `programs` is a folder of programs that come first on its PATH; there is then no TensorRT-RTX for its Python.
    """
    if _sshd() == "":
        pytest.skip("needs sshd (Debian: openssh-server, or its files on PATH)")
    folder.mkdir(parents=True)
    home = root / "home" / "builder" if root else folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host_key", "user_key"):
        _keygen(folder / name)
    (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    site = "" if root or programs else _site(folder / "site")
    path = "/usr/bin:/bin" if programs is None else f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"
    entered = f"chroot {shlex.quote(str(root))} " if root else ""
    seen = "/home/builder" if root else str(home)
    enter = folder / "enter"
    enter.write_text(
        "#!/bin/sh\n"
        f"exec {entered}/usr/bin/env -i HOME={shlex.quote(seen)} PATH={shlex.quote(path)} {site} "
        '/bin/sh -c "cd; $SSH_ORIGINAL_COMMAND"\n'
    )
    enter.chmod(0o755)
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nForceCommand {enter}\n"
    )
    (folder / "config").write_text(
        f"Host far\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/user_key\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n"
    )
    python = "python3" if root else str(Path(sys.executable).resolve())
    machine = FarMachine(folder=folder, home=home, port=port, python=python)
    machine.start()
    try:
        yield machine
    finally:
        machine.cut()


def clean_root() -> Path | None:
    """The small Debian root to log in to, if one was made and this user may enter it."""
    path = os.environ.get("INFC_CLEAN_ROOT")
    return Path(path) if path and os.getuid() == 0 else None


def _site(folder: Path) -> str:
    """A setting of PYTHONPATH with the packages of TensorRT-RTX and no others."""
    folder.mkdir()
    found = util.find_spec("tensorrt_rtx")
    assert found is not None
    assert found.origin is not None
    for path in Path(found.origin).parents[1].glob("tensorrt_rtx*"):
        (folder / path.name).symlink_to(path)
    return f"PYTHONPATH={shlex.quote(str(folder))}"


def _sshd() -> str:
    found = os.environ.get("INFC_SSHD") or shutil.which("sshd") or next((p for p in _PATHS if Path(p).exists()), "")
    return str(found)


def _keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, input=b"y\n")
