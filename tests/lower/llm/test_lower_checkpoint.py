"""A checkpoint in the precision of a plan: what is left alone, what needs weights or data, and real quantisation."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from infc.diag import Severity, ToolError
from infc.ir.checkpoint import Checkpoint
from infc.ir.llm_profile import CheckpointQuantization
from infc.ir.precision import Precision
from infc.ir.problem import LlmSource
from infc.lower.llm import (
    QuantizationSettings,
    find_llmcompressor,
    hub_checkpoint,
    local_checkpoint,
    lower_checkpoint,
)
from infc.lower.llm.quantize import _remove_abandoned, calibration_digest
from tests.lower.llm.samples import FOLDER, MODEL, copy_of_model, plan, problem

NOTHING = QuantizationSettings()


def local(folder: Path = MODEL) -> Checkpoint:
    """The checkpoint of a folder, which must be sound."""
    checkpoint, problems = local_checkpoint(folder, problem())
    assert checkpoint is not None, problems
    return checkpoint


def silent(line: str) -> None:
    """Take a line of progress."""


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
def test_a_16_bit_precision_leaves_the_checkpoint_as_it_is(precision: Precision, tmp_path: Path) -> None:
    """The server casts one 16-bit format to the other when it loads."""
    source = local()
    lowered, problems = lower_checkpoint(source, problem(), plan(precision), NOTHING, tmp_path, silent)
    assert lowered == replace(source, precision=precision)
    assert problems == ()
    assert not any(tmp_path.iterdir())


def test_a_quantised_checkpoint_is_left_as_it_is(tmp_path: Path) -> None:
    """Rounding what was rounded loses accuracy and gains nothing."""
    quantised = problem()
    stored = CheckpointQuantization(method="awq", weight_precision=Precision.INT4, activation_precision=None)
    quantised = replace(quantised, model=replace(quantised.model, quantization=stored))
    checkpoint, _ = local_checkpoint(MODEL, quantised)
    assert checkpoint is not None
    assert checkpoint.precision is Precision.INT4
    assert lower_checkpoint(checkpoint, quantised, plan(Precision.INT4), NOTHING, tmp_path, silent) == (checkpoint, ())


def test_without_weights_the_server_rounds_to_fp8_and_says_so(tmp_path: Path) -> None:
    """The server rounds 16-bit weights while it loads them; nobody measured what that does."""
    folder = copy_of_model(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    lowered, problems = lower_checkpoint(local(folder), problem(), plan(Precision.FP8), NOTHING, tmp_path, silent)
    assert lowered is not None
    assert (lowered.precision, lowered.quantization, lowered.is_pending) == (Precision.FP8, "fp8", True)
    assert [(p.id, p.severity) for p in problems] == [("quantise-on-load", Severity.WARNING)]


def test_without_weights_a_folder_waits_and_a_repository_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INT4 cannot be made on loading: the files must be here, and infc fetches none."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = copy_of_model(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    waiting, problems = lower_checkpoint(local(folder), problem(), plan(Precision.INT4), NOTHING, tmp_path, silent)
    assert waiting is not None
    assert waiting.is_pending
    assert [(p.id, p.severity) for p in problems] == [("quantise-needs-weights", Severity.WARNING)]
    of_hub = problem(LlmSource(served_name="tiny", repo="owner/tiny", revision="0" * 40))
    none, problems = lower_checkpoint(hub_checkpoint(of_hub), of_hub, plan(Precision.INT4), NOTHING, tmp_path, silent)
    assert none is None
    assert [(p.id, p.severity) for p in problems] == [("quantise-needs-weights", Severity.ERROR)]
    assert "hf download owner/tiny --revision " in (problems[0].help or "")


def test_a_repository_has_one_digest_with_and_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest names repository, revision and config; what the cache holds is told beside it."""
    of_hub = problem(LlmSource(served_name="tiny", repo="owner/tiny", revision="0" * 40))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    before = hub_checkpoint(of_hub)
    assert (before.folder, before.files, before.has_weights, before.is_pending) == (None, {}, False, False)
    snapshot = tmp_path / "models--owner--tiny" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    copy_of_model(snapshot)
    after = hub_checkpoint(of_hub)
    assert after.digest == before.digest
    assert after.has_weights
    assert "tokenizer.json" in after.files


