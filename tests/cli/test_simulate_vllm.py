"""`infc simulate vllm` as its user sees it."""

import io
import json
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.cli.edge import guarded
from infc.report.simulation_tokens_schema import token_simulation_schema

STEPS = [
    {"prefill_tokens": 0, "decode_seqs": 1, "context_tokens": 500, "ms": 8.3},
    {"prefill_tokens": 0, "decode_seqs": 8, "context_tokens": 4000, "ms": 11.0},
    {"prefill_tokens": 0, "decode_seqs": 32, "context_tokens": 20000, "ms": 18.6},
    {"prefill_tokens": 512, "decode_seqs": 0, "context_tokens": 0, "ms": 35},
    {"prefill_tokens": 2048, "decode_seqs": 0, "context_tokens": 0, "ms": 140},
]
CHAT = ("--prompt-tokens", "512", "--output-tokens", "64")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a step profile."""
    (tmp_path / "profile.json").write_text(json.dumps({"steps": STEPS}), encoding="utf-8")
    return tmp_path


class Done(NamedTuple):
    """What a run of the command left."""

    returncode: int
    stdout: str
    stderr: str


def simulate(*arguments: str, cwd: Path) -> Done:
    """Run the command in `cwd`, piped."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        code = guarded(app, args=["simulate", "vllm", "--step-profile", "profile.json", *arguments])
    return Done(code, out.getvalue(), err.getvalue())


def document(*arguments: str, cwd: Path) -> dict[str, dict[str, float]]:
    """The JSON answer, which must match its schema."""
    result = simulate("--format", "json", *arguments, cwd=cwd)
    assert result.returncode == 0, result.stderr
    answer: dict[str, dict[str, float]] = json.loads(result.stdout)
    Draft202012Validator(token_simulation_schema()).validate(answer)
    return answer


def test_json_has_the_documented_shape(folder: Path) -> None:
    """The example of the documentation; milliseconds; a light load is close to the steps alone."""
    answer = document(
        *("--rate", "2/s", *CHAT, "--max-num-seqs", "64", "--max-num-batched-tokens", "2048", "--requests", "1000"),
        cwd=folder,
    )
    assert 35 < answer["ttft_ms"]["p50"] < 60
    assert 8.3 < answer["tpot_ms"]["p50"] < 14
    assert answer["goodput_rps"] is None


def test_every_option_at_once(folder: Path) -> None:
    """A short cache preempts, a shared prefix is hit, goodput counts what meets the SLOs."""
    answer = document(
        *("--rate", "9/s", "--prompt-tokens", "p50:300,p90:900,max:3000", "--output-tokens", "p50:60,max:200"),
        *("--arrival", "bursty:2", "--shared-prefix", "30%", "--kv-cache-tokens", "8000", "--block-size", "32"),
        *("--long-prefill-tokens", "512", "--async-scheduling", "--step-overhead", "1ms", "--request-overhead", "0"),
        *("--ttft-slo", "500ms", "--tpot-slo", "40ms", "--requests", "1500", "--seed", "3"),
        cwd=folder,
    )
    assert answer["kv_cache"]["preemptions"] > 0
    assert 0.2 < answer["kv_cache"]["prefix_hit_share"] < 0.31
    assert 0 < answer["goodput_rps"] < answer["throughput_rps"]  # type: ignore[operator]


def test_text_tells_setting_latencies_and_load(folder: Path) -> None:
    """One line for each, no colors when piped."""
    result = simulate("--rate", "2/s", *CHAT, "--requests", "500", "--ttft-slo", "100ms", cwd=folder)
    assert result.returncode == 0
    for label in ("setting", "traffic", "ttft", "tpot", "itl", "latency", "queue", "load", "goodput", "kv cache"):
        assert any(line.startswith(label + " ") for line in result.stdout.splitlines()), label
    assert "\x1b" not in result.stdout


def test_a_closed_loop(folder: Path) -> None:
    """So many at a time: more of them, more tokens a second and slower ones."""
    one, many = (document("--concurrency", each, *CHAT, "--requests", "200", cwd=folder) for each in ("1", "16"))
    assert many["output_tokens_per_s"] > 4 * one["output_tokens_per_s"]  # type: ignore[operator]
    assert many["tpot_ms"]["p50"] > one["tpot_ms"]["p50"]


