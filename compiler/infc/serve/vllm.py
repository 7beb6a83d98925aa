"""A real `vllm serve` on loopback for as long as a `with` block runs."""

import http.client
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from infc.diag import ToolError
from infc.serve.supervised import PortTakenError, SupervisedServer, last_lines
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


class VllmServer(SupervisedServer):
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
        self._workdir = workdir.absolute()
        super().__init__(
            "vLLM",
            self._workdir / "vllm.log",
            ready_timeout_s=ready_timeout_s,
            poll_s=_POLL_S,
            grace_s=_GRACE_S,
            port_attempts=_PORT_ATTEMPTS,
        )
        self._config = config.absolute()
        self._installation = installation
        self._overrides = dict(overrides)
        self._variables = dict(variables)
        self._niceness = niceness
        self._reservation: socket.socket | None = None
        self.port = 0
        self.url = ""

    def close(self) -> None:
        """End the server and all its processes: SIGTERM, SIGKILL after 20 s. May be repeated."""
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            reservation.close()
        super().close()

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
        self._launch(
            command,
            options=["--nice", str(self._niceness)] if self._niceness else [],
            environment={**os.environ, **VARIABLES, **self._variables},
            folder=self._config.parent,
        )

    def _is_ready(self) -> bool:
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
            return PortTakenError()
        reasons = failure_reasons(log)
        told = "; ".join(reasons) or f"it ended without saying why: {last_lines(log)}"
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
