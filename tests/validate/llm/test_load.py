"""A whole load test over loopback, against recorded answers of vLLM."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infc.diag import ToolError
from infc.ir.accuracy import Verdict
from infc.sim.continuous_batching import TokenRequests
from infc.validate.llm.load import LlmLoadSettings, LlmSubject, run_llm_load
from infc.validate.llm.load.generator import LlmLoadGenerator
from infc.validate.llm.load.latencies import known_sample
from infc.validate.llm.load.metrics import ServerMetrics
from infc.validate.llm.load.prompts import PromptSource
from tests.validate.llm_import.contracts import target

from .wire import kept_open, playing, recorded

QUICK = LlmLoadSettings(budget_s=1.5, min_warmup_s=0.2, min_measured_s=0.4, timeout_s=60.0)


def requests(rate_rps: float, seconds: float, output_tokens: int = 6) -> TokenRequests:
    """Evenly spaced requests of one size."""
    count = int(rate_rps * seconds)
    return TokenRequests(
        arrivals_s=np.arange(1, count + 1) / rate_rps,
        prompt_tokens=np.full(count, 12),
        output_tokens=np.full(count, output_tokens),
        prefix_tokens=np.zeros(count, dtype=np.int64),
    )


def subject(url: str) -> LlmSubject:
    """Targets that any machine holds."""
    return LlmSubject(
        name="played",
        target="cpu",
        url=url,
        model="tiny-llama",
        vocabulary=2048,
        targets={"ttft": (target(50, 30.0),), "tpot": (target(50, 30.0),)},
    )


def test_a_load_test_from_the_first_request_to_the_verdict() -> None:
    """Warm-up, measuring, early stop; a server without metrics is measured, and the report says so."""
    with playing(kept_open(recorded("completion"))) as url:
        measured = run_llm_load(subject(url), requests(80, 9), QUICK)
    assert measured.verdict is not Verdict.FAIL
    assert measured.stopped_by in ("settled", "budget")
    assert measured.errors == 0
    assert measured.mean_output_tokens == 6
    assert measured.mean_prompt_tokens == 12
    assert measured.goodput_rps == measured.offered_rps > 0
    assert set(measured.percentiles_s) == {"ttft", "tpot", "itl", "e2e"}
    assert all(each.overs == 0 for each in measured.verdicts)
    assert [each.label for each in measured.verdicts] == ["ttft p50", "tpot p50"]
    assert measured.server is None
    assert any("metrics could not be read" in note for note in measured.notes)


def test_refusals_fail_the_objective_and_are_told() -> None:
    """Every second request is refused: more than half miss, whatever the others took."""
    refused = kept_open(recorded("too_long"))
    with playing(kept_open(recorded("completion")), kept_open(recorded("completion")), refused, refused) as url:
        measured = run_llm_load(replace(subject(url), targets={"ttft": (target(90, 30.0),)}), requests(80, 9), QUICK)
    assert measured.verdict is not Verdict.PASS
    assert measured.errors > 0
    assert any("HTTP 400" in note and "maximum" in note for note in measured.notes)


def test_a_server_that_does_not_know_the_model_is_refused_at_once() -> None:
    """With the server's own words."""
    with playing(recorded("unknown_model")) as url, pytest.raises(ToolError, match="HTTP 404") as refusal:
        run_llm_load(subject(url), requests(10, 1), QUICK)
    assert "does not exist" in str(refusal.value.help)


def test_nobody_listens() -> None:
    """The address may be that of something else."""
    with pytest.raises(ToolError, match="no server answers"):
        run_llm_load(subject("http://127.0.0.1:9"), requests(10, 1), QUICK)


def page(requests_done: int, ttft_s: float, preemptions: int, cache: float) -> str:
    """What vLLM's metrics would say."""
    name = "vllm:time_to_first_token_seconds"
    done = "vllm:e2e_request_latency_seconds"
    lines = [f"# TYPE {name} histogram", f"# TYPE {done} histogram"]
    for each, total in ((name, requests_done * ttft_s), (done, requests_done * 2.0)):
        lines += [
            f'{each}_bucket{{le="+Inf",model_name="m"}} {requests_done}',
            f'{each}_sum{{model_name="m"}} {total}',
            f'{each}_count{{model_name="m"}} {requests_done}',
        ]
    lines += [f'vllm:num_preemptions_total{{model_name="m"}} {preemptions}']
    return "\n".join([*lines, f'vllm:kv_cache_usage_perc{{model_name="m"}} {cache}', ""])


