"""A network of its own with nothing but loopback: what runs in it cannot reach anything, and its ports are free."""

import os
import shutil
import subprocess
import sys
from types import TracebackType

_HOLD = """
import fcntl, socket, struct, sys
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
with socket.socket() as any_socket:
    request = struct.pack("16sh14x", b"lo", 0)
    flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
print("up", flush=True)
sys.stdin.read()
"""


class Loopback:
    """The network, as long as the `with` block lasts; `prefix` goes in front of a command that is to run in it.

    Needs Linux namespaces: as root, or as a user who may have user namespaces. `missing()` says what is not there.
    """

    def __init__(self) -> None:
        self.prefix: tuple[str, ...] = ()

    @staticmethod
    def unshare() -> list[str]:
        """The command that makes the network."""
        as_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return ["unshare", *as_user, "--net", "--"]

    @classmethod
    def missing(cls) -> str | None:
        """Why there can be no such network here; None: there can."""
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            return "unshare and nsenter (util-linux) are not installed"
        tried = subprocess.run([*cls.unshare(), "true"], capture_output=True, text=True, check=False)
        return None if tried.returncode == 0 else f"no network namespaces here: {tried.stderr.strip()}"

    def __enter__(self) -> "Loopback":
        """Make the network."""
        self._holder = subprocess.Popen(
            [*self.unshare(), sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "up\n"
        as_user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.prefix = ("nsenter", "--target", str(self._holder.pid), *as_user, "--net", "--")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let it go."""
        self._holder.communicate("")
