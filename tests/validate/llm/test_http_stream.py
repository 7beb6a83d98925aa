"""HTTP answers with server-sent events, read from pieces cut anywhere."""

import contextlib
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.validate.llm.load.http_stream import EventDecoder, ResponseReader, StreamError

from .wire import recorded

ANSWERS = ("completion", "completion_ids", "interval3", "one_token")


def read(answer: bytes, cuts: list[int]) -> tuple[list[bytes], ResponseReader]:
    """The events of an answer that comes in pieces."""
    reader, found, edges = ResponseReader(), [], [0, *sorted(cuts), len(answer)]
    for start, end in itertools.pairwise(edges):
        found += reader.feed(answer[start:end])
    return found, reader


@pytest.mark.parametrize("name", ANSWERS)
def test_every_event_of_a_recorded_answer_is_read(name: str) -> None:
    """Each is JSON but the last, which says that the stream is done."""
    events, reader = read(recorded(name), [])
    assert events[-1] == b"[DONE]"
    assert all(json.loads(event)["object"] == "text_completion" for event in events[:-1])
    assert reader.status == 200
    assert reader.is_complete


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_where_an_answer_is_cut_does_not_matter(data: st.DataObject) -> None:
    """The same events come out of any pieces."""
    answer = recorded(data.draw(st.sampled_from(ANSWERS)))
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=20))
    assert read(answer, cuts)[0] == read(answer, [])[0]


def test_byte_by_byte() -> None:
    """Even a byte at a time."""
    answer = recorded("completion")
    assert read(answer, list(range(len(answer))))[0] == read(answer, [])[0]


def test_an_error_has_a_body_and_no_events() -> None:
    """A refusal is not read as a stream."""
    events, reader = read(recorded("too_long"), [100, 300])
    assert events == []
    assert reader.status == 400
    assert b"maximum" in reader.body
    assert reader.is_complete


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_answer_that_ends_early_is_an_error(share: float) -> None:
    """A server that dies in the middle of a stream is noticed."""
    answer = recorded("completion")
    _, reader = read(answer[: int(len(answer) * share)], [])
    assert not reader.is_complete
    with pytest.raises(StreamError, match="in the middle"):
        reader.end()


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    """As HTTP/1.0 servers and some gateways do."""
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: 1\n\ndata: 2\n\n") == [b"1", b"2"]
    assert not reader.is_complete
    reader.end()
    assert reader.is_complete
    assert not reader.is_reusable


def test_a_connection_is_used_again_only_where_nothing_is_left() -> None:
    """Bytes after an answer belong to nobody."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9;x=y\r\ndata: 1\n\n\r\n0\r\nTrailer: t\r\n\r\n"
    clean, dirty = ResponseReader(), ResponseReader()
    assert clean.feed(answer) == dirty.feed(answer + b"HTTP") == [b"1"]
    assert clean.is_reusable
    assert not dirty.is_reusable


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 ok\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"x" * 70_000,
    ],
)
def test_bytes_that_are_no_answer_are_refused(answer: bytes) -> None:
    """Whatever stands at the other end."""
    with pytest.raises(StreamError):
        ResponseReader().feed(answer)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_readers(content: bytes) -> None:
    """Any input is an event, nothing, or a stream error."""
    EventDecoder().feed(content)
    with contextlib.suppress(StreamError):
        ResponseReader().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + content)


def test_events_of_several_lines_and_remarks() -> None:
    """As the standard has them."""
    decoder = EventDecoder()
    assert decoder.feed(b": ping\n\nevent: x\ndata: a\ndata:b\nid: 3\n\n") == [b"a\nb"]
