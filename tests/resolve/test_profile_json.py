"""Stored profiles read back as they were, byte for byte the same every time, and anything else is refused."""

import json
from dataclasses import replace
from math import isclose
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.accuracy import (
    AccuracyEvidence,
    OutputErrors,
    PrecisionSearch,
    RaisedOperator,
    SearchLook,
    SliceDelta,
    Verdict,
)
from infc.ir.expression import AxisExpression, FloorDivision, Maximum, Minimum, Monomial
from infc.ir.interval import Interval
from infc.ir.model_profile import Caveat, ModelProfile, OperatorClass, OperatorProfile, TensorSpec
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.resolve.accuracy_json import accuracy_from_text, text_from_accuracy
from infc.resolve.expression_json import expression_from_json, json_from_expression
from infc.resolve.json_reader import ProfileFormatError
from infc.resolve.profile_json import (
    model_from_text,
    service_times_from_text,
    text_from_model,
    text_from_service_times,
)
from infc.resolve.profile_schema import profile_schema

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(min_size=1, max_size=8)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


def _expressions(factors: st.SearchStrategy[object]) -> st.SearchStrategy[AxisExpression]:
    monomials = st.builds(Monomial, coefficient=finite, factors=st.lists(factors, max_size=3).map(lambda fs: tuple(fs)))
    return st.lists(monomials, max_size=3).map(lambda terms: AxisExpression(terms=tuple(terms)))


flat = _expressions(names)
expressions = _expressions(
    names
    | st.builds(FloorDivision, numerator=flat, divisor=st.integers(1, 64))
    | st.builds(Maximum, options=st.lists(flat, min_size=1, max_size=3).map(tuple))
    | st.builds(Minimum, options=st.lists(flat, min_size=1, max_size=3).map(tuple))
)
tensors = st.builds(
    TensorSpec,
    name=names,
    dtype=st.sampled_from(["float32", "int64", "object"]),
    shape=st.lists(st.integers(0, 4096) | names, max_size=4).map(tuple),
    elements=st.none() | flat,
)
operators = st.builds(
    OperatorProfile,
    name=names,
    op_type=names,
    operator_class=st.sampled_from(OperatorClass),
    fusion_group=st.integers(0, 9),
    flops=expressions,
    weight_elements=st.integers(0, 2**40),
    input_elements=expressions,
    output_elements=expressions,
    external_input_elements=expressions,
    is_group_output=st.booleans(),
)
models = st.builds(
    ModelProfile,
    name=names,
    digest=digests,
    format=st.just("onnx"),
    opset=st.integers(9, 30),
    inputs=st.lists(tensors, max_size=2).map(tuple),
    outputs=st.lists(tensors, max_size=2).map(tuple),
    batch_axis=st.none() | names,
    fixed_batch=st.none() | st.integers(1, 8),
    axes=st.lists(names, max_size=2).map(tuple),
    parameter_elements=st.integers(0, 2**40),
    weight_bytes=st.integers(0, 2**40),
    peak_activation_elements=expressions,
    operators=st.lists(operators, max_size=3).map(tuple),
    caveats=st.lists(st.builds(Caveat, id=names, message=names, help=names), max_size=2).map(tuple),
)
intervals = st.builds(Interval, value=finite, low=finite, high=finite)
service_times = st.builds(
    ServiceTimeProfile,
    model_digest=digests,
    precision=st.sampled_from(Precision),
    hardware_id=names,
    engine_kind=names,
    instances=st.integers(1, 8),
    points=st.lists(
        st.builds(
            ServiceTimePoint,
            batch_size=st.integers(1, 64),
            axes=st.dictionaries(names, st.integers(1, 512), max_size=2),
            seconds=intervals,
            executions=st.integers(1, 10_000),
        ),
        max_size=3,
    ).map(tuple),
    environment=st.dictionaries(names, names, max_size=3),
    load_s=st.none() | st.floats(0.01, 1e4),
)
counts = st.integers(0, 10**6)
shares = st.floats(0.0, 1e6)
evidence = st.builds(
    AccuracyEvidence,
    model_digest=digests,
    precision=st.sampled_from(Precision),
    recipe_digest=digests,
    subject=names,
    dataset_digest=digests,
    metric=names,
    samples=st.integers(0, 10**6),
    confidence=finite,
    reference=finite,
    value=intervals,
    drop=intervals,
    floor=st.none() | finite,
    max_drop=st.none() | finite,
    verdict=st.sampled_from(Verdict),
    samples_needed=st.none() | st.integers(1, 10**6),
    kept=st.lists(names, max_size=3).map(tuple),
    slices=st.lists(
        st.builds(SliceDelta, name=names, samples=counts, reference=finite, value=finite, drop=intervals), max_size=2
    ).map(tuple),
    slices_judged=counts,
    max_slice_drop=st.none() | finite,
    errors=st.none() | st.builds(OutputErrors, median=shares, p99=shares, worst=shares, worst_sample=counts),
    search=st.none()
    | st.builds(
        PrecisionSearch,
        candidates=counts,
        samples=counts,
        raised=st.lists(st.builds(RaisedOperator, name=names, error_share=shares), max_size=3).map(tuple),
        left_error=shares,
        looks=st.lists(
            st.builds(SearchLook, raised=counts, value=intervals, drop=intervals, verdict=st.sampled_from(Verdict)),
            max_size=2,
        ).map(tuple),
        is_cut_short=st.booleans(),
    ),
)
SCHEMA = jsonschema.Draft202012Validator(profile_schema())


