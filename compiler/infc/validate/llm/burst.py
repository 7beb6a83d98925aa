"""Sends the requests of a burst to a server of language models, and notes when each token came."""

import asyncio
import itertools
import os
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from infc.diag import ToolError
from infc.serve.http_get import Endpoint
from infc.serve.vllm_view import KEY_VARIABLE
from infc.validate.llm.design import Burst
from infc.validate.llm.load.client import CompletionClient, Outcome
from infc.validate.llm.load.prompts import PromptSource

_TIMEOUT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class TimedAnswer:
    """When a request was sent, and when each of its tokens came (those of one message together)."""

    sent_s: float
    token_s: tuple[float, ...]

    @property
    def ttft_s(self) -> float:
        """Seconds from sending to the first token."""
        return self.token_s[0] - self.sent_s


class BurstClient:
    """Context manager: sends bursts to one server over connections that are kept, as a load test's are.

    The prompts are random tokens, so that none begins like another.
    """

    def __init__(self, endpoint: Endpoint, prompts: PromptSource) -> None:
        key = os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = CompletionClient(endpoint, headers=headers, timeout_s=_TIMEOUT_S)
        self._prompts = prompts
        self._numbers = itertools.count()
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client.close()
        self._runner.close()

    def send(self, burst: Burst) -> tuple[TimedAnswer, ...]:
        """Send a burst's requests at once, and its joining prompts one by one when all of them decode.

        Returns: the answers, of the joining ones last.

        Raises:
            ToolError: the server refuses a request, or does not answer it.
        """
        try:
            return self._runner.run(self._send(burst))
        except* ToolError as errors:
            first: BaseException = errors
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            failure = first
        raise failure

    async def _send(self, burst: Burst) -> tuple[TimedAnswer, ...]:
        bodies = [self._body(burst.prompt_tokens, burst.output_tokens) for _ in range(burst.requests)]
        joining = [self._body(tokens, 1) for tokens in burst.joining]
        begun = [asyncio.Event() for _ in bodies]
        answers: list[TimedAnswer] = []
        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(self._ask(body, event)) for body, event in zip(bodies, begun, strict=True)]
            if joining:
                for event in begun:
                    await event.wait()
                answers = [await self._ask(body, asyncio.Event()) for body in joining]
        return (*(task.result() for task in sent), *answers)

    def _body(self, prompt_tokens: int, output_tokens: int) -> bytes:
        return self._prompts.body(next(self._numbers), prompt_tokens, 0, output_tokens)

    async def _ask(self, body: bytes, begun: asyncio.Event) -> TimedAnswer:
        sent_s = time.monotonic()
        answer = await self._client.ask(body, lambda _: begun.set())
        if answer.outcome != Outcome.OK:
            raise ToolError(
                f"the server did not answer a request of the calibration: {answer.text}", help="see the server's log"
            )
        return TimedAnswer(sent_s=sent_s, token_s=tuple(itertools.accumulate(answer.gaps_s, initial=answer.first_s)))
