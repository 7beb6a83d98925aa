"""From a language model's bundle on disk to its measurement: which server, its start and end, what the report says."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from infc.diag import ToolError
from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.step_time import StepTimeProfile
from infc.serve.other_work import NOISY_SHARE, OthersShare, others_share, processes_under
from infc.serve.vllm_view import VllmView, view_vllm
from infc.sim.token_traffic import draw_token_requests
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.limits import check_served, limit_notes, server_name, traffic_notes
from infc.validate.llm.load import LlmLoadSettings, LlmSubject, request_count, run_llm_load
from infc.validate.llm.rehearsal import serve_options
from infc.validate.llm.serving import (
    INFC,
    SERVE_CONFIG,
    LlmValidationRequest,
    RunningVllm,
    must_be_rehearsed,
    read_llm_contract,
    serving_llm,
)
from infc.validate.llm.step_log import steps_from_log
from infc.validate.load.watch import LoadProgress
from infc.validate.realtime import GENERATOR_PRIORITY, VLLM_NICENESS, can_be_realtime

__all__ = ["LlmValidationRequest", "must_be_rehearsed", "read_llm_contract", "validate_llm_bundle"]


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
    with serving_llm(request, contract, VLLM_NICENESS if request.is_realtime else 0, announce) as running:
        view = view_vllm(running.url)
        check_served(contract, view)
        rate_rps = settings.rate_rps or contract.replica_rps
        announce(f"offering {rate_rps:g} requests/s for at most {settings.budget_s:g} s")
        with _other_work(running) as share:
            if request.load_generator == INFC:
                measurement = _loaded(request, contract, settings, running, view, progress)
            else:
                measurement = _loaded_by_tool(request, contract, settings, running, view, announce)
        steps = None if request.is_rehearsal else _step_times(contract, running, measurement)
    notes = (
        *limit_notes(contract, view),
        *traffic_notes(contract),
        *_machine_notes(share.value),
        *measurement.notes,
    )
    return replace(measurement, notes=notes, step_times=steps)


def _loaded(
    request: LlmValidationRequest,
    contract: LlmContract,
    settings: LlmLoadSettings,
    running: RunningVllm,
    view: VllmView,
    progress: Callable[[LoadProgress], None],
) -> LlmMeasurement:
    """The load of infc's own generator."""
    rate_rps = settings.rate_rps or contract.replica_rps
    count = request_count(rate_rps, settings.budget_s)
    requests = draw_token_requests(contract.traffic.arrival, contract.tokens, rate_rps, count, settings.seed)
    subject = subject_of(request, contract, running, view)
    settings = replace(settings, is_detokenized=running.has_tokenizer)
    return run_llm_load(subject, requests, settings, progress=progress, check_server=running.check)


def _loaded_by_tool(
    request: LlmValidationRequest,
    contract: LlmContract,
    settings: LlmLoadSettings,
    running: RunningVllm,
    view: VllmView,
    announce: Callable[[str], None],
) -> LlmMeasurement:
    """The same requests sent by another load generator."""
    from infc.validate.llm_tools import run_tool

    with tempfile.TemporaryDirectory(prefix="infc-load-") as folder:
        measurement = run_tool(
            request.load_generator,
            running.url,
            contract,
            settings,
            Path(folder),
            tokenizer=_tokenizer(request.bundle),
            announce=announce,
        )
    running.check()
    ours = subject_of(request, contract, running, view).environment
    return replace(measurement, environment={**measurement.environment, **ours}, is_rehearsal=request.is_rehearsal)


def _tokenizer(bundle: Path) -> str:
    """Where the bundle's tokeniser is: its own folder, or the repository that serve.yaml names."""
    if (bundle / "model" / "tokenizer.json").is_file():
        return str((bundle / "model").absolute())
    model = serve_options(bundle / SERVE_CONFIG).get("tokenizer") or serve_options(bundle / SERVE_CONFIG).get("model")
    if not isinstance(model, str):
        raise ToolError(f"{bundle} names no tokeniser", help="use infc's own load generator, which needs none")
    return model


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
        load_s=running.load_s,
    )


def _is_realtime(request: LlmValidationRequest) -> bool:
    """Whether the generator has real-time priority; ToolError when it was asked for and cannot be had."""
    if request.is_realtime is False:
        return False
    possible = can_be_realtime()
    if request.is_realtime and not possible:
        raise ToolError("a high priority cannot be had here", help="run as root on Linux, or give --no-realtime")
    return possible


@contextmanager
def _other_work(running: RunningVllm) -> Iterator[OthersShare]:
    """What share of its machine's cores a server that runs here had to leave to others."""
    processes = processes_under(running.pid) if running.pid is not None else ()
    with others_share(processes) as share:
        yield share


def _machine_notes(others: float) -> Iterator[str]:
    if others > NOISY_SHARE:
        yield f"other work took {others:.0%} of this machine's processor cores: it slowed the server"
