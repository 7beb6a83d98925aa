"""vLLM's continuous batching: latencies of requests that are made of tokens.

`simulate` is open loop (requests come when they come), `simulate_closed` closed loop (so many at a time).
"""

from infc.sim.continuous_batching.drafting import Drafting, expected_tokens
from infc.sim.continuous_batching.requests import TokenGaps, TokenRequests, TokenResult
from infc.sim.continuous_batching.simulate import BLOCK_TOKENS, simulate, simulate_closed
from infc.sim.continuous_batching.step import step_s

__all__ = [
    "BLOCK_TOKENS",
    "Drafting",
    "TokenGaps",
    "TokenRequests",
    "TokenResult",
    "expected_tokens",
    "simulate",
    "simulate_closed",
    "step_s",
]
