"""The spec's own traffic as files that other load generators replay: when each request comes, and how long it is.

So whoever sends the load, it is the same requests at the same times as infc's own, and not a shape that a tool's few
options can come near to.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infc.sim.continuous_batching import TokenRequests
from infc.validate.llm.load.prompts import PromptSource

BLOCK_TOKENS = 16
"""Tokens that one hash of a trace stands for: vLLM's own block on GPUs, so that a shared prefix can be cached."""


@dataclass(frozen=True, kw_only=True)
class TraceLine:
    """One request: milliseconds from the first, tokens in and out, and a hash of every block of its prompt."""

    timestamp_ms: float
    input_length: int
    output_length: int
    hash_ids: tuple[int, ...]


def trace_lines(requests: TokenRequests, run: int) -> Iterator[TraceLine]:
    """The requests as lines of a trace. Prompts share the hashes of the blocks of their common prefix, and no others.

    `run` tells runs apart, so that the prefix cache of a server does not know the prompts of an earlier one.
    """
    base = run << 20
    shared = [base + index for index in range(int(requests.prefix_tokens.max()) // BLOCK_TOKENS)]
    next_id = base + len(shared)
    for index in range(len(requests)):
        prompt, prefix = int(requests.prompt_tokens[index]), int(requests.prefix_tokens[index])
        blocks = -(-prompt // BLOCK_TOKENS)
        common = shared[: prefix // BLOCK_TOKENS]
        own = range(next_id, next_id + blocks - len(common))
        next_id += len(own)
        yield TraceLine(
            timestamp_ms=round(float(requests.arrivals_s[index] - requests.arrivals_s[0]) * 1e3, 3),
            input_length=prompt,
            output_length=int(requests.output_tokens[index]),
            hash_ids=(*common, *own),
        )


def write_trace(path: Path, requests: TokenRequests, run: int) -> None:
    """A trace of lengths in JSON Lines, times in seconds: what `vllm bench serve` and guidellm read."""
    lines = (
        json.dumps(
            {
                "timestamp": line.timestamp_ms / 1e3,
                "input_length": line.input_length,
                "output_length": line.output_length,
                "hash_ids": list(line.hash_ids),
            }
        )
        for line in trace_lines(requests, run)
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_payloads(path: Path, requests: TokenRequests, prompts: PromptSource) -> None:
    """A trace of whole requests in JSON Lines, times in milliseconds: what AIPerf sends as it is."""
    with path.open("w", encoding="utf-8") as out:
        for index, line in enumerate(trace_lines(requests, prompts.run)):
            prefix = int(requests.prefix_tokens[index])
            body = json.loads(prompts.body(index, line.input_length, prefix, line.output_length))
            out.write(json.dumps({"timestamp": line.timestamp_ms, "payload": body}) + "\n")
