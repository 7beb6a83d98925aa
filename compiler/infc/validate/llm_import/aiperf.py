"""Results of AIPerf: `profile_export.jsonl` (every request) and `profile_export_aiperf.json` (figures).

Source: files of AIPerf 0.13.0. What it calls inter token latency is one value a request, (last - first token) /
(tokens - 1): our TPOT. Its inter chunk latency is the gap between pieces of a stream, our ITL where every piece is one
token. Its times count from the sending; a request was due when its credit was issued.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from infc.ir.llm_measurement import TokenMetric
from infc.validate.llm_import.document import (
    Document,
    ResultFileError,
    finite,
    number,
    numbers_in,
    rows,
    section,
    text_of,
)
from infc.validate.llm_import.run import ImportedRun, MetricSummary, RequestRecords

SUMMARY_NAME = "profile_export_aiperf.json"
RECORDS_NAME = "profile_export.jsonl"

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "sec": 1.0, "s": 1.0}
_NAMES: Mapping[TokenMetric, str] = {
    "ttft": "time_to_first_token",
    "tpot": "inter_token_latency",
    "itl": "inter_chunk_latency",
    "e2e": "request_latency",
}
_PERCENTILES = ("p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99")
_OPEN_LOOP = ("poisson", "constant", "gamma", "fixed_schedule")
_NS = 1e9


def is_aiperf_summary(documents: Sequence[Document]) -> bool:
    """Whether this is AIPerf's file of figures."""
    return len(documents) == 1 and {"aiperf_version", "request_throughput"} <= documents[0].keys()


def is_aiperf_records(documents: Sequence[Document]) -> bool:
    """Whether this is AIPerf's file of requests."""
    return all("metrics" in each and "benchmark_phase" in section(each, "metadata") for each in documents)


def read_aiperf_summary(documents: Sequence[Document]) -> ImportedRun:
    """The run of a file of figures.

    Raises:
        ResultFileError: a figure is missing.
    """
    document = documents[0]
    requests = number(section(document, "request_count"), "avg")
    duration = section(document, "benchmark_duration")
    duration_s = (number(duration, "avg") or 0.0) * _SECONDS.get(text_of(duration, "unit"), 1.0)
    if requests is None or not duration_s:
        raise ResultFileError("`request_count` or `benchmark_duration` is missing")
    errors = sum(int(number(each, "count") or 0) for each in rows(document, "error_summary"))
    phases = [each for each in rows(section(document, "input_config"), "phases") if each.get("name") != "warmup"]
    return ImportedRun(
        tool="aiperf",
        version=text_of(document, "aiperf_version"),
        model=", ".join(text_of(each, "name") for each in rows(section(document, "input_config", "models"), "items")),
        asked_rps=number(phases[0], "rate") if phases else None,
        is_open_loop=bool(phases) and all(text_of(each, "type") in _OPEN_LOOP for each in phases),
        requests=int(requests) + errors,
        errors=errors,
        duration_s=duration_s,
        mean_prompt_tokens=number(section(document, "input_sequence_length"), "avg") or 0.0,
        mean_output_tokens=number(section(document, "output_sequence_length"), "avg") or 0.0,
        output_tokens_per_s=number(section(document, "output_token_throughput"), "avg") or 0.0,
        goodput_rps=number(section(document, "goodput"), "avg"),
        summaries=_summaries(document),
        notes=(f"the file has no single requests: {RECORDS_NAME} beside it has them",),
    )


def read_aiperf_records(documents: Sequence[Document]) -> ImportedRun:
    """The run of a file of requests.

    Raises:
        ResultFileError: it holds no request that was measured.
    """
    measured = [each for each in documents if section(each, "metadata").get("benchmark_phase") != "warmup"]
    stamps = [(_stamp(each, "request_start_ns"), each) for each in measured]
    known = sorted(((at, each) for at, each in stamps if at is not None), key=lambda pair: pair[0])
    if not known:
        raise ResultFileError("it holds no request with a start")
    records = _records([each for _, each in known], np.array([at for at, _ in known]))
    ends = [_stamp(each, "request_end_ns") or at for at, each in known]
    duration_s = max(max(ends) - known[0][0], 1e-9)
    good = ~records.has_failed
    tokens = records.output_tokens[good]
    return ImportedRun(
        tool="aiperf",
        version="",
        model="",
        asked_rps=None,
        is_open_loop=True,
        requests=len(known),
        errors=int(records.has_failed.sum()),
        duration_s=duration_s,
        mean_prompt_tokens=float(records.prompt_tokens[good].mean()) if good.any() else 0.0,
        mean_output_tokens=float(tokens.mean()) if good.any() else 0.0,
        output_tokens_per_s=float(tokens.sum()) / duration_s,
        records=records,
        notes=("the file does not say how the load was made: it is taken as open loop",),
    )


def _records(documents: Sequence[Document], starts_s: np.ndarray[tuple[int], np.dtype[np.float64]]) -> RequestRecords:
    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([_seconds(each, name) for each in documents])

    def counts(*names: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([_count(each, *names) for each in documents], dtype=np.int64)

    credits_s = np.array([_stamp(each, "credit_issued_ns") or np.nan for each in documents])
    lag_s = starts_s - credits_s
    e2e_s, tokens = column("request_latency"), counts("usage_completion_tokens", "output_sequence_length")
    gaps = [gap for each in documents for gap in _gaps(each)]
    has_failed = np.array([bool(each.get("error")) for each in documents]) | np.isnan(e2e_s)
    return RequestRecords(
        sent_s=starts_s - starts_s[0],
        lag_s=np.where(lag_s >= 0.0, lag_s, np.nan),
        ttft_s=column("time_to_first_token"),
        e2e_s=e2e_s,
        tpot_s=column("inter_token_latency"),
        prompt_tokens=counts("usage_prompt_tokens", "input_sequence_length"),
        output_tokens=tokens,
        has_failed=has_failed,
        gaps_s=np.array(gaps, dtype=np.float64),
    )


def _stamp(document: Document, name: str) -> float | None:
    """A time of the metadata, seconds."""
    value = number(section(document, "metadata"), name)
    return None if value is None else value / _NS


def _seconds(document: Document, name: str) -> float:
    """A duration of a request, NaN where it has none."""
    entry = section(document, "metrics", name)
    factor, value = _SECONDS.get(text_of(entry, "unit")), number(entry, "value")
    return np.nan if factor is None or value is None else value * factor


def _count(document: Document, *names: str) -> int:
    values = (number(section(document, "metrics", name), "value") for name in names)
    return int(next((value for value in values if value is not None), 0))


def _gaps(document: Document) -> list[float]:
    entry = section(document, "metrics", "inter_chunk_latency")
    factor = _SECONDS.get(text_of(entry, "unit"))
    return [] if factor is None else [value * factor for value in numbers_in(entry.get("value"))]


def _summaries(document: Document) -> Mapping[TokenMetric, MetricSummary]:
    found: dict[TokenMetric, MetricSummary] = {}
    for metric, name in _NAMES.items():
        entry = section(document, name)
        factor = _SECONDS.get(text_of(entry, "unit"))
        if factor is None:
            continue
        values = {float(label[1:]): finite(entry.get(label)) for label in _PERCENTILES}
        values[100.0] = finite(entry.get("max"))
        mean = number(entry, "avg")
        found[metric] = MetricSummary(
            mean_s=None if mean is None else mean * factor,
            percentiles_s={p: value * factor for p, value in values.items() if value is not None},
        )
    return found
