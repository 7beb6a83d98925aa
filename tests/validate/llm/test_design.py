"""Which steps a calibration measures."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infc.validate.llm.design import ServerLimits, design, geometric

limits = st.builds(
    ServerLimits,
    max_num_seqs=st.integers(1, 1024),
    max_num_batched_tokens=st.integers(1024, 16384),
    max_model_len=st.integers(2, 32768),
    kv_cache_tokens=st.integers(64, 2_000_000),
)


@given(limits)
@settings(max_examples=200, deadline=None)
def test_every_burst_is_one_that_the_server_accepts(server: ServerLimits) -> None:
    """No request is longer than the longest, no more at a time than it takes; what decodes has room in the cache."""
    for burst in design(server):
        joining = len(burst.joining)
        assert burst.requests + joining <= max(server.max_num_seqs, 1) or joining <= 2
        assert burst.requests <= server.max_num_seqs
        assert burst.output_tokens >= 2
        assert burst.prompt_tokens >= 1
        assert burst.prompt_tokens + burst.output_tokens <= max(server.max_model_len, 3)
        assert all(tokens + 1 <= server.max_model_len for tokens in burst.joining)


@given(limits)
@settings(max_examples=200, deadline=None)
def test_the_cheapest_come_first(server: ServerLimits) -> None:
    """Whatever the budget ends, the small steps are measured; and there is no burst twice."""
    bursts = design(server)
    assert [burst.cost for burst in bursts] == sorted(burst.cost for burst in bursts)
    assert len(set(bursts)) == len(bursts)


def test_a_usual_server_is_told_apart() -> None:
    """Several numbers of sequences and prompt lengths, long contexts, prompts beside decoding, chunks of prompts."""
    bursts = design(
        ServerLimits(max_num_seqs=64, max_num_batched_tokens=2048, max_model_len=4096, kv_cache_tokens=200_000)
    )
    alone = [burst for burst in bursts if burst.output_tokens == 2]
    decoding = [burst for burst in bursts if burst.output_tokens > 2]
    assert len({burst.prompt_tokens for burst in alone}) >= 5
    assert {1, 64} <= {burst.requests for burst in decoding}
    assert len({burst.requests for burst in decoding}) >= 5
    assert max(burst.prompt_tokens for burst in decoding) > 3000
    assert any(burst.joining for burst in bursts)
    assert any(burst.prompt_tokens > 2048 for burst in alone)
    assert len(bursts) <= 24


def test_geometric_ends_where_it_should() -> None:
    """Both ends are in, in ascending order, once."""
    assert geometric(1, 1, 5) == (1,)
    assert geometric(7, 700, 3) == (7, 70, 700)
