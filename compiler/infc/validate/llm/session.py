"""From a language model's bundle on disk to its measurement: which server, its start and end, what the report says."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from infc.diag import ToolError
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.step_time import StepTimeProfile
from infc.serve.http_get import endpoint_from
from infc.serve.run_queue import NOISY_SHARE, WaitShare, processes_under, wait_share
from infc.serve.vllm import VllmServer
from infc.serve.vllm_installation import find_vllm
from infc.serve.vllm_view import VllmView, view_vllm
from infc.sim.token_traffic import draw_token_requests
from infc.validate.llm.contract import CONTRACT_NAME, LlmContract, from_json
from infc.validate.llm.limits import check_served, limit_notes, server_name
from infc.validate.llm.load import LlmLoadSettings, LlmSubject, request_count, run_llm_load
from infc.validate.llm.rehearsal import write_rehearsal
from infc.validate.llm.step_log import steps_from_log
from infc.validate.load.watch import LoadProgress
from infc.validate.realtime import GENERATOR_PRIORITY, VLLM_NICENESS, can_be_realtime
from infc.validate.session import has_gpu, processor

SERVE_CONFIG = "serve.yaml"


@dataclass(frozen=True, kw_only=True)
class LlmValidationRequest:
    """What to validate, and how.

    `endpoint` is the HTTP address of a running server, which is used as it is; None starts one. `is_rehearsal` plays
    the planned step times on the real server in place of a GPU. `is_realtime` gives the server a high priority and
    the generator a real-time one, False neither; None the generator alone, where it may be had: vLLM spins while it
    waits, so that nothing else would run on a small machine.
    """

    bundle: Path
    settings: LlmLoadSettings
    endpoint: str | None = None
    is_rehearsal: bool = False
    is_realtime: bool | None = None


@dataclass(frozen=True, kw_only=True)
class RunningVllm:
    """The server to test: its address, a check that raises ToolError when it is gone, and where it runs.

    `pid` is its process where infc started it, else None, and `log` what it printed so far.
    """

    url: str
    check: Callable[[], None]
    device: str
    pid: int | None = None
    log: Callable[[], str] = lambda: ""


def read_llm_contract(bundle: Path) -> LlmContract:
    """The contract of a language model's bundle.

    Raises:
        ToolError: the folder holds none, or it cannot be read.
    """
    path = bundle / CONTRACT_NAME
    try:
        return from_json(path.read_bytes())
    except OSError as error:
        raise ToolError(
            f"{bundle} is not a bundle that can be validated: it has no {CONTRACT_NAME}",
            help="name a folder that `infc compile` wrote for vLLM, such as dist/<spec name>",
        ) from error
    except ValueError as error:
        raise ToolError(f"{path} cannot be read: {error}", help="compile the spec again") from error


def validate_llm_bundle(
    request: LlmValidationRequest,
    *,
    progress: Callable[[LoadProgress], None] = lambda _: None,
    announce: Callable[[str], None] = lambda _: None,
) -> LlmMeasurement:
    """Serve a bundle, or use the server that already does, and judge it by its contract.

    A server started here listens on loopback and is ended before this returns or raises.

    Args:
        request: what to validate.
        progress: called about five times a second during the load test.
        announce: called with one line about each step.

    Raises:
        ToolError: the bundle cannot be served here, or the server fails.
    """
    contract = read_llm_contract(request.bundle)
    is_realtime = _is_realtime(request)
    settings = replace(request.settings, realtime_priority=GENERATOR_PRIORITY if is_realtime else None)
    rate_rps = settings.rate_rps or contract.replica_rps
    requests = draw_token_requests(
        contract.traffic.arrival,
        contract.tokens,
        rate_rps,
        request_count(rate_rps, settings.budget_s),
        settings.seed,
    )
    with serving_llm(request, contract, VLLM_NICENESS if request.is_realtime else 0, announce) as running:
        view = view_vllm(running.url)
        check_served(contract, view)
        announce(f"offering {rate_rps:g} requests/s for at most {settings.budget_s:g} s")
        with _waiting(running) as share:
            measurement = run_llm_load(
                subject_of(request, contract, running, view),
                requests,
                settings,
                progress=progress,
                check_server=running.check,
            )
        steps = None if request.is_rehearsal else _step_times(contract, running, measurement)
    notes = (*limit_notes(contract, view), *_machine_notes(share.value), *measurement.notes)
    return replace(measurement, notes=notes, step_times=steps)


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
        if request.is_rehearsal:
            rehearsal = write_rehearsal(request.bundle, contract, Path(folder) / "rehearsal")
            config, variables = rehearsal.config, rehearsal.variables
        server = VllmServer(config, workdir=Path(folder), variables=variables, niceness=niceness)
        announce(
            "starting vLLM on loopback, which takes half a minute and more"
            + (" (rehearsal)" if request.is_rehearsal else "")
        )
        with server:
            yield RunningVllm(
                url=server.url,
                check=_check(server),
                device=_device(request, contract),
                pid=server.pid,
                log=server.log_text,
            )


def subject_of(
    request: LlmValidationRequest, contract: LlmContract, running: RunningVllm, view: VllmView
) -> LlmSubject:
    """What the load test is about."""
    model = contract.model
    precision = model.precision.value + (f", KV cache {model.kv_precision.value}" if model.kv_precision else "")
    return LlmSubject(
        name=contract.name,
        target=contract.target,
        url=running.url,
        model=model.name,
        vocabulary=model.vocabulary,
        targets=contract.targets,
        predicted_s=contract.predicted_s,
        environment={
            "server": server_name(view),
            "model": f"{model.name}, {precision}",
            "device": running.device,
            "limits": f"{model.max_num_seqs} sequences, {model.max_num_batched_tokens} tokens a step, "
            f"{model.max_model_len} a request",
        },
        is_rehearsal=request.is_rehearsal,
    )


def _step_times(contract: LlmContract, running: RunningVllm, measurement: LlmMeasurement) -> StepTimeProfile | None:
    """The steps that the server logged, where it does (`enable-logging-iteration-details`)."""
    model = contract.model
    points = steps_from_log(running.log(), block_tokens=model.block_tokens)
    if not points or model.pipeline_parallel > 1:
        return None
    return StepTimeProfile(
        model_digest=model.digest,
        precision=model.precision,
        kv_precision=model.kv_precision,
        hardware_id=model.hardware_id,
        tensor_parallel=model.tensor_parallel,
        points=points,
        environment={name: measurement.environment[name] for name in ("server", "device")},
    )


def _is_realtime(request: LlmValidationRequest) -> bool:
    """Whether the generator has real-time priority; ToolError when it was asked for and cannot be had."""
    if request.is_realtime is False:
        return False
    possible = can_be_realtime()
    if request.is_realtime and not possible:
        raise ToolError("a high priority cannot be had here", help="run as root on Linux, or give --no-realtime")
    return possible


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


@contextmanager
def _waiting(running: RunningVllm) -> Iterator[WaitShare]:
    """How much of the time a server on this machine waited for a core."""
    processes = processes_under(running.pid) if running.pid is not None else ()
    with wait_share(processes) as share:
        yield share


def _machine_notes(waited: float) -> Iterator[str]:
    if waited > NOISY_SHARE:
        yield (f"the server waited for a processor core {waited:.0%} of the time: other work on this machine slowed it")


def _device(request: LlmValidationRequest, contract: LlmContract) -> str:
    if request.is_rehearsal:
        return f"{processor()}, in place of {contract.target}"
    return processor() if contract.model.is_cpu else contract.target
