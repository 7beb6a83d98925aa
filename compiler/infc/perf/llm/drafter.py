"""What drafts tokens for speculative decoding, as a small language model: its passes take time, its weights room."""

from dataclasses import replace

from infc.ir.candidate import SpeculationMethod
from infc.ir.hardware import Hardware
from infc.ir.llm_profile import FeedForwardShape, LayerGroup, LlmProfile
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel
from infc.perf.llm.coefficients import TABLES, coefficients
from infc.perf.llm.place import place_of
from infc.perf.llm.step_time import analytic_step_time
from infc.perf.llm.work import llm_work

DRAFT_MODEL_SHARE = 0.1
"""Layers of a draft model as a share of its target's, each as wide: an assumption, for its own config is not read.

A model of 1B drafts for one of 8B, one of 8B for one of 70B: about a tenth of the weights.
"""
EAGLE_VOCABULARY = 32_000
"""Entries of an EAGLE-3 head. Source: published heads for Llama 3 and Qwen3 draft from the 32,000 most frequent."""
PASS_S = 0.15e-3
"""What the host adds to a pass of the drafter, one for each token: an assumption, small against a step's 0.6 ms."""
SYNCHRONOUS_STEP_S = 1.6e-3
"""What a step takes longer where the scheduler waits for it, as with drafting by n-grams.

Source: measured around the steps of vLLM 0.32 on a CPU, docs/decisions/0007.
"""
_MTP_ARCHITECTURES = (
    "DeepseekV3",
    "DeepseekV32",
    "Ernie4_5_Moe",
    "Glm4Moe",
    "LongcatFlash",
    "MiMo",
    "NemotronH",
    "Qwen3Next",
)
"""Starts of the architectures whose checkpoints have layers that predict further tokens.

Source: the `mtp` methods of vLLM 0.32, config/speculative.py.
"""


def drafter_refusal(model: LlmProfile, method: SpeculationMethod) -> str | None:
    """Why nothing can draft this way for the model; None when something can."""
    if method == "mtp" and not model.architecture.startswith(_MTP_ARCHITECTURES):
        return f"{model.architecture} has no layers that predict further tokens (mtp)"
    return None


def drafter_model(model: LlmProfile, method: SpeculationMethod) -> LlmProfile | None:
    """The drafter's layers; None where it has none.

    `mtp` is one more layer like the last, with the product that joins the last token's embedding. `eagle3` is one dense
    layer that reads three hidden states, with a head of its own.
    """
    last, hidden = model.groups[-1], model.hidden
    base = replace(model, embedding_parameters=0, other_parameters=0, is_tied=False)
    match method:
        case "ngram":
            return None
        case "mtp":
            mixer = replace(last.attention, parameters=last.attention.parameters + 2 * hidden**2)
            return replace(base, groups=(LayerGroup(count=1, attention=mixer, feed_forward=last.feed_forward),))
        case "eagle3":
            mixer = replace(last.attention, parameters=last.attention.parameters + 4 * hidden**2)
            width = _active_width(last.feed_forward)
            feed = FeedForwardShape(intermediate=width, matrices=3, parameters=3 * hidden * width)
            return replace(
                base,
                groups=(LayerGroup(count=1, attention=mixer, feed_forward=feed),),
                head_parameters=min(model.vocabulary, EAGLE_VOCABULARY) * hidden,
                quantization=None,
            )
        case "draft_model":
            count = max(1, round(DRAFT_MODEL_SHARE * model.layers))
            return replace(base, groups=(replace(last, count=count),))


def with_drafter(model: LlmProfile, method: SpeculationMethod) -> LlmProfile:
    """The model with its drafter's layers and head beside its own: what the memory of a device holds."""
    drafter = drafter_model(model, method)
    if drafter is None:
        return model
    own_head = drafter.head_parameters if method in ("eagle3", "draft_model") else 0
    return replace(model, groups=(*model.groups, *drafter.groups), other_parameters=model.other_parameters + own_head)


def drafter_pass(
    model: LlmProfile,
    method: SpeculationMethod,
    hardware: Hardware,
    precision: Precision,
    *,
    tensor_parallel: int,
    power_mode: str | None,
) -> StepTimeModel | None:
    """One pass of the drafter for so many sequences; None where drafting takes no time on the device."""
    drafter = drafter_model(model, method)
    if drafter is None:
        return None
    place = place_of(drafter, hardware, precision, tensor_parallel=tensor_parallel, power_mode=power_mode)
    known = coefficients()
    server = replace(TABLES, step_s=PASS_S, scales=known.server("vllm", hardware).scales)
    return analytic_step_time(llm_work(drafter, tensor_parallel), place, known.kernels(hardware), server)


def _active_width(feed: FeedForwardShape) -> int:
    """The width that one token passes."""
    return feed.intermediate * max(1, feed.experts_per_token) + feed.shared_intermediate
