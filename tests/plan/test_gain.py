"""A quantised engine that gains nothing is not planned: by what builders said of real engines.

The figures are TensorRT-RTX 1.7's, of EfficientNet-Lite0 and ResNet-8 at batch 32 (compute capabilities 7.5 and 8.9).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from infc.ir.engine_evidence import EngineEvidence
from infc.ir.interval import Interval
from infc.ir.model_profile import ModelProfile
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import Origin, Problem
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.plan import solve
from infc.plan.built import maximum_elements
from infc.resolve.profile_json import model_from_text
from tests.plan.problems import L4, LIMITS, T4, priced, problem

PROFILES = Path(__file__).parents[2] / "specs" / "infc-profiles"
Figures = tuple[int, int, int, Mapping[str, int]]
EFFICIENTNET: Mapping[tuple[str, Precision], Figures] = {
    ("8.9", Precision.FP16): (120_385_536, 9_265_920, 929_149_952, {"Half": 52, "Float": 1}),
    ("8.9", Precision.INT8): (321_327_104, 5_334_406, 2_918_574_080, {"Float": 50, "Int8": 49, "Half": 2}),
    ("7.5", Precision.FP16): (708_046_848, 11_815_680, 4_834_200_000, {"Half": 69, "Float": 1}),
    ("7.5", Precision.INT8): (711_458_816, 5_923_334, 5_222_007_296, {"Float": 50, "Int8": 99, "Half": 2}),
}


def profile(name: str) -> ModelProfile:
    """A model of the examples."""
    for path in sorted(PROFILES.glob("model-*.json")):
        if json.loads(path.read_text())["name"] == name:
            return model_from_text(path.read_text())
    raise AssertionError(name)


MODEL = profile("efficientnet-lite0")


def evidence(model: ModelProfile, capability: str, precision: Precision, figures: Figures) -> EngineEvidence:
    """An engine at batch 32."""
    activations, weights, moved, types = figures
    return EngineEvidence(
        model_digest=model.digest,
        precision=precision,
        recipe_digest=precision.value,
        kind="tensorrt_rtx",
        compute_capability=capability,
        max_batch_size=32,
        maximum_elements=maximum_elements(model, 32, {}),
        activation_bytes=activations,
        weight_bytes=weights,
        layer_types=tuple(sorted(types.items())),
        moved_bytes=moved,
    )


ENGINES = tuple(evidence(MODEL, capability, p, figures) for (capability, p), figures in EFFICIENTNET.items())


def asked(capability: str, **changes: object) -> Problem:
    """A problem in which INT8 is predicted to have the lower latency."""
    hardware = {"8.9": L4, "7.5": T4}[capability]
    base = problem(
        model=MODEL,
        peak_rps=2450.0,
        p99_ms=40.0,
        options=(priced(hardware, 0.7),),
        objective="latency",
        origins={"constraints.precision": Origin.USER},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def precision_of(problem: Problem) -> str:
    """What is planned."""
    decision = solve(problem)
    assert isinstance(decision, Plan)
    return decision.candidate.precision.value


@pytest.mark.parametrize("capability", ["7.5", "8.9"])
def test_int8_engines_that_move_more_than_fp16_are_not_planned(capability: str) -> None:
    """EfficientNet-Lite0's INT8 convolutions emit FP32: FP16 is chosen, and the plan says why with the figures."""
    assert precision_of(asked(capability)) == "int8"
    decision = solve(asked(capability, engines=ENGINES))
    assert isinstance(decision, Plan)
    assert decision.candidate.precision is Precision.FP16
    [rejection] = [r for r in decision.rejections if r.constraint == "gain"]
    assert rejection.candidate.startswith("int8/")
    assert "layers emit Float" in rejection.predicted
    if capability == "8.9":
        assert "321 MB activations against 120 MB in fp16, 50 of 101 layers emit Float" in rejection.predicted
    assert any(reason.startswith("fp16: int8 gains nothing on") for reason in decision.reasons)


@pytest.mark.parametrize(
    ("without", "why"),
    [
        (lambda e: e.precision is Precision.FP16, "nothing to compare with"),
        (lambda e: e.precision is Precision.INT8, "nothing is known of it"),
        (lambda e: e.compute_capability == "8.9", "another device's engines"),
    ],
)
def test_half_of_the_evidence_rejects_nothing(without, why: str) -> None:  # type: ignore[no-untyped-def]
    """Both engines must be known for the device."""
    assert precision_of(asked("8.9", engines=tuple(e for e in ENGINES if not without(e)))) == "int8", why