def test_the_servers_own_figures_are_those_of_the_measured_time(tmp_path: Path) -> None:
    """What it counted before does not count; ours are of the same time, from the sending on."""
    prompts = PromptSource(model="m", vocabulary=100, run=1, longest_prefix=0)
    generator = LlmLoadGenerator(
        "http://127.0.0.1:9", requests(1, 4), prompts, job_file=tmp_path / "j.npz", timeout_s=1, max_outstanding=9
    )
    generator.sent = 4
    generator.sent_s = np.array([0.0, 9.0, 11.0, 12.0])
    generator.first_s = np.array([0.5, 9.5, 11.1, 12.3])
    generator.last_s = np.array([1.0, 11.5, 12.6, 12.8])
    generator.tokens[:] = 6
    generator.outcomes[:] = 0
    generator.gaps_s = {index: np.full(5, 0.1, dtype=np.float32) for index in range(4)}
    with playing(b"", pages=[page(100, 1.0, 7, 0.5), page(101, 1.0, 8, 0.9), page(104, 1.0 + 1 / 104, 9, 0.4)]) as url:
        metrics = ServerMetrics(url, "m")
        metrics.begin(10.0)
        metrics.look()
        metrics.end(20.0)
        view = metrics.view(generator)
    assert view is not None
    assert view.requests == 4
    assert view.mean_s == {"ttft": pytest.approx(1.25), "e2e": pytest.approx(2.0)}
    assert view.client_mean_s == {"ttft": pytest.approx(0.2), "e2e": pytest.approx((2.5 + 1.6 + 0.8) / 3)}
    assert (view.preemptions, view.kv_cache_usage) == (2, 0.9)


def test_a_server_that_restarted_has_no_figures(tmp_path: Path) -> None:
    """Its counters went down; the reason is kept for the report."""
    prompts = PromptSource(model="m", vocabulary=100, run=1, longest_prefix=0)
    generator = LlmLoadGenerator(
        "http://127.0.0.1:9", requests(1, 4), prompts, job_file=tmp_path / "j.npz", timeout_s=1, max_outstanding=9
    )
    with playing(b"", pages=[page(100, 1.0, 7, 0.5), page(3, 1.0, 0, 0.0)]) as url:
        metrics = ServerMetrics(url, "m")
        metrics.begin(0.0)
        metrics.end(1.0)
        assert metrics.view(generator) is None
    assert "restarted" in metrics.problem


def test_requests_count_up_to_the_first_whose_outcome_is_open(tmp_path: Path) -> None:
    """Those after one that is still on its way would favour the fast; one that is over already counts as over."""
    prompts = PromptSource(model="m", vocabulary=100, run=1, longest_prefix=0)
    generator = LlmLoadGenerator(
        "http://127.0.0.1:9", requests(1, 5), prompts, job_file=tmp_path / "j.npz", timeout_s=1, max_outstanding=9
    )
    generator.due_s = np.arange(5.0)
    generator.sent_s = generator.due_s + 0.01
    generator.sent = 5
    generator.now_s = 5.0
    generator.first_s[[0, 1, 3]] = [0.1, 1.2, 3.1]
    generator.last_s[[0, 3]] = [0.6, 3.6]
    generator.tokens[[0, 3]] = 6
    generator.outcomes[[0, 3]] = 0
    generator.outcomes[4] = 503
    ttft = known_sample(generator, "ttft", 2.5, 0, 5, is_final=False)
    assert ttft.seconds.tolist() == [pytest.approx(0.1), pytest.approx(0.2), np.inf, pytest.approx(0.1), np.inf]
    assert known_sample(generator, "ttft", 4.0, 0, 5, is_final=False).seconds.tolist() == pytest.approx([0.1, 0.2])
    assert known_sample(generator, "e2e", 4.5, 0, 5, is_final=False).seconds.tolist() == pytest.approx([0.6])
    # The second has taken 3.8 s for five more tokens: over at 0.5 s a token, open at 1 s.
    assert known_sample(generator, "tpot", 0.5, 0, 5, is_final=False).seconds.tolist() == [pytest.approx(0.1), np.inf]
    assert len(known_sample(generator, "tpot", 1.0, 0, 5, is_final=False).seconds) == 1
    assert len(known_sample(generator, "tpot", 1.0, 0, 5, is_final=True).seconds) == 5
    assert ttft.lags_s == pytest.approx(0.01)
