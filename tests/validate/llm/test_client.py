"""Streamed completions: which token came when, and what became of requests that failed."""

import asyncio
import socket

import pytest

from infc.serve.http_get import endpoint_from
from infc.validate.llm.load.client import Answer, CompletionClient, Outcome

from .wire import kept_open, playing, recorded


def ask(url: str, times: int = 1, timeout_s: float = 5.0) -> list[Answer]:
    """The answers to so many requests, one after another."""

    async def each() -> list[Answer]:
        client = CompletionClient(endpoint_from(url), headers={}, timeout_s=timeout_s)
        try:
            return [await client.ask(b"{}") for _ in range(times)]
        finally:
            client.close()

    return asyncio.run(each())


@pytest.mark.parametrize("piece", [7, 1000, 100_000])
def test_tokens_are_counted_as_the_server_counts_them(piece: int) -> None:
    """Six tokens and the twelve of the prompt, however the stream is cut."""
    with playing(recorded("completion"), piece=piece) as url:
        [answer] = ask(url)
    assert (answer.outcome, answer.tokens, answer.prompt_tokens) == (Outcome.OK, 6, 12)
    assert len(answer.gaps_s) == 5
    assert answer.last_s - answer.first_s == pytest.approx(sum(answer.gaps_s))


@pytest.mark.parametrize("name", ["completion_ids", "completion_plain_usage"])
def test_servers_that_count_otherwise(name: str) -> None:
    """Token numbers in each message, or only a sum at the end: still six tokens."""
    with playing(recorded(name)) as url:
        [answer] = ask(url)
    assert (answer.outcome, answer.tokens) == (Outcome.OK, 6)
    assert len(answer.gaps_s) == 5


def test_several_tokens_in_one_message_have_no_gap_between_them() -> None:
    """A server that sends every third step: ten tokens, few messages."""
    with playing(recorded("interval3"), piece=200, pause_s=0.002) as url:
        [answer] = ask(url)
    assert answer.tokens == 10
    assert len(answer.gaps_s) == 9
    assert sum(gap == 0.0 for gap in answer.gaps_s) >= 5
    assert answer.last_s - answer.first_s == pytest.approx(sum(answer.gaps_s))


def test_one_token_has_no_gap() -> None:
    """Its TPOT does not exist."""
    with playing(recorded("one_token")) as url:
        [answer] = ask(url)
    assert (answer.tokens, answer.gaps_s) == (1, [])


@pytest.mark.parametrize(("name", "status", "words"), [("too_long", 400, "maximum"), ("unknown_model", 404, "other")])
def test_a_refusal_is_told_in_the_servers_words(name: str, status: int, words: str) -> None:
    """The message of its JSON, not the JSON."""
    with playing(recorded(name)) as url:
        [answer] = ask(url)
    assert answer.outcome == status
    assert words in answer.text
    assert "{" not in answer.text[:1]


def test_connections_are_kept_and_used_again() -> None:
    """A second request goes over the same connection, and over a new one where the server closed it."""
    stays, closes = kept_open(recorded("completion")), recorded("completion")
    with playing(stays, stays, closes, stays) as url:
        assert [answer.tokens for answer in ask(url, 4)] == [6, 6, 6, 6]


def test_a_connection_that_was_closed_meanwhile_is_tried_again_once() -> None:
    """The server saw nothing of the request, so that nothing is sent twice."""
    with playing(kept_open(recorded("completion")), b"", recorded("completion")) as url:
        assert [answer.outcome for answer in ask(url, 2)] == [Outcome.OK, Outcome.OK]


def test_a_stream_that_breaks_is_a_failure() -> None:
    """Even if it had tokens."""
    answer = recorded("completion")
    cut = answer[: len(answer) // 2] + b"\r\nnonsense\r\n"
    with playing(cut) as url:
        [broken] = ask(url)
    assert broken.outcome == Outcome.BROKEN


def test_an_error_inside_a_stream_is_a_failure() -> None:
    """As vLLM sends one when its engine dies."""
    event = b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(event)
    with playing(head + event) as url:
        [answer] = ask(url)
    assert (answer.outcome, answer.text) == (Outcome.ERROR_EVENT, "EngineCore died")


def test_no_tokens_no_json_no_server_no_time() -> None:
    """Each has a name."""
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\ndata: [DONE]\n\n"
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\ndata: hi!\n\n"
    with playing(empty, text) as url:
        assert [answer.outcome for answer in ask(url, 2)] == [Outcome.NO_TOKENS, Outcome.BROKEN]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert ask(f"http://127.0.0.1:{port}")[0].outcome == Outcome.NO_CONNECTION
    with playing(recorded("completion"), piece=50, pause_s=0.05) as url:
        assert ask(url, timeout_s=0.2)[0].outcome == Outcome.TIMEOUT
