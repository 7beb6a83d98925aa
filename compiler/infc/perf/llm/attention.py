"""Times of the token mixers: what reading the cache, prefilling and keeping a state cost."""

from dataclasses import dataclass
from typing import Self

from infc.perf.llm.coefficients import KernelCoefficients
from infc.perf.llm.kernels import attention_row_bytes
from infc.perf.llm.place import Place
from infc.perf.llm.work import AttentionWork, LlmWork

SHORT_WINDOW_TOKENS = 1024
"""Windows up to here make a prefill's attention linear in its tokens; longer ones count as if they saw everything."""
STATE_BYTES = 4.0
"""Linear layers keep their state in 32 bits (read and written once a token)."""
STATE_FLOPS = 8.0
"""Operations that a token costs for each element of a linear layer's state: decay, outer product, sum, read-out."""


@dataclass(frozen=True, kw_only=True)
class AttentionTimes:
    """Coefficients of `StepTimeModel` that attention decides.

    `floor_s` is paid by a step, `prefill_s` more by one that prefills, `token_s` by each token of it.
    """

    floor_s: float
    prefill_s: float
    token_s: float
    sequence_s: float
    context_s: float
    window_s: float
    window_tokens: int | None
    pair_s: float

    @classmethod
    def of(cls, work: LlmWork, place: Place, kernels: KernelCoefficients) -> Self:
        """Sum the layers. Of several windows the one of most layers stands for all."""
        peak = place.limits.peak_flops[place.wide] * kernels.attention_compute
        bandwidth = place.limits.bandwidth_bytes_per_s * kernels.attention_stream
        moving = place.limits.bandwidth_bytes_per_s * kernels.elementwise_stream
        windows = {a.window_tokens: a.layers for a in sorted(work.attention, key=lambda a: a.layers) if a.window_tokens}
        floor_s = prefill_s = token_s = sequence_s = context_s = window_s = pair_s = 0.0
        for attention in work.attention:
            read_s = attention.layers * _read_s(attention, place, bandwidth, peak)
            each_pair_s = attention.layers * attention.pair_flops / peak
            floor_s += attention.layers * (kernels.linear_s if attention.is_linear else kernels.attention_s)
            prefill_s += 0.0 if attention.is_linear else attention.layers * kernels.attention_prefill_s
            state = attention.layers * attention.state_elements
            sequence_s += 2 * STATE_BYTES * state / bandwidth
            token_s += STATE_FLOPS * state / peak
            token_s += attention.layers * float(attention_row_bytes(1.0, attention.row_elements)) / moving
            if attention.window_tokens is None:
                context_s += read_s
                pair_s += each_pair_s
            else:
                window_s += read_s
                if attention.window_tokens <= SHORT_WINDOW_TOKENS:
                    token_s += each_pair_s * attention.window_tokens
                else:
                    pair_s += each_pair_s
        return cls(
            floor_s=floor_s,
            prefill_s=prefill_s,
            token_s=token_s,
            sequence_s=sequence_s,
            context_s=context_s,
            window_s=window_s,
            window_tokens=list(windows)[-1] if windows else None,
            pair_s=pair_s,
        )


def _read_s(attention: AttentionWork, place: Place, bandwidth: float, peak: float) -> float:
    return max(attention.cached_elements * place.cache_bytes / bandwidth, attention.read_flops / peak)
