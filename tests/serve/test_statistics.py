"""Statistics as the server answers them, and their differences."""

import pytest

from infc.serve.statistics import statistics_from_json


def answer(requests: int, batches: dict[int, tuple[int, int]]) -> dict[str, object]:
    """`GET /v2/models/m/stats`: batches maps a size to (executions, nanoseconds of compute each)."""

    def total(share: float) -> dict[str, object]:
        ns = sum(round(share * each) * executions * size for size, (executions, each) in batches.items())
        return {"count": requests, "ns": ns}

    entries = [
        {
            "batch_size": size,
            "compute_input": {"count": executions, "ns": executions * each // 10},
            "compute_infer": {"count": executions, "ns": executions * each},
            "compute_output": {"count": executions, "ns": executions * each // 5},
        }
        for size, (executions, each) in batches.items()
    ]
    inference = {
        "success": {"count": requests, "ns": 0},
        "fail": {"count": 0, "ns": 0},
        "queue": {"count": requests, "ns": requests * 1_000_000},
        "compute_input": total(0.1),
        "compute_infer": total(1.0),
        "compute_output": total(0.2),
    }
    return {"model_stats": [{"name": "m", "version": "1", "inference_stats": inference, "batch_stats": entries}]}


def test_service_time_and_mean_batch() -> None:
    """One execution's instance time is compute input, compute and compute output together."""
    statistics = statistics_from_json(answer(14, {2: (4, 5_000_000), 1: (6, 4_000_000)}))
    assert statistics.service_s_by_batch_size == pytest.approx({1: 0.0052, 2: 0.0065})
    assert [batch.batch_size for batch in statistics.batches] == [1, 2]
    assert statistics.mean_batch_size == pytest.approx(1.4)
    assert statistics.executions == 10


def test_warm_up_is_subtracted() -> None:
    """A difference holds only what happened in between, and no batch size that did not run."""
    before = statistics_from_json(answer(3, {1: (3, 40_000_000)}))
    after = answer(7, {1: (3, 40_000_000), 4: (1, 8_000_000)})
    difference = statistics_from_json(after).since(before)
    assert difference.requests == 4
    assert difference.mean_batch_size == 4.0
    assert difference.service_s_by_batch_size == pytest.approx({4: 0.0104})


def test_layers_add_up_to_the_latency() -> None:
    """What the server does not account for is transport."""
    layers = statistics_from_json(answer(10, {1: (10, 4_000_000)})).layers(0.0075)
    assert layers.queue_s == pytest.approx(0.001)
    assert layers.compute_input_s == pytest.approx(0.0004)
    assert layers.compute_s == pytest.approx(0.004)
    assert layers.compute_output_s == pytest.approx(0.0008)
    assert layers.transport_s == pytest.approx(0.0013)


def test_versions_are_added_up() -> None:
    """Two loaded versions of a model serve its traffic together."""
    one, two = answer(3, {1: (3, 4_000_000)}), answer(2, {1: (2, 9_000_000)})
    both = {"model_stats": [*one["model_stats"], *two["model_stats"]]}  # type: ignore[misc]
    statistics = statistics_from_json(both)
    assert statistics.requests == 5
    assert statistics.service_s_by_batch_size == pytest.approx({1: 0.0078})


def test_no_requests_no_layers() -> None:
    """Nothing was served, so nothing can be split."""
    empty = statistics_from_json(answer(0, {}))
    assert empty.mean_batch_size == 0.0
    with pytest.raises(ValueError, match="no request"):
        empty.layers(0.01)
