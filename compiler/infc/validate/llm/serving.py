"""The vLLM server that a bundle is tested on: one that runs already, or one that is started here for it."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infc.diag import ToolError
from infc.serve.http_get import endpoint_from
from infc.serve.vllm import VllmServer
from infc.serve.vllm_installation import find_vllm
from infc.validate.bundled import bundled_contract
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.contract_json import from_json
from infc.validate.llm.load import LlmLoadSettings
from infc.validate.llm.rehearsal import write_rehearsal
from infc.validate.session import has_gpu, processor

SERVE_CONFIG = "serve.yaml"
INFC = "infc"
"""The load generator of infc's own."""


@dataclass(frozen=True, kw_only=True)
class LlmValidationRequest:
    """What to validate, and how.

    `endpoint` is the HTTP address of a running server, which is used as it is; None starts one. `is_rehearsal` plays
    the planned step times on the real server in place of a GPU. `is_realtime` gives the server a high priority and
    the generator a real-time one, False neither; None the generator alone, where it may be had: vLLM spins while it
    waits, so that nothing else would run on a small machine. `load_generator` is `infc` or one of
    `llm_tools.TOOL_NAMES`.
    """

    bundle: Path
    settings: LlmLoadSettings
    endpoint: str | None = None
    is_rehearsal: bool = False
    is_realtime: bool | None = None
    load_generator: str = INFC


@dataclass(frozen=True, kw_only=True)
class RunningVllm:
    """The server to test: its address, a check that raises ToolError when it is gone, and where it runs.

    `pid` is its process where infc started it, else None, and `log` what it printed so far.
    A stand-in without a tokeniser answers with token numbers. `load_s` is how long it took to be ready, None where it
    runs already or stands in for a device.
    """

    url: str
    check: Callable[[], None]
    device: str
    pid: int | None = None
    log: Callable[[], str] = lambda: ""
    has_tokenizer: bool = True
    load_s: float | None = None


def read_llm_contract(bundle: Path) -> LlmContract:
    """The contract of a language model's bundle.

    Raises:
        ToolError: the folder holds none, or it cannot be read.
    """
    return bundled_contract(bundle, from_json, "vLLM")


@contextmanager
def serving_llm(
    request: LlmValidationRequest, contract: LlmContract, niceness: int, announce: Callable[[str], None]
) -> Iterator[RunningVllm]:
    """The server to test, for as long as the block runs."""
    if request.endpoint is not None:
        url = endpoint_from(request.endpoint).url
        yield RunningVllm(url=url, check=lambda: None, device="the endpoint's")
        return
    config = request.bundle / SERVE_CONFIG
    _require_servable(request, config, contract)
    with tempfile.TemporaryDirectory(prefix="infc-validate-") as folder:
        variables: Mapping[str, str] = {}
        has_tokenizer = True
        if request.is_rehearsal:
            rehearsal = write_rehearsal(request.bundle, contract, Path(folder) / "rehearsal")
            config, variables, has_tokenizer = rehearsal.config, rehearsal.variables, rehearsal.has_tokenizer
        server = VllmServer(config, workdir=Path(folder), variables=variables, niceness=niceness)
        announce(
            "starting vLLM on loopback, which takes half a minute and more"
            + (" (rehearsal)" if request.is_rehearsal else "")
        )
        begun_s = time.monotonic()
        with server:
            load_s = None if request.is_rehearsal else round(time.monotonic() - begun_s, 3)
            yield RunningVllm(
                url=server.url,
                check=_check(server),
                device=_device(request, contract),
                pid=server.pid,
                log=server.log_text,
                has_tokenizer=has_tokenizer,
                load_s=load_s,
            )


def must_be_rehearsed(bundle: Path) -> bool:
    """Whether a bundle can only be rehearsed here: it is for a GPU, and this machine has none."""
    return not read_llm_contract(bundle).model.is_cpu and not has_gpu()


def _require_servable(request: LlmValidationRequest, config: Path, contract: LlmContract) -> None:
    """Raise ToolError when the vLLM that is installed here cannot run this bundle."""
    bundle, model = request.bundle, contract.model
    if not config.is_file():
        raise ToolError(f"{bundle} has no {SERVE_CONFIG}", help="compile the spec again")
    elsewhere = "--endpoint http://host:8000 tests a server that has it"
    if request.is_rehearsal and model.is_cpu:
        raise ToolError(
            f"{bundle} is for {contract.target}: it needs no rehearsal",
            help="leave --rehearse out: the bundle runs here as it is",
        )
    if not request.is_rehearsal and not model.is_cpu and not has_gpu():
        raise ToolError(
            f"{bundle} is for {contract.target}, and this machine has no NVIDIA GPU",
            help="--rehearse tests its scheduling here with the planned step times; " + elsewhere,
        )
    installation = find_vllm()
    if installation.is_cpu != (model.is_cpu or request.is_rehearsal):
        built, wanted = ("CPUs", "a GPU") if installation.is_cpu else ("GPUs", "a CPU")
        what = "a rehearsal runs on" if request.is_rehearsal else f"{bundle} is for"
        raise ToolError(
            f"{installation.executable} is vLLM built for {built}; {what} {wanted}",
            help=f"set INFC_VLLM to a vLLM built for {wanted}; " + elsewhere,
        )


def _check(server: VllmServer) -> Callable[[], None]:
    def check() -> None:
        if not server.is_running():
            last = server.log_text().strip().splitlines()[-3:]
            raise ToolError("vLLM ended during the load test", help=f"its last words: {' | '.join(last)}")

    return check


def _device(request: LlmValidationRequest, contract: LlmContract) -> str:
    if request.is_rehearsal:
        return f"{processor()}, in place of {contract.target}"
    return processor() if contract.model.is_cpu else contract.target
