"""`infc plan` and its neighbours on specs of language models, as their users run them."""

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from infc.cli import app
from infc.report.plan_schema import plan_schema

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "specs/qwen3-8b/model/config.json"
HEAD = "apiVersion: infc.dev/v1\nkind: InferenceSpec\n"
TRAFFIC = "workload: {rate: 6/s, prompt_tokens: {p50: 400, max: 1500}, output_tokens: {p50: 60, max: 200}}\n"
SLO = "slo: {ttft: {p95: 600ms}, tpot: {p95: 40ms}}\n"


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner().invoke(app, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A chat model on one kind of device, in a workspace of its own."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_bytes(CONFIG.read_bytes())
    path = tmp_path / "chat.infc.yaml"
    path.write_text(HEAD + "model: {checkpoint: model}\n" + SLO + TRAFFIC + "constraints: {hardware: [l40s]}\n")
    return path


def test_json_holds_the_decision_and_token_latencies(spec: Path) -> None:
    """The document validates; ttft and tpot are there, batches of a dynamic batcher are null."""
    code, out, _ = run("plan", str(spec), "--format", "json")
    document = json.loads(out)
    jsonschema.validate(document, plan_schema())
    assert code == 0
    (entry,) = document["specs"]
    decision, estimate = entry["decision"], entry["estimate"]
    assert decision["server"] == "vllm"
    assert decision["max_batch_size"] is None
    assert decision["accelerators"] == decision["replicas"] * decision["tensor_parallel"]
    assert estimate["ttft_ms"]["p95"]["value"] <= 600
    assert estimate["tpot_ms"]["p95"]["value"] <= 40
    assert estimate["ttft_ms"]["p95"]["low"] <= estimate["ttft_ms"]["p95"]["value"]
    assert estimate["cost"]["usd_per_million_tokens"] > 0
    assert entry["search"]["considered"] == entry["search"]["simulated"] + sum(entry["search"]["pruned"].values())


def test_text_shows_the_targets(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promised percentile stands beside its limit, in a hundred columns."""
    monkeypatch.chdir(spec.parent)
    code, out, _ = run("plan", spec.name)
    assert code == 0
    assert "ttft p95" in out
    assert "tpot p95" in out
    assert max(len(line) for line in out.splitlines()) <= 100


def test_markdown_shows_the_targets(spec: Path) -> None:
    """One row with every promised percentile and its limit."""
    code, out, _ = run("plan", str(spec), "--format", "markdown")
    assert code == 0
    assert "tpot p95" in out
    assert "of 40 ms" in out


def test_why_explains_exact_settings(spec: Path) -> None:
    """One line for each constraint; a device that the spec does not name is refused with what it considers."""
    code, out, _ = run("plan", str(spec), "--why", "bf16/l40s/tp1/s32/t2048")
    assert code == 0
    assert "bf16/l40s/tp1/s32/t2048" in out
    assert "slo.tpot.p95" in out


def test_an_impossible_target_names_itself_and_what_would_do(spec: Path) -> None:
    """Exit 3, and the relaxation names the SLO."""
    spec.write_text(spec.read_text().replace("p95: 40ms", "p95: 2ms"))
    code, out, _ = run("plan", str(spec))
    assert code == 3
    assert "slo.tpot.p95" in out


def test_a_hub_model_that_is_not_here_says_how_to_get_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched: exit 1, with the command that fetches config.json. With it in the cache the spec plans."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    revision = "0123456789abcdef0123456789abcdef01234567"
    spec = tmp_path / "llm.infc.yaml"
    model = f"model: {{huggingface: {{repo: a/b, revision: {revision}}}}}\n"
    spec.write_text(HEAD + model + SLO + TRAFFIC + "constraints: {hardware: [l40s]}\n")
    code, _, errors = run("plan", str(spec))
    assert code == 1
    assert "plan-hub-model-missing" in errors
    assert "infc plan --fetch" in errors
    assert revision in errors
    snapshot = tmp_path / "hub/models--a--b/snapshots" / revision
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_bytes(CONFIG.read_bytes())
    code, out, _ = run("plan", str(spec), "--format", "json")
    assert code == 0
    assert json.loads(out)["specs"][0]["status"] == "feasible"


def test_requests_beyond_the_context_are_refused_on_their_line(spec: Path) -> None:
    """The longest request has to fit the model's context."""
    spec.write_text(spec.read_text().replace("max: 1500", "max: 65536"))
    code, _, errors = run("plan", str(spec))
    assert code == 1
    assert "plan-context-exceeded" in errors
    assert "chat.infc.yaml:5" in errors
