"""The optional tables of aiconfigurator: asked only where they were measured, and never made up."""

import pytest

from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel
from infc.perf.llm import step_time
from infc.perf.llm.aic import SYSTEMS, aic_step_time
from infc.perf.support import Unsupported
from infc.sim.continuous_batching import step_s
from tests.perf.llm.test_memory import device
from tests.resolve.hf_config.models import CONFIGS, model

QWEN = CONFIGS / "qwen3-8b.json"


def ours(hardware: str, precision: Precision = Precision.BF16, devices: int = 1) -> StepTimeModel:
    """What infc itself says."""
    found = step_time(model("qwen3-8b"), device(hardware), precision, tensor_parallel=devices)
    assert isinstance(found, StepTimeModel)
    return found


@pytest.mark.parametrize(
    ("hardware", "precision", "devices", "words"),
    [
        ("l4", Precision.BF16, 1, "measured tables of"),
        ("rtx-4090", Precision.BF16, 1, "measured tables of"),
        ("l40s", Precision.BF16, 4, "slow link"),
        ("h100-sxm", Precision.FP32, 1, "fp32"),
    ],
)
def test_what_was_not_measured_is_not_asked(hardware: str, precision: Precision, devices: int, words: str) -> None:
    """No library is needed to know that; the reason is said."""
    steps = ours(hardware, devices=devices)
    found = aic_step_time(QWEN, model("qwen3-8b"), device(hardware), precision, steps, tensor_parallel=devices)
    assert isinstance(found, Unsupported)
    assert words in found.reason


def test_every_named_device_is_in_the_catalogue() -> None:
    """A name that nobody can ask for is a mistake."""
    assert all(device(id).kind == "gpu" for id in SYSTEMS)


def test_tabled_steps_agree_with_what_the_library_publishes() -> None:
    """Qwen3-8B on an H100 with vLLM: 44.5 ms for a prompt of 2048 tokens, 11.7 ms for 48 sequences of 2048 (0.12.0)."""
    pytest.importorskip("aiconfigurator_core", reason="needs the extra aic")
    found = aic_step_time(QWEN, model("qwen3-8b"), device("h100-sxm"), Precision.BF16, ours("h100-sxm"))
    assert isinstance(found, StepTimeModel)
    prefill_s = step_s(found, prefill_tokens=2048) - found.fixed_s - found.sequence_s
    assert prefill_s == pytest.approx(44.5e-3, rel=0.05)
    decode_s = step_s(found, decode_seqs=48, context_tokens=48 * (2048 + 128)) - found.fixed_s - 48 * found.sequence_s
    assert decode_s == pytest.approx(11.7e-3, rel=0.08)


def test_missing_tables_are_an_answer() -> None:
    """INT4 has no tables for an H100: infc's own model answers, and the reason is said."""
    pytest.importorskip("aiconfigurator_core", reason="needs the extra aic")
    found = aic_step_time(QWEN, model("qwen3-8b"), device("h100-sxm"), Precision.INT4, ours("h100-sxm"))
    assert isinstance(found, Unsupported)
    assert "PerfDataNotAvailableError" in found.reason