def test_a_trace_brings_rate_lengths_and_count(folder: Path) -> None:
    """All that a trace says needs no option."""
    rows = [f"{0.4 * index},{200 + index},{20 + index}" for index in range(60)]
    text = "\n".join(["timestamp_s,prompt_tokens,output_tokens", *rows]) + "\n"
    (folder / "monday.csv").write_text(text, encoding="utf-8")
    answer = document("--arrival", "trace:monday.csv", cwd=folder)
    assert answer["requests"] == 60
    assert answer["throughput_rps"] == pytest.approx(2.5, rel=0.06)


def test_overload_is_said(folder: Path) -> None:
    """A rate above what the server can answer is a warning."""
    result = simulate("--rate", "60/s", *CHAT, "--requests", "2000", cwd=folder)
    assert "warning: more requests arrive than can be answered" in result.stdout


def test_an_idle_server_is_not_called_overloaded(folder: Path) -> None:
    """Few requests may come later than their rate says; one that rests all the time keeps up with them."""
    result = simulate("--rate", "0.001/s", *CHAT, "--requests", "100", cwd=folder)
    assert " 0.1% busy" in result.stdout
    assert "warning: more requests" not in result.stdout


def test_outputs_of_one_token_have_no_time_between_tokens(folder: Path) -> None:
    """TPOT and ITL are null: there is no token after the first."""
    one = ("--rate", "2/s", "--prompt-tokens", "512", "--output-tokens", "1", "--requests", "100")
    answer = document(*one, cwd=folder)
    assert (answer["tpot_ms"], answer["itl_ms"]) == (None, None)
    assert "tpot        none: every output is one token" in simulate(*one, cwd=folder).stdout


def test_same_seed_same_output(folder: Path) -> None:
    """Byte for byte; another seed is another sample."""
    first, again, other = (
        simulate("--rate", "4/s", *CHAT, "--requests", "300", "--seed", seed, cwd=folder).stdout
        for seed in ("1", "1", "2")
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "2/s", "--prompt-tokens", "512"), "Missing option '--output-tokens'"),
        (CHAT, "Missing option '--rate'"),
        (("--rate", "2/s", "--concurrency", "4", *CHAT), "give one of them"),
        (("--rate", "2/s", "--prompt-tokens", "p50:5", "--output-tokens", "9"), "has no max"),
        (("--rate", "2/s", "--prompt-tokens", "p50:9,max:5", "--output-tokens", "9"), "must not fall"),
        (("--rate", "2/s", "--prompt-tokens", "many", "--output-tokens", "9"), "is no length"),
        (("--rate", "2/s", "--prompt-tokens", "0", "--output-tokens", "9"), "not a number of tokens"),
        (("--rate", "2", *CHAT), "rate"),
        (("--rate", "2/s", *CHAT, "--shared-prefix", "0.3"), "% sign"),
        (("--rate", "2/s", *CHAT, "--ttft-slo", "500"), "500ms"),
        (("--rate", "2/s", *CHAT, "--kv-cache-tokens", "100"), "does not fit the KV cache"),
        (("--rate", "2/s", *CHAT, "--max-num-batched-tokens", "8"), "max_num_seqs"),
    ],
)
def test_bad_options_are_usage_errors(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit 64 and what to write instead."""
    result = simulate(*arguments, cwd=folder)
    assert result.returncode == 64
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "`steps` is empty"),
        (STEPS[:3], "no step has prefill_tokens"),
        (STEPS[3:], "no step only decodes"),
        ([{"ms": "fast"}], "steps[0].ms"),
    ],
)
def test_bad_profiles_are_usage_errors(tmp_path: Path, steps: list[object], message: str) -> None:
    """A profile that cannot be read, or says too little, is told with its place."""
    (tmp_path / "profile.json").write_text(json.dumps({"steps": steps}), encoding="utf-8")
    result = simulate("--rate", "2/s", *CHAT, cwd=tmp_path)
    assert result.returncode == 64
    assert message in result.stderr
