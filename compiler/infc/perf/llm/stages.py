"""Pipeline parallelism: the stages of a model, one after the other, each on devices of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LayerGroup, LlmProfile
from infc.ir.step_time import StepTimeModel
from infc.perf.llm.kernels import ACTIVATION_BYTES
from infc.perf.llm.place import link_speed

HOST_DEVICES = 8
"""Devices of one host: beyond them stages exchange over the network."""
NETWORK_BYTES_PER_S = 12.5e9
"""An assumption: hosts are joined by 100 Gbit/s."""
HOP_S = 50e-6
"""An assumption: what a stage waits for the first byte of the one before, with vLLM's message around it."""
_TENSORS = 2
"""A stage hands on the hidden states and the residual."""
PIPELINE_SPREAD = 1.5
"""How much wider a prediction becomes, as a factor: no pipeline was measured. The scheduler does not even out the
batches that follow each other; a stage idles behind a small one.
"""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """What a stage takes to hand its result on: `seconds`, and the bytes at so many a second."""

    seconds: float
    bytes_per_s: float


def hop_of(hardware: Hardware, devices: int) -> Hop:
    """Between stages of a replica of so many devices: over the device's own link while one host holds them all."""
    link = link_speed(hardware, devices) if devices <= HOST_DEVICES else NETWORK_BYTES_PER_S
    return Hop(seconds=HOP_S, bytes_per_s=link)


def pipelined(
    stages: Sequence[StepTimeModel], hop: Hop, hidden: int, *, decode_spread: float, prefill_spread: float
) -> StepTimeModel:
    """The time of a batch through all stages, when each stage always works on some batch.

    As many batches as there are stages follow each other, each with its own requests: a replica does what so many
    servers with such a step do, each on its share of the requests. A batch waits for the slowest stage.
    """
    fixed = sum(stage.fixed_s for stage in stages)
    each = np.array([np.asarray(stage.token_s) + stage.fixed_s for stage in stages])
    knots = np.asarray(stages[0].token_knots, dtype=np.float64)
    together = np.maximum(each.sum(axis=0), len(stages) * each.max(axis=0))
    together += (len(stages) - 1) * (hop.seconds + _TENSORS * ACTIVATION_BYTES * hidden * knots / hop.bytes_per_s)
    return replace(
        stages[0],
        token_s=tuple((together - fixed).tolist()),
        sequence_s=sum(stage.sequence_s for stage in stages),
        context_s=sum(stage.context_s for stage in stages),
        window_s=sum(stage.window_s for stage in stages),
        window_tokens=next((stage.window_tokens for stage in stages if stage.window_tokens), None),
        pair_s=sum(stage.pair_s for stage in stages),
        fixed_s=fixed,
        decode_spread=decode_spread * PIPELINE_SPREAD,
        prefill_spread=prefill_spread * PIPELINE_SPREAD,
    )


def stage_layers(layers: int, stages: int) -> tuple[int, ...]:
    """Layers of each stage: as even as can be, what is left over goes to the stages before the last.

    Source: vLLM 0.32, `get_pp_indices` in `distributed/utils.py`.

    >>> stage_layers(61, 2), stage_layers(62, 4)
    ((31, 30), (15, 16, 16, 15))
    """
    counts = [layers // stages] * stages
    for back in range(2, layers % stages + 2):
        counts[-back] += 1
    return tuple(counts)


def stage_models(model: LlmProfile, stages: int) -> tuple[LlmProfile, ...]:
    """The part of the model that each stage holds; the model itself where there is one stage.

    The first holds the embeddings, the last the head (a copy of the embeddings where they are tied) and the final norm.
    """
    if stages == 1:
        return (model,)
    found: list[LlmProfile] = []
    groups = _one_by_one(model.groups)
    start = 0
    for index, count in enumerate(stage_layers(model.layers, stages)):
        is_last = index == stages - 1
        found.append(
            replace(
                model,
                groups=groups[start : start + count],
                embedding_parameters=model.embedding_parameters if index == 0 else 0,
                head_parameters=model.head_parameters if is_last else 0,
                other_parameters=model.other_parameters if is_last else 0,
                vocabulary=model.vocabulary if is_last else 0,
                is_tied=False,
            )
        )
        start += count
    return tuple(found)


def _one_by_one(groups: Sequence[LayerGroup]) -> tuple[LayerGroup, ...]:
    """A group for each layer, in order."""
    return tuple(replace(group, count=1) for group in groups for _ in range(group.count))
