"""The prompts of a load test: random token numbers of the asked length that begin alike only as far as they should."""

import json
from dataclasses import dataclass

import numpy as np

_EDGE_SHARE = 0.1
"""Share of the vocabulary at either end that is left out: special tokens stand there."""
_PREFIX = 0
"""Where the common prefix is drawn from; requests follow it."""


@dataclass(frozen=True, kw_only=True)
class PromptSource:
    """Prompts of one run. `run` tells runs apart, so that a prefix cache never knows a prompt from an earlier one.

    `longest_prefix` is the length of the common prefix, `is_detokenized` False for a server without a tokeniser.
    """

    model: str
    vocabulary: int
    run: int
    longest_prefix: int
    is_detokenized: bool = True

    def tokens(self, index: int, prompt_tokens: int, prefix_tokens: int) -> list[int]:
        """The prompt of the index-th request: the common prefix, then tokens of its own.

        >>> source = PromptSource(model="m", vocabulary=100, run=1, longest_prefix=4)
        >>> one, two = source.tokens(0, 6, 4), source.tokens(1, 6, 4)
        >>> one[:4] == two[:4], one[4:] == two[4:], all(10 <= token < 90 for token in one)
        (True, False, True)
        """
        prefix = self._draw(_PREFIX, self.longest_prefix)[:prefix_tokens] if prefix_tokens else []
        return prefix + self._draw(index + 1, prompt_tokens - prefix_tokens)

    def body(self, index: int, prompt_tokens: int, prefix_tokens: int, output_tokens: int) -> bytes:
        """The request as JSON: exactly so many tokens out, whatever the model says, one message a step.

        `continuous_usage_stats` makes vLLM say in each message how many tokens there are so far.
        """
        content: dict[str, object] = {
            "model": self.model,
            "prompt": self.tokens(index, prompt_tokens, prefix_tokens),
            "max_tokens": output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }
        if not self.is_detokenized:
            content |= {"detokenize": False, "return_token_ids": True}
        return json.dumps(content, separators=(",", ":")).encode()

    def _draw(self, stream: int, count: int) -> list[int]:
        low = round(self.vocabulary * _EDGE_SHARE)
        high = max(self.vocabulary - low, low + 1)
        drawn: list[int] = np.random.default_rng((self.run, stream)).integers(low, high, count).tolist()
        return drawn
