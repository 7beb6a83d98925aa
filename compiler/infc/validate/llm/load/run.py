"""One load test of a language-model server from the first request to the verdict."""

import asyncio
import math
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from infc.diag import ToolError
from infc.ir.llm_measurement import LlmMeasurement
from infc.serve.http_get import endpoint_from
from infc.serve.vllm_view import KEY_VARIABLE
from infc.sim.continuous_batching import TokenRequests
from infc.validate.llm.load.client import Answer, CompletionClient, Outcome
from infc.validate.llm.load.generator import LlmLoadGenerator
from infc.validate.llm.load.metrics import ServerMetrics
from infc.validate.llm.load.prompts import PromptSource
from infc.validate.llm.load.result import measurement_from, outcome_text
from infc.validate.llm.load.settings import MAX_REQUESTS, LlmLoadSettings
from infc.validate.llm.load.subject import LlmSubject
from infc.validate.llm.load.watch import LlmWatch
from infc.validate.load.watch import LoadProgress

_FIRST_REQUESTS = 2
_LEAST_TIMEOUT_S = 60.0
_PLAUSIBLE = 4.0
_FIRST_TIMEOUT_S = 300.0
_TAIL_SHARE = 1.5
"""Requests are drawn for so many times the budget: the load goes on until the last measured one is answered."""


def _nobody_listens(progress: LoadProgress) -> None:
    """The default progress callback."""


def _always_fine() -> None:
    """The default check: nothing is known of the server but its answers."""


def request_count(rate_rps: float, budget_s: float) -> int:
    """How many requests to draw for a test of so many seconds, at least."""
    return min(math.ceil(rate_rps * budget_s * _TAIL_SHARE) + 100, MAX_REQUESTS)


def run_llm_load(
    subject: LlmSubject,
    requests: TokenRequests,
    settings: LlmLoadSettings,
    *,
    progress: Callable[[LoadProgress], None] = _nobody_listens,
    check_server: Callable[[], None] = _always_fine,
) -> LlmMeasurement:
    """Offer requests to a running server, open loop, until every verdict settles or the budget is spent.

    Requests are sent by a process of their own, at times that do not depend on the answers; latencies run from when a
    request was due. A failure must hold without the requests that were sent late; else the run is not trusted.

    Args:
        subject: what is tested.
        requests: when they come and how long they are, see `draw_token_requests`; enough for the whole budget.
        settings: budget, seed, confidence. A `run` of 0 is replaced by a random number.
        progress: called about five times a second.
        check_server: called about twice a second; raises ToolError when the server is gone.

    Raises:
        ToolError: the server does not answer, refuses the requests, or ends during the test.
    """
    settings = replace(settings, run=settings.run or secrets.randbits(48))
    timeout_s = settings.timeout_s or plausible_timeout_s(subject, requests)
    prompts = PromptSource(
        model=subject.model,
        vocabulary=subject.vocabulary,
        run=settings.run,
        longest_prefix=int(requests.prefix_tokens.max()),
        is_detokenized=settings.is_detokenized,
    )
    _check_answers(subject, requests, prompts)
    with (
        tempfile.TemporaryDirectory(prefix="infc-load-") as folder,
        LlmLoadGenerator(
            subject.url,
            requests,
            prompts,
            job_file=Path(folder) / "job.npz",
            timeout_s=timeout_s,
            max_outstanding=settings.max_outstanding,
            priority=settings.realtime_priority,
        ) as generator,
    ):
        metrics = ServerMetrics(subject.url, subject.model)
        watch = LlmWatch(generator, metrics, subject, settings, progress, check_server)
        watch.follow()
        return measurement_from(watch, subject, settings, timeout_s)


def plausible_timeout_s(subject: LlmSubject, requests: TokenRequests) -> float:
    """Four times as long as the longest request may take by the targets, and a minute at least."""
    longest = float(requests.output_tokens.max())
    known = (subject.limit_s("ttft") or 0.0) + (subject.limit_s("tpot") or 0.0) * longest
    return max(_LEAST_TIMEOUT_S, math.ceil(_PLAUSIBLE * max(known, subject.limit_s("e2e") or 0.0)))


def _check_answers(subject: LlmSubject, requests: TokenRequests, prompts: PromptSource) -> None:
    """Send the first requests one by one: the server must answer with a stream of tokens.

    Raises:
        ToolError: it does not; with its reason.
    """

    async def ask() -> list[Answer]:
        headers = {"Authorization": f"Bearer {key}"} if (key := os.environ.get(KEY_VARIABLE)) else {}
        client = CompletionClient(endpoint_from(subject.url), headers=headers, timeout_s=_FIRST_TIMEOUT_S)
        try:
            answers = []
            for index in range(min(_FIRST_REQUESTS, len(requests))):
                lengths = (requests.prompt_tokens[index], requests.prefix_tokens[index], requests.output_tokens[index])
                # Indexes beyond those of the load: the prefix cache is not to know its prompts.
                body = prompts.body(len(requests) + index, *(int(each) for each in lengths))
                answers.append(await client.ask(body))
            return answers
        finally:
            client.close()

    for answer in asyncio.run(ask()):
        if answer.outcome == Outcome.NO_CONNECTION:
            raise ToolError(
                f"no server answers at {subject.url}: {answer.text}",
                help="--endpoint takes the address of vLLM's HTTP server, by default port 8000: http://host:8000",
            )
        if answer.outcome != Outcome.OK:
            raise ToolError(
                f"the server at {subject.url} refuses requests for {subject.model} ({outcome_text(answer.outcome)})",
                help=f"it says: {answer.text}",
            )
