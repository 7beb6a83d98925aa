"""Validating on the real vLLM, on a CPU: the tiny model as it would be served, and a GPU bundle's rehearsal."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infc.diag import ToolError
from infc.ir.accuracy import Verdict
from infc.serve.vllm_installation import VLLM_VARIABLE, find_vllm
from infc.validate.contract import CONTRACT_NAME
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.contract_json import to_json
from infc.validate.llm.load import LlmLoadSettings
from infc.validate.llm.session import LlmValidationRequest, validate_llm_bundle
from tests.validate.llm_import.contracts import contract, target

MODEL = Path(__file__).parents[3] / "specs" / "tiny-llama" / "model"


def has_vllm() -> bool:
    """Whether a vLLM for processors is installed."""
    try:
        return find_vllm().is_cpu
    except ToolError:
        return False


pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not has_vllm(), reason=f"{VLLM_VARIABLE} names no vLLM built for CPUs"),
]

EASY = {"ttft": (target(50, 30.0),), "tpot": (target(50, 10.0),)}
"""Targets that any machine holds, however busy."""


def tiny(targets: dict[str, tuple[object, ...]] = EASY) -> LlmContract:
    """The contract of the tiny model."""
    made = contract(targets, rate_rps=6.0, prompt_tokens=48, output_tokens=12)  # type: ignore[arg-type]
    model = replace(
        made.model,
        name="tiny-llama",
        vocabulary=2048,
        max_model_len=256,
        max_num_seqs=8,
        max_num_batched_tokens=256,
        kv_cache_tokens=2048,
    )
    return replace(made, name="tiny-llama", model=model)


def bundle(folder: Path, made: LlmContract) -> Path:
    """A bundle of the tiny model."""
    folder.mkdir()
    (folder / "model").symlink_to(MODEL)
    options = {
        "model": "model",
        "served-model-name": made.model.name,
        "dtype": "bfloat16",
        "enforce-eager": True,
        "kv-cache-memory-bytes": 4 << 20,
        "max-model-len": made.model.max_model_len,
        "max-num-seqs": made.model.max_num_seqs,
        "max-num-batched-tokens": made.model.max_num_batched_tokens,
    }
    (folder / "serve.yaml").write_text(yaml.safe_dump(options))
    (folder / CONTRACT_NAME).write_bytes(to_json(made))
    return folder


def test_a_bundle_is_served_loaded_and_judged(tmp_path: Path) -> None:
    """The command line, from the bundle to the verdict: lengths as asked, our times and the server's own."""
    folder = bundle(tmp_path / "tiny-llama", tiny())
    done = subprocess.run(
        [sys.executable, "-m", "infc", "validate", str(folder), "--budget", "60s", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode in (0, 6), done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] in ("pass", "inconclusive")
    assert all(each["overs"] == 0 for each in document["slo"])
    assert document["load"]["errors"] == 0
    assert (document["mean_prompt_tokens"], document["mean_output_tokens"]) == (48, 12)
    assert document["environment"]["server"] == f"vLLM {find_vllm().release}"
    server = document["server"]
    assert server["requests"] > 0
    # Neither knows what the other measured; on a busy machine they differ by what the client waits for.
    assert server["client_mean_ms"]["tpot"] == pytest.approx(server["mean_ms"]["tpot"], rel=0.5)
    assert server["client_mean_ms"]["ttft"] >= 0.5 * server["mean_ms"]["ttft"]


def test_a_gpu_bundle_is_rehearsed_with_its_limits(tmp_path: Path) -> None:
    """No step is faster than planned, and the cache holds what the plan says."""
    made = tiny()
    steps = replace(made.steps, token_knots=(1, 256), token_s=(0.05, 0.06), fixed_s=0.0)
    made = replace(made, target="h100-sxm", model=replace(made.model, is_cpu=False, block_tokens=16), steps=steps)
    request = LlmValidationRequest(
        bundle=bundle(tmp_path / "b", made), settings=LlmLoadSettings(budget_s=30.0), is_rehearsal=True
    )
    measured = validate_llm_bundle(request)
    assert measured.is_rehearsal
    assert measured.verdict is not Verdict.FAIL
    assert measured.errors == 0
    assert measured.percentiles_s["tpot"]["p50"].value > 0.045
    assert not any("KV cache holds" in note for note in measured.notes)