def test_other_shapes_are_not_compared() -> None:
    """Figures at batch 16 and at batch 32 are not figures of the same engine."""
    other = tuple(
        replace(e, max_batch_size=16, maximum_elements=maximum_elements(MODEL, 16, {}))
        if e.precision is Precision.FP16
        else e
        for e in ENGINES
    )
    assert precision_of(asked("8.9", engines=other)) == "int8"


def test_sizes_that_the_builder_left_open_reject_nothing() -> None:
    """Without the bytes that the layers move there is no comparison."""
    assert precision_of(asked("8.9", engines=tuple(replace(e, moved_bytes=None) for e in ENGINES))) == "int8"


def test_an_engine_that_gains_stays() -> None:
    """With half of FP16's bytes INT8 is worth it."""
    lean = tuple(
        replace(e, moved_bytes=450_000_000, layer_types=(("Int8", 53),)) if e.precision is Precision.INT8 else e
        for e in ENGINES
    )
    assert precision_of(asked("8.9", engines=lean)) == "int8"


def test_where_nothing_unquantised_is_allowed_int8_stays() -> None:
    """There is nothing that it would have to be faster than."""
    only = replace(LIMITS, precisions=(Precision.INT8,))
    assert precision_of(asked("8.9", engines=ENGINES, limits=only)) == "int8"


def test_measured_times_go_before_the_comparison() -> None:
    """What INT8 was measured to take on the device decides, whatever its engine moves."""
    points = tuple(
        ServiceTimePoint(batch_size=n, axes={}, seconds=Interval.exact(2e-4 + n * 1e-5), executions=100)
        for n in (1, 8, 64)
    )
    measured = ServiceTimeProfile(
        model_digest=MODEL.digest,
        precision=Precision.INT8,
        hardware_id="l4",
        engine_kind="tensorrt_rtx",
        instances=1,
        points=points,
        environment={},
    )
    decision = solve(asked("8.9", engines=ENGINES, measurements=(measured,)))
    assert isinstance(decision, Plan)
    assert "gain" not in {r.constraint for r in decision.rejections}


def test_the_order_of_evidence_does_not_matter() -> None:
    """Same evidence, same plan."""
    assert solve(asked("8.9", engines=ENGINES)) == solve(asked("8.9", engines=ENGINES[::-1]))


def test_resnet8_gains_nothing_on_tensorrt_rtx_either() -> None:
    """Its INT8 engine moves twice the bytes in more than half as many layers again."""
    model = profile("resnet8")
    engines = (
        evidence(model, "8.9", Precision.FP16, (10_600_448, 155_968, 10_700_000, {"Half": 11, "Float": 1})),
        evidence(model, "8.9", Precision.INT8, (18_591_744, 83_334, 21_582_336, {"Float": 9, "Int8": 10})),
    )
    decision = solve(asked("8.9", model=model, engines=engines))
    assert isinstance(decision, Plan)
    assert [r.candidate for r in decision.rejections if r.constraint == "gain"] == ["int8/l4"]


def test_a_precision_that_the_builder_refused_is_not_planned_again() -> None:
    """What it said is the reason; an engine of another recipe of the precision takes the refusal back."""
    words = "TensorRT-RTX did not build int8 for l4; 49 of 50 matrix operators run in Half"
    no = replace(ENGINES[1], activation_bytes=0, weight_bytes=0, layer_types=(), moved_bytes=None, refusal=words)
    assert no.precision is Precision.INT8
    decision = solve(asked("8.9", engines=(no,)))
    assert isinstance(decision, Plan)
    assert [(r.candidate, r.constraint, r.predicted) for r in decision.rejections] == [("int8/l4", "build", words)]
    assert f"fp16: int8 was not built ({words})" in decision.reasons
    built = replace(ENGINES[1], recipe_digest="another", moved_bytes=None)
    assert precision_of(asked("8.9", engines=(no, built))) == "int8"
    assert precision_of(asked("7.5", engines=(no,))) == "int8"
