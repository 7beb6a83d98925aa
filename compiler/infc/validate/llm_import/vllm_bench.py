"""Results of `vllm bench serve --save-result`, with and without `--save-detailed`.

Source: vllm/benchmarks/serve.py of vLLM 0.32. TTFT, TPOT, ITL and E2EL are defined as infc does; times count from the
sending, and the file does not say when requests were due.
"""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from infc.ir.llm_measurement import TokenMetric
from infc.validate.llm_import.document import (
    Document,
    ResultFileError,
    finite,
    floats,
    needed,
    number,
    numbers_in,
    text_of,
)
from infc.validate.llm_import.run import ImportedRun, MetricSummary, RequestRecords

_NAMES: Mapping[TokenMetric, str] = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2e": "e2el"}
_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)_(ttft|tpot|itl|e2el)_ms")
_HOW = "`vllm bench serve --save-detailed` keeps every request"


def is_vllm_bench(documents: Sequence[Document]) -> bool:
    """Whether these are results of vLLM's own load generator."""
    return all({"backend", "num_prompts", "request_throughput", "duration"} <= each.keys() for each in documents)


def read_vllm_bench(documents: Sequence[Document]) -> ImportedRun:
    """The run of a result.

    Raises:
        ResultFileError: it holds several results, or a figure is missing.
    """
    if len(documents) != 1:
        raise ResultFileError(f"it holds {len(documents)} results, one after the other: keep the one that is meant")
    document = documents[0]
    duration_s = needed(document, "duration")
    completed = int(needed(document, "completed"))
    failed = int(number(document, "failed") or 0)
    requests = completed + failed
    records = _records(document, requests)
    rate = number(document, "request_rate")
    latencies = [] if failed else list(numbers_in(document.get("latencies")))
    return ImportedRun(
        tool="vllm-bench",
        version="",
        model=text_of(document, "model_id"),
        asked_rps=rate,
        is_open_loop=document.get("max_concurrency") is None and (rate is not None or records is not None),
        requests=requests,
        errors=failed,
        duration_s=duration_s,
        mean_prompt_tokens=needed(document, "total_input_tokens") / max(completed, 1),
        mean_output_tokens=needed(document, "total_output_tokens") / max(completed, 1),
        output_tokens_per_s=needed(document, "output_throughput"),
        goodput_rps=number(document, "request_goodput"),
        records=records,
        summaries=_summaries(document),
        e2e_s=tuple(latencies) if len(latencies) == requests and records is None else (),
        notes=() if records is not None else (f"the file has no single requests: {_HOW}",),
    )


def _records(document: Document, requests: int) -> RequestRecords | None:
    """Every request; None in a file without them."""
    ttft_s, e2e_s = floats(document, "ttfts", requests), floats(document, "latencies", requests)
    starts_s, outputs = floats(document, "start_times", requests), floats(document, "output_lens", requests)
    if ttft_s is None or e2e_s is None or outputs is None or starts_s is None or not requests:
        return None
    prompts = floats(document, "input_lens", requests)
    errors = document.get("errors")
    said = errors if isinstance(errors, list) and len(errors) == requests else [""] * requests
    has_failed = np.array([bool(each) for each in said]) | ~(outputs > 0)
    order = np.argsort(starts_s, kind="stable")
    itls = document.get("itls")
    lists = itls if isinstance(itls, list) and len(itls) == requests else []
    gaps = [gap for index in order.tolist() if lists for gap in numbers_in(lists[index])]
    tokens = np.nan_to_num(outputs).astype(np.int64)[order]
    ttft_s, e2e_s = ttft_s[order], e2e_s[order]
    return RequestRecords(
        sent_s=starts_s[order] - starts_s[order[0]],
        lag_s=np.full(requests, np.nan),
        ttft_s=ttft_s,
        e2e_s=e2e_s,
        tpot_s=np.where(tokens > 1, (e2e_s - ttft_s) / np.maximum(tokens - 1, 1), np.nan),
        prompt_tokens=np.nan_to_num(prompts if prompts is not None else np.zeros(requests)).astype(np.int64)[order],
        output_tokens=tokens,
        has_failed=has_failed[order],
        gaps_s=np.array(gaps, dtype=np.float64),
    )


def _summaries(document: Document) -> Mapping[TokenMetric, MetricSummary]:
    found: dict[TokenMetric, MetricSummary] = {}
    for metric, name in _NAMES.items():
        percentiles = {
            float(match[1]): value / 1e3
            for key, raw in document.items()
            if (match := _PERCENTILE.fullmatch(key)) and match[2] == name and (value := finite(raw)) is not None
        }
        median = number(document, f"median_{name}_ms")
        if median is not None:
            percentiles.setdefault(50.0, median / 1e3)
        mean = number(document, f"mean_{name}_ms")
        if percentiles or mean is not None:
            ordered = dict(sorted(percentiles.items()))
            found[metric] = MetricSummary(mean_s=None if mean is None else mean / 1e3, percentiles_s=ordered)
    return {metric: each for metric, each in found.items() if not _is_empty(each)}


def _is_empty(summary: MetricSummary) -> bool:
    """A metric that no request had is all zeros in the file."""
    values = [*summary.percentiles_s.values(), summary.mean_s or 0.0]
    return all(value == 0.0 or math.isnan(value) for value in values)
