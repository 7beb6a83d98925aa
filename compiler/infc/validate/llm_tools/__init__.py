"""Other load generators in place of infc's own: the spec's requests replayed by AIPerf, guidellm or vllm bench."""

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from infc.diag import ToolError
from infc.ir.llm_measurement import LlmMeasurement
from infc.serve.http_get import endpoint_from
from infc.serve.vllm_view import KEY_VARIABLE
from infc.sim.token_traffic import draw_token_requests
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.load.settings import MAX_REQUESTS, LlmLoadSettings
from infc.validate.llm_import import measurement_of, read_result
from infc.validate.llm_import.run import Floats, ImportedRun, RequestRecords
from infc.validate.llm_tools.commands import TOOLS, ToolJob, tool_of
from infc.validate.llm_tools.process import last_words, run_to_end

__all__ = ["TOOL_NAMES", "run_tool"]

TOOL_NAMES: tuple[str, ...] = tuple(tool.name for tool in TOOLS)
"""What `--load-generator` takes, besides infc's own."""

_START_S = 300.0
"""A tool loads its libraries and the tokeniser, which takes half a minute and more on a busy machine."""
_WARMUP_SHARE = 0.2


def run_tool(
    name: str,
    url: str,
    contract: LlmContract,
    settings: LlmLoadSettings,
    folder: Path,
    *,
    tokenizer: str,
    announce: Callable[[str], None] = lambda _: None,
) -> LlmMeasurement:
    """Let another load generator replay the spec's traffic against a running server, and judge what it measured.

    The requests (times and lengths) are those that infc's own load generator would send; the run lasts for the budget.
    The first seconds, at most a fifth, are warm-up and are left out.

    Args:
        name: one of `TOOL_NAMES`.
        url: the server's HTTP address.
        contract: what the bundle must do.
        settings: budget, rate, seed and confidences.
        folder: a writable folder for the requests, the tool's log and its result.
        tokenizer: folder of the model's tokeniser, or its repository.
        announce: called with one line about each step.

    Raises:
        ToolError: the tool is not installed, fails or hangs, or its result cannot be read.
    """
    tool = tool_of(name)
    executable = tool.executable()
    rate_rps = settings.rate_rps or contract.replica_rps
    count = max(1, min(round(rate_rps * settings.budget_s), MAX_REQUESTS))
    requests = draw_token_requests(contract.traffic.arrival, contract.tokens, rate_rps, count, settings.seed)
    folder.mkdir(parents=True, exist_ok=True)
    job = ToolJob(
        url=endpoint_from(url).url,
        contract=contract,
        tokenizer=tokenizer,
        requests=requests,
        seed=settings.seed,
        run=settings.run or secrets.randbits(32),
        folder=folder.absolute(),
    )
    command = [str(executable), *tool.arguments(job)]
    announce(f"{tool.name} replays {count} requests over {settings.budget_s:g} s, as the spec has them")
    environment = {key: value for key, value in os.environ.items() if key not in tool.drops}
    # The seed of `hash()` decides the prompts of vllm bench 0.32.
    environment |= {"DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1", "PYTHONHASHSEED": "0"}
    if key := os.environ.get(KEY_VARIABLE):
        environment["OPENAI_API_KEY"] = key
    log = job.folder / f"{tool.name}.log"
    run_to_end(command, log=log, environment=environment, timeout_s=2 * settings.budget_s + _START_S)
    run, problems = read_result(job.folder / tool.result)
    if run is None:
        raise ToolError(problems[0].message, help=f"it says: {last_words(log)}")
    asked = replace(contract, traffic=replace(contract.traffic, peak_rps=rate_rps * contract.replicas))
    warmup_s = min(settings.min_warmup_s, _WARMUP_SHARE * settings.budget_s)
    scheduled = _scheduled(run, requests.arrivals_s, rate_rps)
    measurement = measurement_of(_warm(scheduled, warmup_s), asked, settings)
    notes = measurement.notes
    if contract.tokens.shared_prefix and not tool.shares_prefix:
        notes = (
            f"{tool.name} replays lengths only: no prompts begin alike, where the spec has "
            f"{contract.tokens.shared_prefix:.0%} in common, so that prefill costs more than planned",
            *notes,
        )
    return replace(measurement, warmup_s=warmup_s, notes=notes)


def _scheduled(run: ImportedRun, arrivals_s: Floats, rate_rps: float) -> ImportedRun:
    """The run with what is known of it here: it is open loop, and requests were due when the trace has them.

    A tool that does not say how late it sent is taken to have been in time with its most punctual request.
    """
    records = run.records
    if records is None or records.has_lag or len(records.sent_s) != len(arrivals_s):
        return replace(run, asked_rps=rate_rps, is_open_loop=True)
    lag_s = records.sent_s - arrivals_s
    lag_s = np.maximum(lag_s - lag_s.min(), 0.0)
    return replace(run, asked_rps=rate_rps, is_open_loop=True, records=replace(records, lag_s=lag_s), notes=())


def _warm(run: ImportedRun, warmup_s: float) -> ImportedRun:
    """The run without its first seconds."""
    records = run.records
    if records is None or not np.any(records.sent_s >= warmup_s):
        return run
    kept = records.sent_s >= warmup_s
    part = RequestRecords(
        sent_s=records.sent_s[kept],
        lag_s=records.lag_s[kept],
        ttft_s=records.ttft_s[kept],
        e2e_s=records.e2e_s[kept],
        tpot_s=records.tpot_s[kept],
        prompt_tokens=records.prompt_tokens[kept],
        output_tokens=records.output_tokens[kept],
        has_failed=records.has_failed[kept],
        gaps_s=records.gaps_s,
    )
    return replace(
        run,
        records=part,
        requests=len(part.sent_s),
        errors=int(part.has_failed.sum()),
        duration_s=max(run.duration_s - float(part.sent_s[0]), 1e-9),
    )
