"""Steps read from vLLM's own log."""

from itertools import pairwise
from pathlib import Path

import pytest

from infc.validate.llm.design import Burst, replay
from infc.validate.llm.step_log import kv_cache_tokens, logged_steps, steps_from_log

LOG = (Path(__file__).parent / "data" / "vllm-0.32-steps.log").read_text(encoding="utf-8")
"""Of vLLM 0.32.0 on a CPU: a request of 16 tokens, then two of 64 tokens at once, 60 tokens generated for each."""
LINE = LOG.splitlines()[2]


def test_every_step_is_found_between_other_lines() -> None:
    """121 steps in order; start-up and statistics are no steps."""
    steps = logged_steps(LOG)
    assert len(steps) == 121
    assert all(a.index < b.index for a, b in pairwise(steps))
    first = steps[0]
    assert (first.prefill_seqs, first.prefill_tokens, first.decode_seqs, first.seconds) == (1, 16, 0, 0.02048)
    assert {step.engine for step in steps} == {0}


@pytest.mark.parametrize(
    "text",
    [
        f"2026-11-21T21:08:08.123456Z stdout F {LINE}",
        f"\x1b[0;36m(APIServer pid=1)\x1b[0;0m {LINE}\x1b[0m",
        '{"level": "INFO", "message": "' + LINE + '"}',
        LINE.partition(", CPU KV")[0],
        LINE.replace("Engine 000: ", ""),
        LINE.replace("CPU KV", "GPU KV") + ", encoder inputs: 1, encoder output embeddings: 64",
    ],
    ids=["container clock", "colours", "JSON lines", "earlier releases", "no engine", "images"],
)
def test_whatever_stands_around_a_step(text: str) -> None:
    """Clocks of containers, colours, JSON, and what other releases leave out or add."""
    [step] = logged_steps(text)
    assert (step.prefill_tokens, step.decode_seqs, step.seconds) == (16, 0, 0.02048)


@pytest.mark.parametrize(
    "text",
    [
        "",
        LINE[: LINE.index("ms")],
        LINE.replace("20.48 ms", "0.00 ms (dummy)").replace("1 context requests, 16", "0 context requests, 0"),
        LINE.replace("16 context tokens", "many context tokens"),
    ],
    ids=["nothing", "cut short", "a dummy step", "not a number"],
)
def test_what_is_no_step(text: str) -> None:
    """Lines that are still being written, and steps of no request."""
    assert logged_steps(text) == ()


def test_steps_of_unknown_traffic_get_their_context_from_the_cache() -> None:
    """The share of the KV cache in use times its size, which the log names; nothing where that is unknown."""
    assert kv_cache_tokens(LOG) == 200_032
    assert kv_cache_tokens(LINE) is None
    points = steps_from_log(LOG, block_tokens=32)
    decoding = [point for point in points if point.decode_seqs == 2 and not point.prefill_tokens]
    # Two sequences of 64 to 124 tokens; the log rounds to 0.1%, here 200 tokens.
    assert all(0 < point.context_tokens <= 300 for point in decoding)
    assert sum(point.samples for point in points) == 121
    without = steps_from_log("\n".join(LOG.splitlines()[1:]))
    assert {point.context_tokens for point in without} == {0}


def test_drafted_tokens_are_left_out() -> None:
    """A step that decodes more tokens than sequences is of another kind."""
    drafting = LINE.replace("0 generation requests, 0 generation", "2 generation requests, 6 generation")
    assert steps_from_log(drafting) == ()


def test_a_burst_is_followed_through_the_log() -> None:
    """What each sequence had in its cache follows from the requests, step by step."""
    steps = logged_steps(LOG)
    alone = list(replay(Burst(requests=1, prompt_tokens=16, output_tokens=60), steps))
    assert [row.context_tokens for row in alone] == [0, *range(16, 75)]
    two = list(replay(Burst(requests=2, prompt_tokens=64, output_tokens=60), steps[60:]))
    assert len(two) == 61
    # The second prompt came while the first one decoded; the first one ends a step earlier.
    assert [row.context_tokens for row in two[:4]] == [0, 64, 129, 131]
    assert (two[-1].step.decode_seqs, two[-1].context_tokens) == (1, 122)


def test_foreign_steps_end_the_replay() -> None:
    """Steps that the requests do not make are not taken for theirs."""
    steps = logged_steps(LOG)
    assert list(replay(Burst(requests=1, prompt_tokens=15, output_tokens=60), steps)) == []
    assert len(list(replay(Burst(requests=1, prompt_tokens=16, output_tokens=60), [steps[0], *steps[60:]]))) == 1
