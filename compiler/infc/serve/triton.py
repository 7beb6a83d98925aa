"""A real tritonserver on loopback for as long as a `with` block runs."""

import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from infc.diag import ToolError
from infc.serve.backends import STAND_INS
from infc.serve.installation import find_installation, lay_out_backends, server_environment
from infc.serve.log import failure_reasons
from infc.serve.management import RefusedError, TritonManagement
from infc.serve.statistics import ModelStatistics
from infc.serve.supervised import PortTakenError, SupervisedServer, last_lines

_LOOPBACK = "127.0.0.1"
_PORT_ATTEMPTS = 4
_POLL_S = 0.05
_GRACE_S = 8.0
_PYTHON_LIBRARY = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
_PORT_TAKEN = ("Address already in use", "failed to start HTTP service", "failed to start GRPC service", "Socket")


class TritonServer(SupervisedServer):
    """Context manager: the real tritonserver, ready when the block starts, ended when it is left.

    Args:
        repository: the model repository; it is read, never written.
        workdir: a writable folder for the log and the backend directory; it may exist.
        backends: backend name -> folder with its `model.py`; by default the stand-ins.
        model_control: `none` loads every model at the start, `explicit` only `load` and what `load_model` asks for.
        load: models to load at the start when the control is explicit.
        realtime_priority: SCHED_FIFO priority (1-99) of the server and its model processes; needs root. None: normal.
        extra_args: more tritonserver options, such as `--cache-config=local,size=1048576`.
        environment: more environment variables of the server and its model processes.
        ready_timeout_s: how long to wait for readiness.

    Raises:
        ToolError: on entry, when the server is not installed, does not start, or refuses a model; with its reason.
    """

    def __init__(
        self,
        repository: Path,
        *,
        workdir: Path,
        backends: Mapping[str, Path] = STAND_INS,
        model_control: Literal["none", "explicit"] = "none",
        load: Sequence[str] = (),
        realtime_priority: int | None = None,
        extra_args: Sequence[str] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
        ready_timeout_s: float = 120.0,
    ) -> None:
        self._workdir = workdir.resolve()
        super().__init__(
            "tritonserver",
            self._workdir / "tritonserver.log",
            ready_timeout_s=ready_timeout_s,
            poll_s=_POLL_S,
            grace_s=_GRACE_S,
            port_attempts=_PORT_ATTEMPTS,
        )
        self._repository = repository
        self._backends = backends
        self._model_control = model_control
        self._load = tuple(load)
        self._priority = realtime_priority
        self._extra_args = tuple(extra_args)
        self._environment = environment
        self._name = ""
        self.http_url = ""
        self.grpc_url = ""
        self.metrics_url = ""

    @property
    def management(self) -> TritonManagement:
        """The server's management interface."""
        return TritonManagement(self.http_url)

    def load_model(self, model: str, config: Mapping[str, object] | None = None) -> None:
        """Load or reload a model (`model_control="explicit"`); `config` (protobuf JSON) replaces its config.pbtxt.

        Raises:
            ToolError: the server refuses it; the reason comes from the log, which says more than the answer.
        """
        offset = self.log_path.stat().st_size
        try:
            self.management.load_model(model, config)
        except RefusedError as refusal:
            reasons = failure_reasons(self.log_text(offset)) or (str(refusal),)
            raise ToolError(f"tritonserver refuses model {model}: {'; '.join(reasons)}") from refusal

    def unload_model(self, model: str) -> None:
        """Unload a model (`model_control="explicit"`) and wait until it is gone."""
        management = self.management
        management.unload_model(model)
        deadline = time.monotonic() + self._ready_timeout_s
        while management.models().get(model) in ("READY", "UNLOADING"):
            if time.monotonic() > deadline:
                raise ToolError(f"tritonserver did not unload model {model} in {self._ready_timeout_s:g} s")
            time.sleep(_POLL_S)

    def statistics(self, model: str) -> ModelStatistics:
        """Counters of a model since it was loaded."""
        return self.management.statistics(model)

    def _start(self) -> None:
        installation = find_installation()
        if not self._repository.is_dir():
            raise ToolError(f"model repository {self._repository} is not a folder")
        if self._priority is not None and os.geteuid() != 0:
            raise ToolError("real-time priority needs root", help="run as root, or leave the priority normal")
        backends = self._workdir / "backends"
        lay_out_backends(installation, self._backends, backends)
        http, grpc, metrics = _free_ports(3)
        self.http_url, self.grpc_url, self.metrics_url = (f"{_LOOPBACK}:{port}" for port in (http, grpc, metrics))
        self._name = f"infc-{secrets.token_hex(8)}"
        arguments = [
            str(installation.binary),
            f"--id={self._name}",
            f"--model-repository={self._repository.resolve()}",
            f"--backend-directory={backends}",
            f"--cache-directory={installation.caches}",
            f"--model-control-mode={self._model_control}",
            *(f"--load-model={model}" for model in self._load),
            *(f"--{service}-address={_LOOPBACK}" for service in ("http", "grpc", "metrics")),
            f"--http-port={http}",
            f"--grpc-port={grpc}",
            f"--metrics-port={metrics}",
            *(f"--backend-config={name},shm-region-prefix-name={self._name}" for name in ("python", *self._backends)),
            "--allow-gpu-metrics=false",
            "--pinned-memory-pool-byte-size=0",
            "--exit-timeout-secs=5",
            *self._extra_args,
        ]
        priority = [] if self._priority is None else ["--priority", str(self._priority)]
        self._launch(
            arguments,
            options=[*priority, "--shared-memory", self._name],
            environment={**server_environment(installation), **self._environment},
            folder=self._workdir,
        )

    def _is_ready(self) -> bool:
        # Another server may have got the port in between: only an answer with this server's name counts.
        if not (self.management.is_ready() and self.management.server_name() == self._name):
            return False
        if "failed to start Metrics service" in self.log_text():  # the server goes on without it
            raise PortTakenError
        return True

    def _start_failure(self) -> Exception:
        log = self.log_text()
        reasons = failure_reasons(log)
        if any(marker in reason for marker in _PORT_TAKEN for reason in reasons):
            return PortTakenError()
        told = "; ".join(reasons) or f"it ended without saying why: {last_lines(log)}"
        help = f"its whole log is in {self.log_path}"
        if "libpython" in log:
            help = f"install the shared library of this Python (Debian: apt-get install {_PYTHON_LIBRARY}); {help}"
        return ToolError(f"tritonserver did not start: {told}", help=help)


def _free_ports(count: int) -> tuple[int, ...]:
    """Distinct free loopback ports; another process may still take one before it is used."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_LOOPBACK, 0))
        return tuple(int(each.getsockname()[1]) for each in sockets)
