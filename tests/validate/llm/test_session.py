"""Which server a language model's bundle is tested on, and why not."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infc.diag import ToolError
from infc.serve.prometheus import parse_metrics
from infc.serve.vllm_installation import VLLM_VARIABLE
from infc.serve.vllm_pace.pace import Pace, PaceModel, Step
from infc.serve.vllm_view import Fact, FactName, FactValue, VllmView
from infc.sim.continuous_batching.step import step_s
from infc.validate.contract import CONTRACT_NAME
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.contract_json import to_json
from infc.validate.llm.limits import check_served, limit_notes
from infc.validate.llm.load import LlmLoadSettings
from infc.validate.llm.rehearsal import write_rehearsal
from infc.validate.llm.session import LlmValidationRequest, must_be_rehearsed, validate_llm_bundle
from infc.validate.session import has_gpu
from tests.validate.llm_import.contracts import contract, target

CPU = contract({"ttft": (target(99, 2.0),)})
GPU = replace(CPU, target="h100-sxm", model=replace(CPU.model, is_cpu=False, hardware_id="h100-sxm", block_tokens=16))
SERVE = {"model": "model", "served-model-name": "demo", "max-num-seqs": 16, "max-num-batched-tokens": 512}


def bundle(folder: Path, each: LlmContract, options: dict[str, object] = SERVE) -> Path:
    """A bundle with its contract and its configuration, without a model."""
    folder.mkdir(exist_ok=True)
    (folder / CONTRACT_NAME).write_bytes(to_json(each))
    (folder / "serve.yaml").write_text(yaml.safe_dump(options))
    return folder


def refusal(folder: Path, **options: bool) -> ToolError:
    """Why a bundle is not validated here."""
    request = LlmValidationRequest(bundle=folder, settings=LlmLoadSettings(), **options)
    with pytest.raises(ToolError) as raised:
        validate_llm_bundle(request)
    return raised.value


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_gpu_bundle_needs_a_gpu_an_endpoint_or_a_rehearsal(tmp_path: Path) -> None:
    """The error names both ways out."""
    error = refusal(bundle(tmp_path / "b", GPU), is_realtime=False)
    assert "no NVIDIA GPU" in str(error)
    assert "--rehearse" in str(error.help)
    assert "--endpoint http://" in str(error.help)
    assert must_be_rehearsed(tmp_path / "b")


def test_a_cpu_bundle_needs_no_rehearsal(tmp_path: Path) -> None:
    """It runs as it is."""
    error = refusal(bundle(tmp_path / "b", CPU), is_realtime=False, is_rehearsal=True)
    assert "needs no rehearsal" in str(error)
    assert not must_be_rehearsed(tmp_path / "b")


def test_without_vllm_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong INFC_VLLM is told, not passed over."""
    monkeypatch.setenv(VLLM_VARIABLE, str(tmp_path / "none"))
    error = refusal(bundle(tmp_path / "b", CPU), is_realtime=False)
    assert VLLM_VARIABLE in str(error)


def view(**facts: FactValue) -> VllmView:
    """A server that says so of itself."""
    names: dict[str, FactName] = {
        "version": "version",
        "max_model_len": "max-model-len",
        "kv_cache_tokens": "kv-cache-tokens",
        "prefix_caching": "prefix-caching",
        "max_num_seqs": "max-num-seqs",
    }
    return VllmView(
        url="http://127.0.0.1:8000",
        facts={names[name]: Fact(value=value, source="/v1/models") for name, value in facts.items()},
        served_models=("demo",),
        metrics=parse_metrics(""),
        silent={},
    )


def test_a_server_as_planned_is_nothing_to_speak_of() -> None:
    """A cache somewhat off its predicted size is as planned."""
    found = view(
        version="0.32.0+cpu", max_model_len=1024, kv_cache_tokens=125_000, prefix_caching=True, max_num_seqs=16
    )
    check_served(CPU, found)
    assert limit_notes(CPU, found) == ()
    assert limit_notes(CPU, view()) == ()


