"""The settings of `sim_vs_vllm`: servers, and the traffic that each is put under."""

from dataclasses import dataclass

from infc.ir.arrival import Arrival, BurstyArrival, PoissonArrival
from infc.ir.problem import AxisDistribution

BLOCK_TOKENS = 32
"""The smallest block that vLLM's attention takes on a CPU."""
AMPLE_TOKENS = 200_000


@dataclass(frozen=True, kw_only=True)
class Server:
    """Settings of one `vllm serve`."""

    label: str
    max_num_seqs: int = 16
    max_num_batched_tokens: int = 2048
    kv_cache_tokens: int = AMPLE_TOKENS
    has_prefix_caching: bool = False
    long_prefill_tokens: int = 0

    @property
    def flags(self) -> dict[str, str | int | bool]:
        """The command line of `vllm serve`, but for what all servers have."""
        caching = "enable-prefix-caching" if self.has_prefix_caching else "no-enable-prefix-caching"
        return {
            "max-num-seqs": self.max_num_seqs,
            "max-num-batched-tokens": self.max_num_batched_tokens,
            "long-prefill-token-threshold": self.long_prefill_tokens,
            "block-size": BLOCK_TOKENS,
            "num-gpu-blocks-override": self.kv_cache_tokens // BLOCK_TOKENS + 1,
            "max-model-len": min(8192, self.kv_cache_tokens),
            caching: True,
        }


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Traffic against one server: `count` requests of these lengths."""

    label: str
    server: Server
    rate_rps: float
    prompt: AxisDistribution
    output: AxisDistribution
    count: int
    arrival: Arrival = PoissonArrival()  # noqa: RUF009 - frozen
    shared_prefix: float = 0.0


def fixed(tokens: int) -> AxisDistribution:
    """The same length for all."""
    return AxisDistribution(percentiles={}, maximum=tokens)


def spread(p50: int, p90: int, maximum: int) -> AxisDistribution:
    """Lengths as people write them."""
    return AxisDistribution(percentiles={50: p50, 90: p90}, maximum=maximum)


PLAIN = Server(label="16 seqs, 2048 tokens")
SMALL_BUDGET = Server(label="64 seqs, 512 tokens", max_num_seqs=64, max_num_batched_tokens=512)
SMALL_REAL = Server(label="16 seqs, 128 tokens", max_num_batched_tokens=128)
CAPPED = Server(
    label="32 seqs, 1024 tokens, 256 a prompt", max_num_seqs=32, max_num_batched_tokens=1024, long_prefill_tokens=256
)
TIGHT = Server(label="32 seqs, KV of 5120 tokens", max_num_seqs=32, kv_cache_tokens=5120)
TIGHT_CACHED = Server(
    label="32 seqs, KV of 5120 tokens, prefix cache", max_num_seqs=32, kv_cache_tokens=5120, has_prefix_caching=True
)
CACHED = Server(label="32 seqs, prefix cache", max_num_seqs=32, has_prefix_caching=True)

CHAT = spread(200, 900, 2000), spread(40, 120, 200)

PACED = (
    Setting(label="light", server=PLAIN, rate_rps=3, prompt=fixed(512), output=fixed(64), count=75),
    Setting(label="medium", server=PLAIN, rate_rps=5, prompt=fixed(512), output=fixed(64), count=140),
    Setting(label="heavy", server=PLAIN, rate_rps=6.5, prompt=fixed(512), output=fixed(64), count=180),
    Setting(label="chat", server=PLAIN, rate_rps=5, prompt=CHAT[0], output=CHAT[1], count=140),
    Setting(
        label="bursty",
        server=PLAIN,
        rate_rps=4,
        prompt=fixed(256),
        output=fixed(64),
        count=120,
        arrival=BurstyArrival(cv=2.5),
    ),
    Setting(label="long prompts", server=SMALL_BUDGET, rate_rps=3, prompt=fixed(1500), output=fixed(48), count=90),
    Setting(label="short prompts", server=SMALL_BUDGET, rate_rps=9, prompt=fixed(100), output=fixed(64), count=240),
    Setting(
        label="chat, bursty",
        server=SMALL_BUDGET,
        rate_rps=5,
        prompt=CHAT[0],
        output=CHAT[1],
        count=140,
        arrival=BurstyArrival(cv=2.0),
    ),
    Setting(
        label="mixed prompts", server=CAPPED, rate_rps=3, prompt=spread(300, 2500, 4000), output=fixed(64), count=90
    ),
    Setting(label="KV-limited", server=TIGHT, rate_rps=4, prompt=fixed(200), output=fixed(200), count=120),
    Setting(label="KV-limited chat", server=TIGHT, rate_rps=5, prompt=CHAT[0], output=CHAT[1], count=140),
    Setting(
        label="KV-limited, cached",
        server=TIGHT_CACHED,
        rate_rps=4,
        prompt=fixed(400),
        output=fixed(160),
        count=120,
        shared_prefix=0.5,
    ),
    Setting(
        label="half shared",
        server=CACHED,
        rate_rps=6,
        prompt=fixed(1000),
        output=fixed(48),
        count=160,
        shared_prefix=0.5,
    ),
    Setting(
        label="chat, shared",
        server=CACHED,
        rate_rps=6,
        prompt=CHAT[0],
        output=CHAT[1],
        count=160,
        shared_prefix=0.3,
    ),
)

SHORT = spread(60, 250, 600), spread(30, 90, 160)

REAL = (
    Setting(label="light", server=PLAIN, rate_rps=2, prompt=fixed(96), output=fixed(48), count=50),
    Setting(label="medium", server=PLAIN, rate_rps=5, prompt=fixed(96), output=fixed(48), count=120),
    Setting(label="heavy", server=PLAIN, rate_rps=8, prompt=fixed(96), output=fixed(48), count=190),
    Setting(label="chat", server=PLAIN, rate_rps=4, prompt=SHORT[0], output=SHORT[1], count=100),
    Setting(
        label="bursty",
        server=PLAIN,
        rate_rps=4,
        prompt=fixed(96),
        output=fixed(48),
        count=100,
        arrival=BurstyArrival(cv=2.5),
    ),
    Setting(label="long prompts", server=PLAIN, rate_rps=2, prompt=fixed(400), output=fixed(32), count=60),
    Setting(label="small budget", server=SMALL_REAL, rate_rps=4, prompt=SHORT[0], output=SHORT[1], count=100),
)
