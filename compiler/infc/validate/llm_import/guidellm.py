"""Results of guidellm (JSON), which hold every request.

Source: files of guidellm 0.8.1. Its inter token latency is (last - first token) / (tokens - 1) of a request: our TPOT.
Its time per output token divides the whole latency by the tokens, TTFT included, and is not read. It keeps no gaps
between single tokens. Its times count from the sending.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from infc.validate.llm_import.document import Document, ResultFileError, number, rows, section, text_of
from infc.validate.llm_import.run import Floats, ImportedRun, RequestRecords

_OPEN_LOOP = ("poisson", "constant", "asyncpoisson", "async_poisson", "async_constant", "trace")
_MOST_LAG_S = 3600.0
_LATE_S = 0.1


def is_guidellm(documents: Sequence[Document]) -> bool:
    """Whether this is a result of guidellm."""
    return len(documents) == 1 and "guidellm_version" in section(documents[0], "metadata")


def read_guidellm(documents: Sequence[Document]) -> ImportedRun:
    """The run of a result.

    Raises:
        ResultFileError: it holds several runs, or no request.
    """
    document = documents[0]
    benchmarks = rows(document, "benchmarks")
    if len(benchmarks) != 1:
        raise ResultFileError(f"it holds {len(benchmarks)} runs: make one at a single rate")
    benchmark = benchmarks[0]
    strategy = section(benchmark, "config", "strategy")
    answered = rows(section(benchmark, "requests"), "successful")
    failed = rows(section(benchmark, "requests"), "errored")
    every = sorted((*answered, *failed), key=lambda each: _start_s(each) or 0.0)
    if not answered or any(_start_s(each) is None for each in every):
        raise ResultFileError("it holds no request that was answered, or one without a start")
    records = _records(every, failed)
    good = ~records.has_failed
    duration_s = number(benchmark, "duration") or float(records.sent_s[-1])
    tokens = records.output_tokens[good]
    return ImportedRun(
        tool="guidellm",
        version=text_of(section(document, "metadata"), "guidellm_version"),
        model=text_of(section(benchmark, "config", "backend"), "model"),
        asked_rps=number(strategy, "rate"),
        is_open_loop=text_of(strategy, "type_") in _OPEN_LOOP,
        requests=len(every),
        errors=len(failed),
        duration_s=max(duration_s, 1e-9),
        mean_prompt_tokens=float(records.prompt_tokens[good].mean()),
        mean_output_tokens=float(tokens.mean()),
        output_tokens_per_s=float(tokens.sum()) / max(duration_s, 1e-9),
        records=records,
        notes=tuple(_notes(records)),
    )


def _records(documents: Sequence[Document], failed: Sequence[Document]) -> RequestRecords:
    starts_s = np.array([_start_s(each) or 0.0 for each in documents])
    lost = {id(each) for each in failed}
    return RequestRecords(
        sent_s=starts_s - starts_s[0],
        lag_s=_lag_s(documents, starts_s),
        ttft_s=_column(documents, "time_to_first_token_ms") / 1e3,
        e2e_s=_column(documents, "request_latency"),
        tpot_s=_column(documents, "inter_token_latency_ms") / 1e3,
        prompt_tokens=np.nan_to_num(_column(documents, "prompt_tokens")).astype(np.int64),
        output_tokens=np.nan_to_num(_column(documents, "output_tokens")).astype(np.int64),
        has_failed=np.array([id(each) in lost for each in documents]),
        gaps_s=np.empty(0),
    )


def _lag_s(documents: Sequence[Document], starts_s: Floats) -> Floats:
    """How late each request was sent, NaN for all where the schedule of any is no time of this run.

    guidellm 0.8.1 counts the schedule of workers that start late from 0 and not from the start of the run: requests are
    then "due" some seconds after 1970, and its own `request_dispatch_delay` is decades.
    """
    due_s = np.array([number(section(each, "info", "timings"), "targeted_start") or np.nan for each in documents])
    lag_s = starts_s - due_s
    if np.any(np.isnan(lag_s)) or float(np.abs(lag_s).max()) > _MOST_LAG_S:
        return np.full(len(documents), np.nan)
    late_s: Floats = np.maximum(lag_s, 0.0)
    return late_s


def _notes(records: RequestRecords) -> list[str]:
    if not records.has_lag:
        return ["guidellm does not say when requests were due: times count from the sending, however late that was"]
    late_s = float(np.quantile(records.lag_s, 0.99))
    if late_s > _LATE_S:
        return [f"guidellm sent late (p99 {late_s * 1e3:.0f} ms); verdicts count that as latency"]
    return []


def _start_s(document: Mapping[str, object]) -> float | None:
    return number(document, "request_start_time")


def _column(documents: Sequence[Document], name: str) -> Floats:
    values = (number(each, name) for each in documents)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
