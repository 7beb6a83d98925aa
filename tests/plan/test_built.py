"""What builders reported of engines: the memory that a plan counts with."""

from dataclasses import replace

import pytest

from infc.ir.engine_evidence import EngineEvidence
from infc.ir.estimate import MemoryBreakdown
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.plan import solve
from infc.plan.built import maximum_elements, with_builders_figures
from tests.plan.problems import L4, LIMITS, T4, network, priced, problem

MODEL = network()
MB = 10**6


def engine(batch: int, activation_bytes: int, **changes: object) -> EngineEvidence:
    """An FP16 engine of the network for compute capability 8.9."""
    made = EngineEvidence(
        model_digest=MODEL.digest,
        precision=Precision.FP16,
        recipe_digest="r",
        kind="tensorrt_rtx",
        compute_capability="8.9",
        max_batch_size=batch,
        maximum_elements=maximum_elements(MODEL, batch, {}),
        activation_bytes=activation_bytes,
        weight_bytes=9 * MB,
        layer_types=(("Half", 53),),
        moved_bytes=activation_bytes * 8,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


ESTIMATE = MemoryBreakdown(
    weights_bytes=20.0 * MB, activations_bytes=100.0 * MB, kv_cache_bytes=0.0, runtime_bytes=500.0 * MB
)
KNOWN = (engine(8, 36 * MB), engine(32, 120 * MB))


@pytest.mark.parametrize(
    ("batch", "activations_mb", "is_exact"),
    [(8, 36, True), (32, 120, True), (20, 78, True), (4, 36, False), (64, 120, False)],
)
def test_activations_are_the_builders_where_it_built_and_bounded_by_it_elsewhere(
    batch: int, activations_mb: float, is_exact: bool
) -> None:
    """Exact at a built batch, on a line between two; a smaller one never more, a larger one never less."""
    found = with_builders_figures(ESTIMATE, KNOWN, batch, 1, 0.0)
    assert found.activations_bytes == pytest.approx(activations_mb * MB)
    assert found.weights_bytes == 9 * MB
    assert found.runtime_bytes == ESTIMATE.runtime_bytes
    assert found.is_from_builder is is_exact


def test_an_estimate_between_the_bounds_stays() -> None:
    """Below the smallest built batch an estimate that is smaller still holds."""
    small = replace(ESTIMATE, activations_bytes=10.0 * MB)
    assert with_builders_figures(small, KNOWN, 2, 1, 0.0).activations_bytes == 10.0 * MB


def test_every_instance_has_its_own_engine_and_copies() -> None:
    """Two instances need twice the engine's memory, inputs and outputs included."""
    found = with_builders_figures(ESTIMATE, KNOWN, 8, 2, 5.0 * MB)
    assert found.activations_bytes == pytest.approx(2 * 41 * MB)
    assert found.weights_bytes == 18 * MB


def test_the_plan_takes_the_figure_of_the_engine_for_its_device_only() -> None:
    """An engine for another compute capability, or for other sizes of the axes, says nothing."""
    limits = replace(LIMITS, precisions=(Precision.FP16,))
    sizes = (1, 2, 4, 8, 16, 32, 64)
    built = tuple(engine(size, size * 30 * MB) for size in sizes)
    asked = problem(options=(priced(L4, 0.8),), limits=limits)
    known = solve(replace(asked, engines=built))
    assert isinstance(known, Plan)
    assert known.estimate.memory.is_from_builder
    for other in (
        tuple(replace(e, compute_capability="7.5") for e in built),
        tuple(replace(e, maximum_elements=e.maximum_elements + 1) for e in built),
        tuple(replace(e, precision=Precision.INT8) for e in built),
    ):
        assert solve(replace(asked, engines=other)) == solve(asked)
    assert T4.compute_capability == "7.5"
