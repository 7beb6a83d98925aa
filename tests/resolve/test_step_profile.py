"""Measured step times as people write them."""

import json

import pytest

from infc.ir.precision import Precision
from infc.ir.step_time import StepTimePoint, StepTimeProfile
from infc.resolve.llm_json import text_from_step_times
from infc.resolve.step_profile import step_profile_from_text

STEP = {"prefill_tokens": 64, "decode_seqs": 3, "context_tokens": 900, "ms": 12.5}


def test_the_documented_form_is_read() -> None:
    """Steps with milliseconds; overheads where the file has them; absent counts are none."""
    text = json.dumps({"steps": [STEP, {"decode_seqs": 1, "ms": 8}], "step_overhead_ms": 1.5})
    profile, problems = step_profile_from_text(text)
    assert problems == ()
    assert profile is not None
    assert profile.points[0] == StepTimePoint(prefill_tokens=64, decode_seqs=3, context_tokens=900, seconds=0.0125)
    assert profile.points[1].prefill_tokens == 0
    assert (profile.overhead_s, profile.request_s) == (0.0015, None)


def test_means_and_further_keys_are_taken() -> None:
    """A mean context is rounded; what else a complete row says is ignored."""
    profile, _ = step_profile_from_text(json.dumps({"steps": [{**STEP, "context_tokens": 900.6, "gpu": "l4"}]}))
    assert profile is not None
    assert profile.points[0].context_tokens == 901


def test_a_bare_list_is_read() -> None:
    """The list of steps without the object around it."""
    profile, _ = step_profile_from_text(json.dumps([STEP]))
    assert profile is not None
    assert len(profile.points) == 1


def test_a_stored_profile_is_read() -> None:
    """What infc itself stored of a model has the same points, and the server's part around them."""
    point = StepTimePoint(prefill_tokens=0, decode_seqs=2, context_tokens=10, seconds=0.25, samples=7)
    stored = StepTimeProfile(
        model_digest="sha256:" + "0" * 64,
        precision=Precision.BF16,
        hardware_id="l4",
        tensor_parallel=1,
        points=(point,),
        environment={"server": "vllm 0.32.0"},
        overhead_s=0.001,
        sequence_overhead_s=0.0002,
        request_s=0.006,
    )
    profile, problems = step_profile_from_text(text_from_step_times(stored))
    assert problems == ()
    assert profile is not None
    assert profile.points == (point,)
    assert (profile.overhead_s, profile.sequence_overhead_s, profile.request_s) == (0.001, 0.0002, 0.006)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("3", "no list `steps`"),
        ('{"step": []}', "no list `steps`"),
        ('{"steps": []}', "`steps` is empty"),
        ('{"steps": [3]}', "steps[0] is not an object"),
        ('{"steps": [{"decode_seqs": 1}]}', "steps[0].ms is not a number"),
        ('{"steps": [{"decode_seqs": 1, "ms": -1}]}', "steps[0].ms is not a number"),
        ('{"steps": [{"decode_seqs": -1, "ms": 1}]}', "steps[0].decode_seqs is not a number"),
        ('{"steps": [{"decode_seqs": "1", "ms": 1}]}', "steps[0].decode_seqs is not a number"),
        ('{"steps": [{"ms": 1}]}', "computes nothing"),
        ('{"steps": [{"decode_seqs": 1, "ms": 1, "samples": 0}]}', "samples"),
        ('{"steps": [{"prefill_tokens": 1, "ms": 1, "prefill_seqs": 0.5}]}', "prefill_seqs"),
        ('{"steps": [{"decode_seq": 1, "ms": 1}]}', "unknown key `decode_seq`"),
        ('{"steps": [{"decode": 1, "ms": 1}]}', "unknown key `decode`"),
        ('{"steps": [{"decode_seqs": 1, "ms": 1}], "step_overhead_ms": "1"}', "step_overhead_ms is not"),
        ('{"kind": "step-time", "points": []}', "format_version"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    """Never an exception, never a half-read profile."""
    profile, problems = step_profile_from_text(text)
    assert profile is None
    assert problem in problems[0]


def test_many_problems_are_counted() -> None:
    """Ten are told, the rest is a number."""
    _, problems = step_profile_from_text(json.dumps({"steps": [{"ms": 1}] * 25}))
    assert len(problems) == 11
    assert problems[-1] == "and 15 more"
