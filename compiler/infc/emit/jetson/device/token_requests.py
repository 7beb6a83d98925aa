"""Requests to a language model in OpenAI's protocol, whose answers come token by token as server-sent events."""

from __future__ import annotations

import http.client
import json
import random
import time
from typing import Any

from .sending import RequestError, answer_of
from .service import host_and_port

_WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state")
_FIRST_ID, _LAST_ID = 10, 250
"""Token ids that every vocabulary has, and that are bytes or plain pieces of text in most."""
_LONGEST_LINE = 1 << 20


class TokenClient:
    """One connection; request `index` sends a prompt of its own, as long as the load says, and reads all its tokens."""

    def __init__(self, manifest: dict[str, Any], timeout_s: float, seed: int = 0) -> None:
        service = manifest["service"]
        self.service, self.seed = service, seed
        self.lengths = request_lengths(manifest["load"]["tokens"])
        self.connection = http.client.HTTPConnection(*host_and_port(service["url"]), timeout=timeout_s)

    def exchange(self, index: int) -> tuple[float, int]:
        """When the first token came, and how many there were."""
        path, body = request_body(self.service, *self.lengths[index % len(self.lengths)], self.seed + index)
        try:
            headers = {"Content-Type": "application/json"}
            response = answer_of(self.connection, path, json.dumps(body).encode(), headers)
            if response.status != http.client.OK:
                words = response.read(300).decode("utf-8", "replace")
                raise RequestError(f"HTTP status {response.status}: {words}")
            return _read_tokens(response)
        except (http.client.HTTPException, ValueError) as error:
            raise RequestError(str(error)) from error
        finally:
            # uvicorn closes a connection that was idle for 5 s, and a request on it would count as failed.
            self.connection.close()

    def close(self) -> None:
        """Close it; the next request opens it again."""
        self.connection.close()


def request_lengths(tokens: dict[str, Any]) -> list[tuple[int, int]]:
    """Tokens of prompt and answer, request by request in turn.

    >>> request_lengths({"prompt_tokens": 8, "output_tokens": 4})
    [(8, 4)]
    """
    prompts = tokens.get("prompt_lengths") or [tokens["prompt_tokens"]]
    outputs = tokens.get("output_lengths") or [tokens["output_tokens"]]
    return [(int(prompt), int(output)) for prompt, output in zip(prompts, outputs)]  # noqa: B905 - Python 3.8


def request_body(
    service: dict[str, Any], prompt_tokens: int, output_tokens: int, seed: int
) -> tuple[str, dict[str, Any]]:
    """Path and body of a request that no other prompt's cache can answer; the answer is as long as asked.

    vLLM takes token ids, so the prompt's length is exact. TensorRT Edge-LLM takes a conversation: about a token a word.
    """
    generator = random.Random(seed)  # noqa: S311 - no secret
    body: dict[str, Any] = {
        "model": service["model"],
        "max_tokens": output_tokens,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if service["kind"] == "vllm":
        prompt = [generator.randint(_FIRST_ID, _LAST_ID) for _ in range(prompt_tokens)]
        body.update(prompt=prompt, ignore_eos=True, min_tokens=output_tokens)
        return "/v1/completions", body
    text = " ".join(generator.choice(_WORDS) for _ in range(prompt_tokens))
    return "/v1/chat/completions", {**body, "messages": [{"role": "user", "content": text}]}


def _read_tokens(response: http.client.HTTPResponse) -> tuple[float, int]:
    """Read a stream to its end: when the first text came, and how many tokens the server says that there were."""
    first_s, pieces, counted = 0.0, 0, None
    while True:
        line = response.readline(_LONGEST_LINE)
        if not line:
            break
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            response.read()
            break
        event = json.loads(data)
        if "error" in event:
            raise RequestError(str(event["error"])[:300])
        counted = (event.get("usage") or {}).get("completion_tokens", counted)
        if any(_has_text(choice) for choice in event.get("choices", ())):
            first_s = first_s or time.monotonic()
            pieces += 1
    if not pieces:
        raise RequestError("the answer has no token")
    return first_s, int(counted or pieces)


def _has_text(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    return bool(choice.get("text") or delta.get("content") or delta.get("reasoning_content"))
