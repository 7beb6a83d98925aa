"""A real `vllm serve` on loopback for as long as a `with` block runs."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from infc.diag import ToolError
from infc.serve import supervised, supervisor
from infc.serve.vllm_installation import VllmInstallation, find_vllm
from infc.serve.vllm_log import failure_reasons

_LOOPBACK = "127.0.0.1"
_PORT_ATTEMPTS = 3
_POLL_S = 0.25
_GRACE_S = 20.0
_PORT_TAKEN = "Address already in use"

VARIABLES: Mapping[str, str] = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # Else vLLM gives its processes the machine's own address for the queues between them.
    "VLLM_HOST_IP": _LOOPBACK,
}
"""Environment variables of every server: no usage statistics, no network, queues on loopback."""


class _PortTakenError(Exception):
    """Another process took a port between its choice and the server's start."""


class VllmServer:
    """Context manager: `vllm serve --config <config>`, ready when the block starts, ended when it is left.

    The server runs in the folder of its configuration, as in a bundle; nothing is written there. It listens on
    loopback at a free port, and takes nothing from the network: models lie in the folder or in the hub's local cache.

    Args:
        config: the `serve.yaml`.
        workdir: a writable folder for the log; it may exist.
        installation: the vLLM to run; by default what `find_vllm` finds.
        overrides: options over those of the file, without dashes; True gives a flag, False its `no-` form.
        variables: environment variables over those of this process.
        niceness: priority (-20 to 19) where that is allowed.
        ready_timeout_s: how long to wait for readiness; 30 to 70 s are usual, and a large model takes minutes.

    Raises:
        ToolError: on entry, when vLLM is not installed or does not start; with its reason.
    """

    def __init__(
        self,
        config: Path,
        *,
        workdir: Path,
        installation: VllmInstallation | None = None,
        overrides: Mapping[str, str | int | bool] = {},
        variables: Mapping[str, str] = {},
        niceness: int = 0,
        ready_timeout_s: float = 600.0,
    ) -> None:
        self._config = config.absolute()
        self._workdir = workdir.absolute()
        self._installation = installation
        self._overrides = dict(overrides)
        self._variables = dict(variables)
        self._niceness = niceness
        self._ready_timeout_s = ready_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._reservation: socket.socket | None = None
        self.log_path = self._workdir / "vllm.log"
        self.port = 0
        self.pid = 0
        self.url = ""

    def __enter__(self) -> Self:
        """Start the server and wait until it is ready."""
        for attempt in range(_PORT_ATTEMPTS):
            try:
                self._start()
                self._wait_until_ready()
            except _PortTakenError:
                self.close()
                if attempt == _PORT_ATTEMPTS - 1:
                    raise ToolError("every free port that was chosen for vLLM was taken before it started") from None
            except BaseException:
                self.close()
                raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the server."""
        self.close()

    def close(self) -> None:
        """End the server and all its processes: SIGTERM, SIGKILL after 20 s. May be repeated."""
        process, self._process = self._process, None
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            reservation.close()
        if process is None:
            return
        supervised.end(process, self.pid, 2 * _GRACE_S)

    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def log_text(self, offset: int = 0) -> str:
        """The server's log from a byte offset on."""
        with self.log_path.open("rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", errors="replace")

    def _start(self) -> None:
        if not self._config.is_file():
            raise ToolError(f"{self._config} is not a file", help="compile the spec again")
        if sys.platform != "linux":
            raise ToolError("infc starts vLLM on Linux only", help="name a running server with --endpoint")
        installation = self._installation or find_vllm()
        self._workdir.mkdir(parents=True, exist_ok=True)
        self._reservation = _reserved_port()
        self.port = int(self._reservation.getsockname()[1])
        self.url = f"http://{_LOOPBACK}:{self.port}"
        # `--config FILE` in two words: vLLM 0.32 ignores `--config=FILE` and serves its default model.
        command = [str(installation.executable), "serve", "--config", str(self._config)]
        command += _flags({**self._overrides, "host": _LOOPBACK, "port": self.port})
        supervised = [sys.executable, "-I", "-S", supervisor.__file__, "--grace", str(_GRACE_S)]
        if self._niceness:
            supervised += ["--nice", str(self._niceness)]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [*supervised, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **VARIABLES, **self._variables},
                cwd=self._config.parent,
                start_new_session=True,
            )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self.pid = int(self._process.stdout.readline() or 0)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        while time.monotonic() < deadline:
            if not self.is_running():
                raise self._start_failure()
            if self._is_healthy():
                return
            time.sleep(_POLL_S)
        raise ToolError(
            f"vLLM was not ready after {self._ready_timeout_s:g} s",
            help=f"its log: {_last_lines(self.log_text())}",
        )

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection(_LOOPBACK, self.port, timeout=5.0)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _start_failure(self) -> Exception:
        log = self.log_text()
        if _PORT_TAKEN in log:
            return _PortTakenError()
        reasons = failure_reasons(log)
        told = "; ".join(reasons) or f"it ended without saying why: {_last_lines(log)}"
        help = f"`vllm serve --config {self._config.name}` in {self._config.parent} prints all that it says"
        return ToolError(f"vLLM did not start: {told}", help=help)


def _flags(options: Mapping[str, str | int | bool]) -> list[str]:
    """Options as words of a command line.

    >>> _flags({"max-num-seqs": 8, "enforce-eager": True, "enable-prefix-caching": False})
    ['--max-num-seqs', '8', '--enforce-eager', '--no-enable-prefix-caching']
    """
    words: list[str] = []
    for name, value in options.items():
        match value:
            case True:
                words.append(f"--{name}")
            case False:
                words.append(f"--no-{name}")
            case _:
                words += [f"--{name}", str(value)]
    return words


def _reserved_port() -> socket.socket:
    """A socket that holds a free loopback port and takes no connection.

    vLLM takes half a minute to bind its port. Linux lets a second socket with SO_REUSEADDR, which vLLM sets, bind and
    listen on a port that nobody listens on, while it gives that port to nobody who asks for any free one.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((_LOOPBACK, 0))
    return holder


def _last_lines(text: str, count: int = 5) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])