def test_what_is_not_as_planned_is_told() -> None:
    """One sentence for each."""
    found = view(version="0.33.0", max_model_len=2048, kv_cache_tokens=60_000, prefix_caching=False, max_num_seqs=8)
    notes = limit_notes(CPU, found)
    assert len(notes) == 5
    for word in ("0.33.0", "max-model-len 2048", "60,000", "max-num-seqs 8", "does not cache prefixes"):
        assert any(word in note for note in notes), word


def test_a_server_that_cannot_take_the_traffic_is_not_loaded() -> None:
    """Another model, or requests that are too long for it."""
    with pytest.raises(ToolError, match="serves demo, not other"):
        check_served(replace(CPU, model=replace(CPU.model, name="other")), view())
    with pytest.raises(ToolError, match="tokens at most"):
        check_served(CPU, view(max_model_len=64))


def test_a_rehearsal_keeps_every_limit(tmp_path: Path) -> None:
    """Sequences, tokens, chunking, prefix cache and KV tokens are the bundle's; what computes is not."""
    options = {
        **SERVE,
        "max-model-len": 1024,
        "no-enable-prefix-caching": True,
        "enable-chunked-prefill": True,
        "tensor-parallel-size": 2,
        "gpu-memory-utilization": 0.9,
        "quantization": "fp8",
    }
    made = write_rehearsal(bundle(tmp_path / "b", GPU, options), GPU, tmp_path / "r")
    settings = yaml.safe_load(made.config.read_text())
    for name in ("max-num-seqs", "max-num-batched-tokens", "max-model-len", "no-enable-prefix-caching"):
        assert settings[name] == options[name]
    assert "tensor-parallel-size" not in settings
    assert "quantization" not in settings
    cached = (settings["num-gpu-blocks-override"] - 1) * settings["block-size"]
    assert 0 <= cached - GPU.model.kv_cache_tokens < settings["block-size"]
    assert settings["kv-cache-memory-bytes"] > 0
    assert not made.has_tokenizer


def test_a_rehearsal_of_drafted_tokens_is_refused(tmp_path: Path) -> None:
    """Acceptance depends on what the model says."""
    drafting = replace(GPU, model=replace(GPU.model, is_speculative=True))
    with pytest.raises(ToolError, match="drafts tokens"):
        write_rehearsal(bundle(tmp_path / "b", drafting), drafting, tmp_path / "r")


@pytest.mark.parametrize("text", ["- a list", "{", "\x00"])
def test_a_configuration_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    """With its path."""
    folder = bundle(tmp_path / "b", GPU)
    (folder / "serve.yaml").write_text(text)
    with pytest.raises(ToolError, match=r"serve\.yaml"):
        write_rehearsal(folder, GPU, tmp_path / "r")


@pytest.mark.parametrize(("decoding", "context", "prefill", "chunks"), [(0, 0, 64, 1), (4, 900, 0, 0), (7, 50, 300, 2)])
def test_the_worker_plays_what_the_simulator_simulates(decoding: int, context: int, prefill: int, chunks: int) -> None:
    """The same formula on both sides."""
    steps = replace(CPU.steps, sequence_s=1e-4, context_s=2e-7, pair_s=3e-9)
    model = PaceModel(
        knots=steps.token_knots,
        seconds=steps.token_s,
        fixed_s=steps.fixed_s,
        sequence_s=steps.sequence_s,
        context_s=steps.context_s,
        pair_s=steps.pair_s,
    )
    pairs = prefill * prefill / 2 / chunks if chunks else 0.0
    step = Step(prefill_tokens=prefill, prefill_seqs=chunks, decode_seqs=decoding, context_tokens=context, pairs=pairs)
    simulated = step_s(steps, decode_seqs=decoding, context_tokens=context, prefill_tokens=prefill, prefill_seqs=chunks)
    assert Pace(model).step_s(step) == pytest.approx(simulated)
