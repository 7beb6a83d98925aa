"""The server that a calibration measures: one that is started for it, or one that runs already."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from infc.diag import ToolError
from infc.ir.bundle import Bundle
from infc.ir.checkpoint import Checkpoint
from infc.serve.http_get import Endpoint, endpoint_from, get
from infc.serve.other_work import processes_under
from infc.serve.vllm import VllmServer
from infc.serve.vllm_installation import find_vllm
from infc.validate.realtime import VLLM_NICENESS, can_be_realtime

LOGGING_STEPS: Mapping[str, str | int | bool] = {"enable-logging-iteration-details": True}
"""What makes vLLM log each step."""
_MODEL = "model"
_SERVE = "serve.yaml"
_WITHOUT = ("speculative-config", "max-num-queued-reqs", "max-num-queued-tokens")
"""Settings that a calibration takes off: drafted tokens and refused requests are no steps of the model."""


@dataclass(frozen=True, kw_only=True)
class CalibratedServer:
    """A server that logs its steps to `log`. `processes` are its own where they run on this machine.

    `max_model_len` is the longest request that it accepts, None where it does not say. `has_tokenizer` False: it
    answers with token numbers only. `load_s` is how long it took to be ready with its own weights, None where it runs
    already or has others.
    """

    endpoint: Endpoint
    log: Path
    version: str
    model: str
    max_model_len: int | None
    processes: tuple[int, ...] = ()
    has_tokenizer: bool = True
    load_s: float | None = None


@contextmanager
def started_server(
    bundle: Bundle, checkpoint: Checkpoint, settings: Mapping[str, str | int | bool] = LOGGING_STEPS
) -> Iterator[CalibratedServer]:
    """Serve a bundle here, with `settings` over its own, while the block runs. Nothing of a large checkpoint is copied.

    Weights that are not here are random: a step's time does not depend on them.

    Raises:
        ToolError: vLLM is not installed, or does not start.
    """
    installation = find_vllm()
    with tempfile.TemporaryDirectory(prefix="infc-calibrate-") as folder:
        root = Path(folder) / "bundle"
        _lay_out(bundle, checkpoint, root)
        overrides = dict(settings)
        has_tokenizer = checkpoint.folder is None or any("token" in name for name in checkpoint.files)
        if checkpoint.is_pending:
            overrides["load-format"] = "dummy"
        if not has_tokenizer:
            overrides["skip-tokenizer-init"] = True
        begun_s = time.monotonic()
        with VllmServer(
            root / _SERVE,
            workdir=Path(folder) / "log",
            installation=installation,
            overrides=overrides,
            niceness=VLLM_NICENESS if can_be_realtime() else 0,
        ) as server:
            load_s = round(time.monotonic() - begun_s, 3)
            endpoint = endpoint_from(server.url)
            name, longest = served_model(endpoint, None)
            yield CalibratedServer(
                endpoint=endpoint,
                log=server.log_path,
                version=installation.version,
                model=name,
                max_model_len=longest,
                processes=processes_under(server.pid),
                has_tokenizer=has_tokenizer,
                load_s=None if checkpoint.is_pending else load_s,
            )


def running_server(url: str, log: Path, name: str) -> CalibratedServer:
    """A server that runs already and serves `name`.

    Raises:
        ToolError: it does not answer, serves other models, or the log cannot be read.
    """
    endpoint = endpoint_from(url)
    if not log.is_file():
        raise ToolError(f"{log} is not a file", help="name the file that the server's output goes to with --log")
    model, longest = served_model(endpoint, name)
    version = _object(endpoint, "/version").get("version")
    return CalibratedServer(
        endpoint=endpoint,
        log=log,
        version=version if isinstance(version, str) else "unknown",
        model=model,
        max_model_len=longest,
    )


def served_model(endpoint: Endpoint, name: str | None) -> tuple[str, int | None]:
    """The name of the model that a server serves, and its longest request: of `name`, or of whatever is first.

    Raises:
        ToolError: it does not answer as an OpenAI-compatible server, or serves no model of that name.
    """
    listed = _object(endpoint, "/v1/models").get("data")
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    names = [str(row.get("id")) for row in rows]
    chosen = next((row for row in rows if name in (None, row.get("id"))), None)
    if chosen is None:
        raise ToolError(
            f"the server at {endpoint.url} serves {', '.join(names) or 'no model'}, not {name}",
            help="start it with the bundle that infc compile wrote for this spec",
        )
    longest = chosen.get("max_model_len")
    return str(chosen["id"]), longest if isinstance(longest, int) else None


def _object(endpoint: Endpoint, path: str) -> Mapping[str, object]:
    answer = get(endpoint, path)
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if answer.status != 200 or not isinstance(document, dict):
        raise ToolError(
            f"GET {path} of the server at {endpoint.url} was answered with {answer.status}, not a document",
            help="name a vLLM server with --endpoint",
        )
    return document


def _lay_out(bundle: Bundle, checkpoint: Checkpoint, root: Path) -> None:
    """The bundle's files, with links to what is large."""
    for name, content in bundle.files.items():
        if PurePosixPath(name).parts[0] == _MODEL:
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == _SERVE and isinstance(content, bytes):
            path.write_bytes(_settings(content))
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.symlink_to(content.absolute())
    if checkpoint.folder is None:
        return
    (root / _MODEL).mkdir()
    for name in checkpoint.files:
        path = root / _MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to((checkpoint.folder / name).absolute())


def _settings(serve: bytes) -> bytes:
    """`serve.yaml` without what a calibration takes off."""
    import yaml

    settings = yaml.safe_load(serve)
    kept = {key: value for key, value in settings.items() if key not in _WITHOUT}
    return yaml.safe_dump(kept, sort_keys=False).encode()
