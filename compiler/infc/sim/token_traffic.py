"""The requests of a language-model workload: when they come and how long they are, simulated and sent alike."""

import numpy as np

from infc.ir.arrival import Arrival, at_peak
from infc.ir.problem import TokenTraffic
from infc.sim.arrivals import arrival_times_s, replayed_sizes
from infc.sim.continuous_batching import TokenRequests
from infc.sim.lengths import sample_lengths


def draw_token_requests(
    arrival: Arrival, tokens: TokenTraffic, rate_rps: float, count: int, seed: int
) -> TokenRequests:
    """`count` requests at a mean rate: lengths as a trace has them, else from the spec's percentiles.

    The common prefix has the same length for all, or is the whole of a shorter prompt.

    Raises:
        ValueError: the rate is not positive.
    """
    peak = at_peak(arrival)
    sizes = []
    for offset, (column, asked) in enumerate(
        (("prompt_tokens", tokens.prompt), ("output_tokens", tokens.output)), start=1
    ):
        replayed = replayed_sizes(peak, column, count)
        drawn = sample_lengths(asked, count, seed + offset) if replayed is None else replayed
        sizes.append(np.minimum(drawn, asked.maximum))
    prompts, outputs = sizes
    prefix = round(tokens.shared_prefix * float(prompts.mean()))
    return TokenRequests(
        arrivals_s=arrival_times_s(peak, rate_rps, count, seed),
        prompt_tokens=prompts,
        output_tokens=outputs,
        prefix_tokens=np.minimum(prompts, prefix),
    )