def test_nvfp4_needs_calibration_data(tmp_path: Path) -> None:
    """It holds scales of activations, which weights do not tell."""
    none, problems = lower_checkpoint(local(), problem(), plan(Precision.FP4), NOTHING, tmp_path, silent)
    assert none is None
    assert [p.id for p in problems] == ["quantise-data"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"text": "a"}\n' * 3, "3 texts"),
        (b'{"text": "a"}\n{"prompt": "b"}\n', "line 2 has no text"),
        (b"text\n", "JSON"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_calibration_data_is_checked_before_a_model_is_loaded(content: bytes, words: str, tmp_path: Path) -> None:
    """What is wrong, and on which line."""
    path = tmp_path / "calibration.jsonl"
    path.write_bytes(content)
    problem = calibration_digest(path)
    assert not isinstance(problem, str)
    assert problem.id == "quantise-data"
    assert words in problem.message


def test_an_environment_without_llm_compressor_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that is missing is no traceback: what it is, and how to get it."""
    monkeypatch.setenv("INFC_LLMCOMPRESSOR", str(tmp_path / "python"))
    with pytest.raises(ToolError, match="not an executable file") as caught:
        find_llmcompressor()
    assert "INFC_LLMCOMPRESSOR" in (caught.value.help or "")


def test_what_a_killed_run_left_is_removed_when_no_run_can_be_that_old(tmp_path: Path) -> None:
    """Half a checkpoint may be large; one that is being made is left alone."""
    old, young = tmp_path / ".quantising-old", tmp_path / ".quantising-young"
    for folder in (old, young):
        (folder / "checkpoint").mkdir(parents=True)
    os.utime(old, (0, 0))
    _remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


def _needs_llmcompressor() -> None:
    try:
        find_llmcompressor()
    except ToolError as error:
        pytest.skip(f"{error}: set INFC_LLMCOMPRESSOR to the python of an environment with llm-compressor")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("precision", "scheme", "share"), [(Precision.FP8, "float-quantized", 0.7), (Precision.INT4, "pack-quantized", 0.5)]
)
def test_the_tiny_llama_is_quantised_into_what_vllm_loads(
    precision: Precision, scheme: str, share: float, tmp_path: Path
) -> None:
    """Compressed tensors, with the tokeniser byte for byte; the second time it comes from the cache."""
    _needs_llmcompressor()
    settings = QuantizationSettings(calibration=FOLDER / "calibration.jsonl", samples=16, sequence_length=128)
    source, said = local(), list[str]()
    lowered, problems = lower_checkpoint(source, problem(), plan(precision), settings, tmp_path, said.append)
    assert lowered is not None, problems
    assert lowered.folder is not None
    config = json.loads((lowered.folder / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    assert config["quantization_config"]["format"] == scheme
    assert str(MODEL.parent) not in json.dumps(config)
    assert (lowered.folder / "tokenizer.json").read_bytes() == (MODEL / "tokenizer.json").read_bytes()
    weights = [os.path.getsize(folder / "model.safetensors") for folder in (lowered.folder, MODEL)]
    assert weights[0] < share * weights[1]
    assert lowered.passes[0].changed == 28
    assert list(lowered.passes[0].kept) == ["lm_head"]
    assert lowered.source_digest == source.digest != lowered.digest
    said.clear()
    again, _ = lower_checkpoint(source, problem(), plan(precision), settings, tmp_path, said.append)
    assert again == lowered
    assert said == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [lowered.recipe_digest]
