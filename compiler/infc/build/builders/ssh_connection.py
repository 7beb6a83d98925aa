"""One connection of the system's ssh, shared by all commands: its own settings, its failures in words.

The user's ssh configuration, keys and known_hosts decide; infc only adds that nothing may ask (BatchMode), how long a
connection may hang, and a private socket over which further commands go without logging in again.
"""

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO

from infc.build.builder import Report
from infc.build.builders.address import SshAddress
from infc.build.worker_archive import WORKER_NAME, worker_archive
from infc.diag import Diagnostic, ToolError
from infc.resolve.process import Ended, Processes

NO_PYTHON, OLD_PYTHON, FULL, FAILED = 127, 9, 28, 255
_SETTINGS = {
    "BatchMode": "yes",
    "ConnectTimeout": "15",
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "4",
    "ControlMaster": "auto",
    "ControlPersist": "60",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "LogLevel": "ERROR",
}
_PREFIX, _STALE_S = "infc-ssh-", 86400.0
_FOLDER = '"${XDG_CACHE_HOME:-$HOME/.cache}/infc/tools/%s"'
_UPLOAD = (
    'umask 077; d=%s; f="$d/%s"; test -f "$f" && touch "$d" && exit 0; mkdir -p "$d" && cat > "$f.$$" '
    '&& test "$(wc -c < "$f.$$")" -eq %d && mv "$f.$$" "$f"'
)
_HAS_PYTHON = '%s -c "import sys; sys.exit(%d * (sys.version_info < (3, 8)))"'
_DESK = 'f=%s/%s; PYTHONPATH="$f${PYTHONPATH:+:$PYTHONPATH}" exec %s -m far.desk %s'
_HOST_KEY = ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known")


class SshConnection:
    """Runs commands on the machine of an address. Threads may share it."""

    def __init__(self, address: SshAddress) -> None:
        self._address = address
        self._processes = Processes()
        self._guard = threading.Lock()
        self._folder: Path | None = None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._processes.is_closed

    @cached_property
    def _archive(self) -> bytes:
        return worker_archive()

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self._archive).hexdigest()[:32]

    def prepare(self) -> Ended:
        """Put the packed worker into the user's cache there, once, and see that there is a Python for it.

        Raises ToolError when this machine has no ssh.
        """
        with tempfile.TemporaryFile() as source:
            source.write(self._archive)
            source.seek(0)
            script = _UPLOAD % (_FOLDER % self._digest, WORKER_NAME, len(self._archive))
            ended = self._processes.transfer(self._command(script), source, None)
        if ended.exit_code != 0:
            return ended
        return self._processes.transfer(self._command(_HAS_PYTHON % (self._address.python, OLD_PYTHON)), None, None)

    def script(self, script: str, report: Report) -> Ended:
        """Run a POSIX shell script there; every line of its standard output goes to `report`.

        Raises ToolError when this machine has no ssh.
        """
        return self._processes.run(self._command(script), report)

    def script_stream(self, script: str, source: IO[bytes] | None, target: IO[bytes] | None) -> Ended:
        """Run a POSIX shell script that takes or gives a stream. Raises ToolError when this machine has no ssh."""
        return self._processes.transfer(self._command(script), source, target)

    def desk(self, arguments: Sequence[str], report: Report) -> Ended:
        """Run a command of `far.desk` whose output is lines."""
        return self._processes.run(self._command(self._desk(arguments)), report)

    def desk_stream(self, arguments: Sequence[str], source: IO[bytes] | None, target: IO[bytes] | None) -> Ended:
        """Run a command of `far.desk` that takes or gives a stream."""
        return self._processes.transfer(self._command(self._desk(arguments)), source, target)

    def desk_last(self, arguments: Sequence[str], timeout_s: float) -> None:
        """Run a command of `far.desk` although the connection was closed; what comes of it does not matter any more."""
        command = self._command(self._desk(arguments))
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            return

    def close(self) -> None:
        """End the commands that run. `disconnect` ends the connection itself."""
        self._processes.close()

    def disconnect(self) -> None:
        """End the shared connection and remove its socket."""
        with self._guard:
            folder, self._folder = self._folder, None
        if folder is None:
            return
        command = ["ssh", "-o", f"ControlPath={folder / 'c'}", "-O", "exit", "--", self._host]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
        shutil.rmtree(folder, ignore_errors=True)

    def problem(self, ended: Ended, doing: str) -> Diagnostic | None:
        """What a failed command says of the connection or the machine; None when it is no matter of those."""
        name = self._address.text
        said = [line.strip() for line in ended.last_lines if line.strip()]
        reason = said[-1] if said else "ssh gave no reason"
        text = "\n".join(said)
        if ended.exit_code == FULL or "No space left on device" in text or "Disk quota exceeded" in text:
            return Diagnostic(
                id="builder-full",
                message=f"{name} has no room left",
                notes=(reason,),
                help="free room in ~/.cache/infc there (or set XDG_CACHE_HOME), then run the same command again",
            )
        if ended.exit_code != FAILED:
            return None
        if any(words in text for words in _HOST_KEY):
            host = f"-p {self._address.port} {self._host}" if self._address.port else self._host
            return Diagnostic(
                id="builder-host-key",
                message=f"{name} shows a host key that known_hosts does not hold for it",
                notes=tuple(said[-2:]),
                help=f"compare its fingerprint with the machine's own, then run `ssh {host}` once and accept it",
            )
        if doing:
            return Diagnostic(
                id="builder-lost",
                message=f"the connection to {name} was lost while it {doing}",
                notes=(reason, "a build that was running goes on there; its result is kept under its key"),
                help="run the same command again",
            )
        return Diagnostic(
            id="builder-unreachable",
            message=f"{name} cannot be reached: {reason}",
            help="check that ssh to it works without a password or a question, then run the same command again",
        )

    @property
    def _host(self) -> str:
        return self._address.host.strip("[]")

    def _desk(self, arguments: Sequence[str]) -> str:
        return _DESK % (_FOLDER % self._digest, WORKER_NAME, self._address.python, shlex.join(arguments))

    def _command(self, script: str) -> list[str]:
        """The ssh command line for a shell script, whatever the user's login shell there is.

        Raises ToolError when this machine has no ssh.
        """
        address = self._address
        if shutil.which("ssh") is None:
            raise ToolError(f"{address.text} needs ssh, which is not installed here", help="install OpenSSH's client")
        command = ["ssh", "-T"]
        if address.config is not None:
            command += ["-F", str(address.config)]
        for name, value in {**_SETTINGS, "ControlPath": str(self._socket())}.items():
            command += ["-o", f"{name}={value}"]
        if address.identity is not None:
            command += ["-o", "IdentitiesOnly=yes", "-i", str(address.identity)]
        if address.port is not None:
            command += ["-p", str(address.port)]
        if address.user is not None:
            command += ["-l", address.user]
        return [*command, "--", self._host, f"exec sh -c {shlex.quote(script)}"]

    def _socket(self) -> Path:
        """The shared connection's socket, in a folder that only this user can enter; its path must be short."""
        with self._guard:
            if self._folder is None:
                short = "/tmp" if os.access("/tmp", os.W_OK) else None  # noqa: S108 - the folder itself is private
                self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=short))
                _sweep(self._folder.parent)
            return self._folder / "c"


def _sweep(folder: Path) -> None:
    """Remove the sockets of connections whose infc was killed a day ago."""
    for entry in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            state = entry.lstat()
            if state.st_uid == os.getuid() and time.time() - state.st_mtime > _STALE_S:
                shutil.rmtree(entry, ignore_errors=True)
