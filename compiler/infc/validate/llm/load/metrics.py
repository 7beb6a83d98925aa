"""The server's own figures during a load test, and how ours of the same requests compare."""

import math

import numpy as np

from infc.diag import ToolError
from infc.ir.llm_measurement import ServerView, TokenMetric
from infc.serve.histogram import Histogram
from infc.serve.prometheus import Metrics
from infc.serve.vllm_view import read_metrics
from infc.validate.llm.load.generator import LlmLoadGenerator
from infc.validate.llm.load.latencies import token_times_s

# Source: vLLM 0.32 and 0.33, v1/metrics/loggers.py.
HISTOGRAMS: tuple[tuple[TokenMetric, str], ...] = (
    ("ttft", "vllm:time_to_first_token_seconds"),
    ("tpot", "vllm:request_time_per_output_token_seconds"),
    ("itl", "vllm:inter_token_latency_seconds"),
    ("e2e", "vllm:e2e_request_latency_seconds"),
)
_PREEMPTIONS = "vllm:num_preemptions"
_CACHE_USAGE = "vllm:kv_cache_usage_perc"
_TIMEOUT_S = 2.0


class ServerMetrics:
    """Reads a server's metrics at the begin and the end of the measured time, and looks in between.

    A server without metrics is measured all the same: `problem` then says why there are none.
    """

    def __init__(self, url: str, model: str) -> None:
        self._url = url
        self._model = model
        self._begin: tuple[float, Metrics] | None = None
        self._end: tuple[float, Metrics] | None = None
        self._cache_usage: list[float] = []
        self.problem = ""

    def begin(self, now_s: float) -> None:
        """Measuring begins."""
        found = self._read()
        self._begin = None if found is None else (now_s, found)

    def look(self) -> None:
        """A look in between."""
        if self._begin is not None:
            self._read()

    def end(self, now_s: float) -> None:
        """Measuring ends."""
        found = self._read() if self._begin is not None else None
        self._end = None if found is None else (now_s, found)

    def view(self, generator: LlmLoadGenerator) -> ServerView | None:
        """What the server says of the time between begin and end beside what the client saw; None without metrics."""
        if self._begin is None or self._end is None:
            return None
        (start_s, before), (stop_s, after) = self._begin, self._end
        found: dict[TokenMetric, Histogram] = {}
        try:
            for metric, name in HISTOGRAMS:
                histogram = _between(before, after, name, self._model)
                if histogram is not None and histogram.count > 0:
                    found[metric] = histogram
        except ToolError as error:
            self.problem = str(error)
            return None
        ours = _client_means_s(generator, start_s, stop_s)
        preemptions = (after.total(_PREEMPTIONS) or 0.0) - (before.total(_PREEMPTIONS) or 0.0)
        return ServerView(
            mean_s={metric: histogram.mean for metric, histogram in found.items()},
            client_mean_s={metric: ours[metric] for metric in found if metric in ours},
            requests=round(found["e2e"].count) if "e2e" in found else 0,
            preemptions=max(round(preemptions), 0),
            kv_cache_usage=max(self._cache_usage, default=None),
        )

    def _read(self) -> Metrics | None:
        try:
            metrics = read_metrics(self._url, timeout_s=_TIMEOUT_S)
        except ToolError as error:
            self.problem = str(error)
            return None
        self._cache_usage += metrics.values(_CACHE_USAGE)
        return metrics


def _between(before: Metrics, after: Metrics, name: str, model: str) -> Histogram | None:
    last = after.histogram(name, model_name=model)
    if last is None:
        return None
    first = before.histogram(name, model_name=model)
    return last if first is None else last.minus(first)


def _client_means_s(generator: LlmLoadGenerator, start_s: float, stop_s: float) -> dict[TokenMetric, float]:
    """Means over what came between two times, as the server counts it: by tokens, and by requests that were done.

    They run from the sending of a request: the server knows nothing of how late it was sent.
    """
    sent_s, first_s, last_s = (
        each[: generator.sent] for each in (generator.sent_s, generator.first_s, generator.last_s)
    )
    tokens, is_good = generator.tokens[: generator.sent], generator.outcomes[: generator.sent] == 0
    has_begun = (first_s >= start_s) & (first_s < stop_s)
    has_ended = is_good & (last_s >= start_s) & (last_s < stop_s)
    many = has_ended & (tokens > 1)
    when, gaps = token_times_s(generator)
    inside = gaps[(when >= start_s) & (when < stop_s)]
    means: dict[TokenMetric, float] = {
        "ttft": _mean((first_s - sent_s)[has_begun]),
        "tpot": _mean(((last_s - first_s) / np.maximum(tokens - 1, 1))[many]),
        "itl": _mean(inside),
        "e2e": _mean((last_s - sent_s)[has_ended]),
    }
    return {metric: mean for metric, mean in means.items() if math.isfinite(mean)}


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(values.mean()) if len(values) else math.nan
