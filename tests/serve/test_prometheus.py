"""Metrics pages: what a real vLLM 0.32 says, what the format allows, and what is refused."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.diag import ToolError
from infc.serve.prometheus import parse_metrics

PAGE = Path(__file__).parent / "data" / "vllm_0_32_metrics.prom"


def test_a_page_of_a_real_vllm_is_read() -> None:
    """Counters, gauges, facts in labels and histograms of vLLM 0.32 after 80 requests, as its clients saw them."""
    page = parse_metrics(PAGE.read_text(encoding="utf-8"))
    prompts = page.histogram("vllm:request_prompt_tokens")
    ttft = page.histogram("vllm:time_to_first_token_seconds")
    assert prompts is not None
    assert ttft is not None
    assert page.total("vllm:prompt_tokens") == page.total("vllm:prompt_tokens_total") == prompts.sum == 5099
    assert page.total("vllm:request_success") == prompts.count == ttft.count == 80
    assert page.total("vllm:request_success", finished_reason="stop") == 0
    assert page.info("vllm:cache_config_info")[0]["kv_cache_size_tokens"] == "131072"
    assert ttft.mean == pytest.approx(0.0431, abs=1e-4)
    assert ttft.quantile_bounds(0.5) == (0.02, 0.04)
    assert ttft.quantile_bounds(0.99) == (0.1, 0.25)
    assert page.kinds["vllm:kv_cache_usage_perc"] == "gauge"
    assert page.histogram("vllm:no_such_thing") is None
    assert page.total("vllm:no_such_thing") is None


def test_every_form_of_the_format_is_read() -> None:
    """Escapes, blanks, signs, infinities, NaN, timestamps, trailing commas, exemplars, remarks and the end mark."""
    page = parse_metrics(
        "# HELP a words \\n here\n# TYPE a gauge\n# a remark\n#\n\n"
        'a{path="C:\\\\x",text="say \\"hi\\"\\nthere, {you}",} +Inf 1395066363000\n'
        'a -Inf\na{b="1"} NaN\na{ b = "2" , c = "" } 1e3\r\n'
        '# UNIT a seconds\n# TYPE b_total counter\nb_total 3 # {trace_id="x y"} 0.67 1520879607.789\n'
        "b_created 1.5e9\nuntyped_one 0\n# EOF\n\n"
    )
    samples = {sample.labels: sample.value for sample in page.samples["a"]}
    assert samples[(("path", "C:\\x"), ("text", 'say "hi"\nthere, {you}'))] == math.inf
    assert samples[()] == -math.inf
    assert math.isnan(samples[(("b", "1"),)])
    assert samples[(("b", "2"), ("c", ""))] == 1000
    assert page.total("b") == 3
    assert page.total("untyped_one") == 0
    assert page.samples["a"][0].label("path") == "C:\\x"
    assert page.samples["a"][0].label("other") is None


HISTOGRAM = "# TYPE h histogram\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html><body>404</body></html>", "line 1: not a metric"),
        ('{"detail":"Not Found"}', "line 1: not a metric"),
        ("a", "not a metric"),
        ("a one", "not a number"),
        ("a 1_000", "not a number"),
        ("a 1 2 3", "not a number"),
        ("a1.5", "line 1: not a metric"),
        ('a{b="c} 1', "not a label"),
        ('a{b="\\q"} 1', "not a label"),
        ('a{b="c"', "labels without an end"),
        ('a{b="c" d="e"} 1', "labels without an end"),
        ('a{b="c",b="d"} 1', "label b stands twice"),
        ("a 1\na 2", "line 2: a second line of a"),
        ("# TYPE a gauge\n# TYPE a gauge", "line 2: a second TYPE of a"),
        ("# TYPE a gouge", "not a TYPE line"),
        ("# TYPE a", "not a TYPE line"),
        ("# EOF\na 1", "text after # EOF"),
        (HISTOGRAM + 'h_bucket{le="1"} 2\nh_count 2\nh_sum 2', "no bucket for every value"),
        (HISTOGRAM + 'h_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2', "lower than that of the one before"),
        (HISTOGRAM + 'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_count 3', "does not hold every value"),
        (HISTOGRAM + 'h_bucket{le="1"} 1\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 2', "same edge"),
        (HISTOGRAM + 'h_bucket{le="+Inf"} NaN', "contradict themselves"),
        (HISTOGRAM + "h_bucket 1", "bucket without an edge"),
    ],
)
def test_what_is_not_of_the_format_is_refused(text: str, reason: str) -> None:
    """Each malformed page is refused with the line and the reason, never read by half."""
    with pytest.raises(ToolError, match=reason):
        parse_metrics(text)


def histogram_page(counts: dict[str, list[int]], edges: list[str]) -> str:
    """One histogram `h` with a series for each engine."""
    lines = ["# TYPE h histogram"]
    for engine, cumulative in counts.items():
        for edge, count in zip(edges, cumulative, strict=True):
            lines.append(f'h_bucket{{engine="{engine}",le="{edge}"}} {count}')
        lines += [f'h_count{{engine="{engine}"}} {cumulative[-1]}', f'h_sum{{engine="{engine}"}} {cumulative[-1]}']
    return "\n".join(lines)


def test_series_of_several_engines_are_one_histogram() -> None:
    """Counts of engines add up; one engine can be asked for; different buckets are refused."""
    page = parse_metrics(histogram_page({"0": [1, 2, 4], "1": [0, 3, 3]}, ["1", "2", "+Inf"]))
    both, one = page.histogram("h"), page.histogram("h", engine="1")
    assert both is not None
    assert one is not None
    assert list(both.counts) == [1, 5, 7]
    assert one.count == 3
    mixed = parse_metrics(
        HISTOGRAM + 'h_bucket{engine="0",le="+Inf"} 1\nh_bucket{engine="1",le="1"} 1\nh_bucket{engine="1",le="+Inf"} 1'
    )
    with pytest.raises(ToolError, match="different buckets"):
        mixed.histogram("h")


def test_a_window_is_the_difference_of_two_readings() -> None:
    """What was counted in between is left; a restart in between is an error, not a negative count."""
    edges = ["1", "2", "+Inf"]
    early = parse_metrics(histogram_page({"0": [1, 2, 4]}, edges)).histogram("h")
    late = parse_metrics(histogram_page({"0": [1, 5, 9]}, edges)).histogram("h")
    assert early is not None
    assert late is not None
    window = late.minus(early)
    assert list(window.counts) == [0, 3, 5]
    assert window.mean == 1.0
    assert window.rank_bounds(5) == (2.0, math.inf)
    with pytest.raises(ToolError, match="restarted"):
        early.minus(late)
    with pytest.raises(ValueError, match="rank"):
        early.minus(early).quantile_bounds(0.5)
    assert math.isnan(early.minus(early).mean)


@given(
    values=st.lists(st.floats(min_value=0.0, max_value=10.0), min_size=1, max_size=60),
    q=st.floats(min_value=0.001, max_value=1.0),
    limit=st.floats(min_value=0.0, max_value=12.0),
)
@settings(max_examples=60, deadline=None)
def test_bounds_hold_whatever_was_counted(values: list[float], q: float, limit: float) -> None:
    """The true quantile lies in its bucket, and the true count at or under a limit between the two that are given."""
    edges = [0.5, 1.0, 2.5, 5.0, math.inf]
    lines = [f'h_bucket{{le="{edge}"}} {sum(value <= edge for value in values)}' for edge in edges]
    histogram = parse_metrics("\n".join([HISTOGRAM, *lines])).histogram("h")
    assert histogram is not None
    low, high = histogram.quantile_bounds(q)
    true = sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]
    assert low < true <= high or true == low == 0.0
    fewest, most = histogram.counted_at_most(limit)
    assert fewest <= sum(value <= limit for value in values) <= most
    assert math.isnan(histogram.mean)


@given(st.text(alphabet='ab_{}="\\, \n#01.eE+-TYPEhistogram', max_size=120))
@settings(max_examples=150, deadline=None)
def test_no_text_crashes_the_reader(text: str) -> None:
    """Any text is read or refused."""
    try:
        parse_metrics(text)
    except ToolError:
        return