@settings(max_examples=60, deadline=None)
@given(models)
def test_model_profiles_read_back_equal_and_valid(profile: ModelProfile) -> None:
    """Text -> value -> text is the identity, and the text is valid under the published schema."""
    text = text_from_model(profile)
    assert model_from_text(text) == profile
    assert text_from_model(model_from_text(text)) == text
    SCHEMA.validate(json.loads(text))


@settings(max_examples=40, deadline=None)
@given(service_times)
def test_service_times_read_back_equal_and_valid(profile: ServiceTimeProfile) -> None:
    """Measured service times survive the file."""
    text = text_from_service_times(profile)
    assert service_times_from_text(text) == profile
    SCHEMA.validate(json.loads(text))


@settings(max_examples=40, deadline=None)
@given(evidence)
def test_accuracy_evidence_reads_back_equal_and_valid(item: AccuracyEvidence) -> None:
    """Accuracy evidence survives the file."""
    text = text_from_accuracy(item)
    assert accuracy_from_text(text) == item
    SCHEMA.validate(json.loads(text))


@settings(max_examples=60, deadline=None)
@given(expressions)
def test_expressions_read_back_equal(expression: AxisExpression) -> None:
    """Every kind of factor survives."""
    assert expression_from_json(json.loads(json.dumps(json_from_expression(expression)))) == expression


SAMPLE = text_from_service_times(
    ServiceTimeProfile(
        model_digest="0" * 64,
        precision=Precision.INT8,
        hardware_id="l4",
        engine_kind="tensorrt",
        instances=1,
        points=(ServiceTimePoint(batch_size=1, axes={}, seconds=Interval.exact(0.25), executions=100),),
        environment={"server": "tritonserver 2.51.0"},
    )
)


def test_the_stored_text_is_readable_in_a_review() -> None:
    """Sorted keys, one line for each measured point, whole numbers without a fraction."""
    assert SAMPLE.splitlines()[1:3] == [
        ' "engine_kind": "tensorrt",',
        ' "environment": {"server":"tritonserver 2.51.0"},',
    ]
    assert '  {"axes":{},"batch_size":1,"executions":100,"seconds":{"high":0.25,"low":0.25,"value":0.25}}' in SAMPLE


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"instances": 1', '"instances": "1"', "profile.instances is not a whole number"),
        ('"instances": 1', '"instances": true', "profile.instances is not a whole number"),
        (' "instances": 1,\n', "", "profile has no 'instances'"),
        ('"value":0.25', '"value":"0.25"', r"seconds\.value is not a number"),
        ('"value":0.25', '"value":NaN', r"seconds\.value is not a number"),
        ('"precision": "int8"', '"precision": "int7"', "'int7' is not one of"),
        ('"kind": "service-time"', '"kind": "model"', "it is a model profile"),
        ('"format_version": "1.0"', '"format_version": "2.0"', r"format 2\.0"),
        ("{", "<<<<<<< HEAD\n{", "not JSON"),
        ('"points": [', '"points": [3,', r"points\[0\] is not an object"),
    ],
)
def test_edited_profiles_are_refused_with_the_field(old: str, new: str, reason: str) -> None:
    """The error says which field is wrong, so that a broken merge is found."""
    with pytest.raises(ProfileFormatError, match=reason):
        service_times_from_text(SAMPLE.replace(old, new, 1))


json_values = st.recursive(st.none() | finite | names, lambda inner: st.lists(inner) | st.dictionaries(names, inner))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200) | json_values.map(json.dumps))
def test_other_texts_are_refused_and_never_crash(text: str) -> None:
    """Any text that infc did not write is a ProfileFormatError."""
    for read in (model_from_text, service_times_from_text, accuracy_from_text):
        with pytest.raises(ProfileFormatError):
            read(text)


def test_measured_seconds_keep_their_precision() -> None:
    """A time is not rounded on its way through the file."""
    profile = service_times_from_text(SAMPLE)
    point = replace(profile.points[0], seconds=Interval.exact(0.1 + 0.2))
    again = service_times_from_text(text_from_service_times(replace(profile, points=(point,))))
    assert isclose(again.points[0].seconds.value, 0.30000000000000004, rel_tol=0)


def test_published_schema_is_the_generated_one() -> None:
    """`infc schema --write schemas/` was run after the last change of the format."""
    published = Path(__file__).parents[2] / "schemas" / "profile.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == profile_schema()
