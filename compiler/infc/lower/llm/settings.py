"""How a language model is quantised: the scheme of each precision, what stays as it was, and the calibration data."""

from dataclasses import dataclass
from pathlib import Path

from infc.ir.precision import Precision
from infc.spec import LoadedSpec

SEED = 0
TIMEOUT_S = 12 * 3600
"""Longer than GPTQ takes on the largest model that fits one machine; a hang ends some day."""
GROUP_SIZE = 128
"""Weights that share a scale in W4A16: what the mixed-precision kernels of vLLM are fastest with."""
NVFP4_GROUP_SIZE = 16
"""Weights that share a scale in NVFP4 (NVIDIA's format fixes it)."""
SMOOTHING = 0.8
"""Strength of SmoothQuant before INT8, as llm-compressor's own W8A8 recipes have it."""


@dataclass(frozen=True, kw_only=True)
class QuantizationSettings:
    """What the user decides of a quantisation.

    `calibration` holds rows of {text} (.jsonl), of which the first `samples` are used, each cut to `sequence_length`
    tokens. None: scales are found from the weights alone, by rounding to nearest.
    """

    calibration: Path | None = None
    samples: int = 256
    sequence_length: int = 2048
    timeout_s: int = TIMEOUT_S


def quantization_settings(loaded: LoadedSpec) -> QuantizationSettings:
    """What a valid spec decides, with its file found."""
    assert loaded.spec is not None  # noqa: S101 - only valid specs are lowered
    written = loaded.spec.quantization
    return QuantizationSettings(
        calibration=None if written.calibration is None else loaded.file(written.calibration),
        samples=written.samples,
        sequence_length=written.sequence_length,
    )


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A scheme of compressed-tensors by its name there, and how its values are found.

    `has_gptq`: weights are rounded one column after the other, with the error made up for in those that follow.
    `smoothing` moves outliers of activations into the weights beforehand. Both need calibration data; without, weights
    are rounded to nearest. `needs_data`: the scheme holds scales of activations, so there is nothing without data.
    """

    name: str
    group_size: int | None = None
    has_gptq: bool = False
    smoothing: float | None = None
    needs_data: bool = False


SCHEMES: dict[Precision, Scheme] = {
    Precision.FP8: Scheme(name="FP8_DYNAMIC"),
    Precision.INT8: Scheme(name="W8A8", has_gptq=True, smoothing=SMOOTHING),
    Precision.INT4: Scheme(name="W4A16", group_size=GROUP_SIZE, has_gptq=True),
    Precision.FP4: Scheme(name="NVFP4", group_size=NVFP4_GROUP_SIZE, needs_data=True),
}
"""Precisions that a checkpoint is quantised to; the others are what a server casts to when it loads."""

IGNORED: tuple[tuple[str, str], ...] = (
    ("lm_head", "the output head decides every token: it stays as it was"),
    (r"re:.*\.(gate|router|router_proj|shared_expert_gate)$", "a router picks experts by small differences"),
    (r"re:.*\.(mlp|block_sparse_moe|feed_forward)\.(gate|router)\..*", "a router picks experts by small differences"),
    (
        r"re:.*(visual|vision_tower|vision_model|vision_encoder|multi_modal_projector|audio_tower|embed_vision).*",
        "vision and audio towers stay as they were",
    ),
)
"""Names of linear operators (compressed-tensors' patterns) that stay as they were, with the reason.

Norms and embeddings are no linear operators, so no scheme touches them.
"""

KV_CACHE_FP8 = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False, "symmetric": True}
"""The scheme of an FP8 KV cache: one scale for a layer's keys and one for its values, found on calibration data."""
