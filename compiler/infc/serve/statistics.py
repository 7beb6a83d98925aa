"""Triton's statistics as values: what one batch size cost, how batches formed, where a request's time went."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infc.ir.measurement import LatencyLayers

_NS_PER_S = 1e9


@dataclass(frozen=True, kw_only=True)
class BatchStatistics:
    """Executions of one batch size; seconds are sums over them."""

    batch_size: int
    executions: int
    compute_input_s: float
    compute_s: float
    compute_output_s: float

    @property
    def service_s(self) -> float:
        """Mean seconds that one execution of this batch size kept its instance busy."""
        return (self.compute_input_s + self.compute_s + self.compute_output_s) / self.executions


@dataclass(frozen=True, kw_only=True)
class ModelStatistics:
    """Counters of one model. `requests` and the `*_s` sums are over successful requests.

    `batches` ascends in batch size. Warm-up executions count as well: compare two moments with `since`.
    """

    requests: int
    failures: int
    queue_s: float
    compute_input_s: float
    compute_s: float
    compute_output_s: float
    batches: tuple[BatchStatistics, ...]

    def since(self, earlier: "ModelStatistics") -> "ModelStatistics":
        """What happened between an earlier snapshot of the same load of the model and this one."""
        before = {batch.batch_size: batch for batch in earlier.batches}
        differences = [_difference(batch, before.get(batch.batch_size)) for batch in self.batches]
        return ModelStatistics(
            requests=self.requests - earlier.requests,
            failures=self.failures - earlier.failures,
            queue_s=self.queue_s - earlier.queue_s,
            compute_input_s=self.compute_input_s - earlier.compute_input_s,
            compute_s=self.compute_s - earlier.compute_s,
            compute_output_s=self.compute_output_s - earlier.compute_output_s,
            batches=tuple(batch for batch in differences if batch.executions > 0),
        )

    @property
    def executions(self) -> int:
        """Executions of any batch size."""
        return sum(batch.executions for batch in self.batches)

    @property
    def rows(self) -> int:
        """Rows of all executions."""
        return sum(batch.batch_size * batch.executions for batch in self.batches)

    @property
    def server_s(self) -> float:
        """Seconds that the successful requests spent in the server, queue and computing, summed."""
        return self.queue_s + self.compute_input_s + self.compute_s + self.compute_output_s

    @property
    def mean_batch_size(self) -> float:
        """Rows per execution; 0 when nothing ran."""
        return self.rows / self.executions if self.executions else 0.0

    @property
    def service_s_by_batch_size(self) -> Mapping[int, float]:
        """Batch size -> mean seconds that one execution kept its instance busy, for the batch sizes that occurred."""
        return {batch.batch_size: batch.service_s for batch in self.batches}

    def layers(self, mean_e2e_s: float) -> LatencyLayers:
        """Where the mean request's time went, given its mean end-to-end seconds at the client over the same span.

        Raises:
            ValueError: no request succeeded.
        """
        if self.requests == 0:
            raise ValueError("no request succeeded, so there is no latency to split")
        server_s = self.server_s / self.requests
        return LatencyLayers(
            transport_s=max(mean_e2e_s - server_s, 0.0),
            queue_s=self.queue_s / self.requests,
            compute_input_s=self.compute_input_s / self.requests,
            compute_s=self.compute_s / self.requests,
            compute_output_s=self.compute_output_s / self.requests,
        )


def statistics_from_json(answer: Mapping[str, Any]) -> ModelStatistics:
    """Read the answer of `GET /v2/models/<name>/stats`; all loaded versions are added up."""
    versions = answer["model_stats"]
    sums = {name: sum(_duration_s(v["inference_stats"], name) for v in versions) for name in _DURATIONS}
    batches: dict[int, BatchStatistics] = {}
    for version in versions:
        for entry in version.get("batch_stats", ()):
            batch = _batch_from_json(entry)
            batches[batch.batch_size] = _sum(batch, batches.get(batch.batch_size))
    return ModelStatistics(
        requests=sum(int(v["inference_stats"]["success"]["count"]) for v in versions),
        failures=sum(int(v["inference_stats"]["fail"]["count"]) for v in versions),
        queue_s=sums["queue"],
        compute_input_s=sums["compute_input"],
        compute_s=sums["compute_infer"],
        compute_output_s=sums["compute_output"],
        batches=tuple(batches[size] for size in sorted(batches)),
    )


_DURATIONS = ("queue", "compute_input", "compute_infer", "compute_output")


def _duration_s(entry: Mapping[str, Any], name: str) -> float:
    return int(entry[name]["ns"]) / _NS_PER_S


def _batch_from_json(entry: Mapping[str, Any]) -> BatchStatistics:
    return BatchStatistics(
        batch_size=int(entry["batch_size"]),
        executions=int(entry["compute_infer"]["count"]),
        compute_input_s=_duration_s(entry, "compute_input"),
        compute_s=_duration_s(entry, "compute_infer"),
        compute_output_s=_duration_s(entry, "compute_output"),
    )


def _sum(batch: BatchStatistics, other: BatchStatistics | None, sign: int = 1) -> BatchStatistics:
    if other is None:
        return batch
    return BatchStatistics(
        batch_size=batch.batch_size,
        executions=batch.executions + sign * other.executions,
        compute_input_s=batch.compute_input_s + sign * other.compute_input_s,
        compute_s=batch.compute_s + sign * other.compute_s,
        compute_output_s=batch.compute_output_s + sign * other.compute_output_s,
    )


def _difference(batch: BatchStatistics, earlier: BatchStatistics | None) -> BatchStatistics:
    return _sum(batch, earlier, sign=-1)
