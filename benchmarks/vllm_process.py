"""A real `vllm serve` of another Python environment on loopback, ended by the one who started it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

SERVED = "m"
_HERE = Path(__file__).parent / "vllm_server"


def write_model(folder: Path, *, hidden: int, layers: int, heads: int, kv_heads: int, inner: int) -> None:
    """The config.json of a small Llama; the server fills it with random weights and needs no tokeniser."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "intermediate_size": inner,
        "vocab_size": 4096,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


class VllmServer:
    """`with VllmServer(...) as server:` starts it and waits until it answers; leaving ends all its processes."""

    def __init__(
        self,
        environment: Path,
        model: Path,
        log: Path,
        settings: Mapping[str, str | int | bool],
        variables: Mapping[str, str],
        *,
        niceness: int = 0,
    ) -> None:
        self.host, self.port = "127.0.0.1", _free_port()
        self._log = log
        self._niceness = niceness
        self._command = [str(environment / "bin" / "vllm"), "serve", str(model), "--served-model-name", SERVED]
        fixed: dict[str, str | int | bool] = {
            "host": self.host,
            "port": self.port,
            "load-format": "dummy",
            "skip-tokenizer-init": True,
            "dtype": "float32",
            "enforce-eager": True,
            "disable-uvicorn-access-log": True,
        }
        for name, value in {**fixed, **settings}.items():
            self._command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        self._variables = {
            **os.environ,
            "PYTHONPATH": str(_HERE),
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "VLLM_HOST_IP": self.host,
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "VllmServer":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._variables, start_new_session=True
            )
        prefer(self._process.pid, self._niceness)
        try:
            self._wait_until_ready(300.0)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def process_group(self) -> int:
        """The process group of the server and its workers."""
        assert self._process is not None
        return self._process.pid

    def close(self) -> None:
        """End the server and every process that it started."""
        if self._process is None:
            return
        for ending, patience_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self._process.pid, ending)
            except ProcessLookupError:
                break
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def metrics(self) -> str:
        """The text of /metrics."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def counter(self, name: str) -> float:
        """The sum of a counter of /metrics over its labels."""
        lines = [line for line in self.metrics().splitlines() if line.startswith((name + "{", name + " "))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def _wait_until_ready(self, patience_s: float) -> None:
        end_s = time.monotonic() + patience_s
        assert self._process is not None
        while time.monotonic() < end_s:
            if self._process.poll() is not None:
                tail = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
                raise RuntimeError(f"vllm serve ended with {self._process.returncode}:\n{tail}")
            try:
                with urllib.request.urlopen(f"http://{self.host}:{self.port}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.5)
        raise RuntimeError(f"vllm serve was not ready after {patience_s:.0f} s; see {self._log}")


def prefer(process: int, niceness: int) -> None:
    """Give a process and those that it starts a priority (-20 to 19), where that is allowed.

    Linux weighs sessions first where it groups tasks by them, so the session gets the same.
    """
    if not niceness:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, process, niceness)
        Path(f"/proc/{process}/autogroup").write_text(str(niceness), encoding="ascii")
    except OSError as error:
        print(f"priority {niceness}: {error}", file=sys.stderr)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
