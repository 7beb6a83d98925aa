"""Measurements of language models as text and JSON: every number where a reader looks for it, the schema kept."""

import json
import math
from dataclasses import replace

import pytest

from infc.ir.accuracy import Verdict
from infc.ir.interval import Interval
from infc.ir.llm_measurement import LlmMeasurement, ServerView
from infc.ir.measurement import SloVerdict
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimePoint, StepTimeProfile
from infc.report.layout import WIDTH
from infc.report.llm_measurement_json import render_llm_measurement_json
from infc.report.llm_measurement_schema import llm_measurement_schema
from infc.report.llm_measurement_text import render_llm_measurement_text

jsonschema = pytest.importorskip("jsonschema", reason="a development dependency")


def around(value: float, *, high: float | None = None) -> Interval:
    """An interval of a tenth on both sides."""
    return Interval(value=value, low=0.9 * value, high=1.1 * value if high is None else high)


def verdict(label: str, limit_s: float, kind: Verdict, overs: int, needed: int | None = None) -> SloVerdict:
    """A verdict over 600 requests."""
    return SloVerdict(
        label=label,
        limit_s=limit_s,
        predicted_s=around(0.02),
        measured_s=around(0.021),
        confidence=0.99,
        verdict=kind,
        samples=600,
        overs=overs,
        effective_samples=300.0,
        samples_needed=needed,
    )


MEASURED = LlmMeasurement(
    name="chat",
    target="cpu",
    tool="infc",
    offered_rps=4.0,
    completed_rps=3.98,
    goodput_rps=3.99,
    output_tokens_per_s=141.2,
    requests=600,
    errors=0,
    duration_s=150.0,
    percentiles_s={
        "ttft": {"mean": around(0.05), "p50": around(0.04), "p95": around(0.2), "p99": around(0.37, high=math.inf)},
        "tpot": {"mean": around(0.01), "p50": around(0.01), "p99": around(0.0175)},
        "itl": {"p50": around(0.0085)},
        "e2e": {"p50": around(0.41)},
    },
    predicted_s={"ttft": {"p50": around(0.014), "p99": around(0.35)}, "tpot": {"p50": around(0.0098)}},
    mean_prompt_tokens=71.03,
    mean_output_tokens=36.82,
    send_lag_p99_s=0.0011,
    verdicts=(verdict("ttft p99", 2.0, Verdict.PASS, 0), verdict("tpot p99", 0.2, Verdict.PASS, 1)),
    verdict=Verdict.PASS,
    stopped_by="settled",
    environment={"server": "vLLM 0.32.0", "model": "chat, bf16", "device": "a processor, 2 threads"},
    server=ServerView(
        mean_s={"ttft": 0.048, "tpot": 0.0101},
        client_mean_s={"ttft": 0.05, "tpot": 0.0102},
        requests=597,
        preemptions=3,
        kv_cache_usage=0.17,
    ),
    warmup_s=3.9,
    notes=("something that a reader must know, in a sentence that is long enough to be wrapped over two lines " * 2,),
)


def test_a_report_fits_the_page_and_says_it_all() -> None:
    """Limits, predictions, measurements and verdicts stand side by side."""
    text = render_llm_measurement_text(MEASURED)
    assert max(map(len, text.splitlines())) <= WIDTH
    lines = text.splitlines()
    assert lines[0] == "chat on cpu: pass"
    [ttft_p99] = [line for line in lines if "pass, 0 of 600 over" in line]
    assert ttft_p99.split()[:3] == ["p99", "2000", "350"]
    assert "370 (333 to ?)" in ttft_p99
    assert not any(line.split()[:1] == ["p95"] for line in lines), "only targets and the usual percentiles"
    for words in (
        "3.99 requests/s within every target: 99.7% of those offered",
        "71.03 a prompt and 36.82 an output",
        "TTFT 48.0 ms (client 50.0)",
        "3 preemptions",
        "the verdict was settled",
        "outside the predicted interval: TTFT p50",
        "note: something that a reader must know",
    ):
        assert words in " ".join(text.split()), words


def test_a_rehearsal_and_another_tool_are_marked() -> None:
    """Nobody takes them for what they are not."""
    text = render_llm_measurement_text(replace(MEASURED, is_rehearsal=True, tool="aiperf", stopped_by="imported"))
    assert "no accelerator ran" in text.splitlines()[1]
    assert "open loop by AIPerf" in " ".join(text.split())
    assert "measured by another tool" in text


def test_an_open_verdict_says_what_would_settle_it() -> None:
    """A budget, or that none would do."""
    open_test = verdict("ttft p99", 2.0, Verdict.INCONCLUSIVE, 2, needed=1200)
    measured = replace(MEASURED, verdicts=(open_test,), verdict=Verdict.INCONCLUSIVE, stopped_by="budget")
    assert "about 1200 requests would settle it: --budget 364s" in render_llm_measurement_text(measured)
    hopeless = replace(measured, verdicts=(replace(open_test, samples_needed=None),))
    assert "too close to its limit" in " ".join(render_llm_measurement_text(hopeless).split())
    assert "help:" not in render_llm_measurement_text(replace(measured, stopped_by="saturated"))


@pytest.mark.parametrize(
    "measured",
    [
        MEASURED,
        replace(MEASURED, server=None, verdicts=(), predicted_s={}, tool="guidellm", stopped_by="imported"),
        replace(
            MEASURED,
            step_times=StepTimeProfile(
                model_digest="0" * 64,
                precision=Precision.BF16,
                hardware_id="cpu",
                tensor_parallel=1,
                points=(StepTimePoint(prefill_tokens=0, decode_seqs=4, context_tokens=400, seconds=0.01, samples=9),),
                environment={},
            ),
        ),
    ],
)
def test_the_json_keeps_its_schema(measured: LlmMeasurement) -> None:
    """Infinite bounds are null; what was not measured is null or empty."""
    document = json.loads(render_llm_measurement_json(measured))
    jsonschema.validate(document, llm_measurement_schema())
    assert document["ttft_ms"]["p99"]["high"] is None
    assert document["kind"] == "language-model"


def test_color_marks_the_verdict_and_changes_nothing_else() -> None:
    """The same words with and without."""
    import click

    colored = render_llm_measurement_text(MEASURED, color=True)
    assert "\x1b[32m" in colored
    assert click.unstyle(colored) == render_llm_measurement_text(MEASURED)
