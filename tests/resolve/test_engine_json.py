"""Evidence of built engines survives the file, and anything else is refused."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.engine_evidence import EngineEvidence
from infc.ir.engine_kind import ENGINE_KINDS
from infc.ir.precision import Precision
from infc.resolve.engine_json import engine_from_text, text_from_engine
from infc.resolve.json_reader import ProfileFormatError
from infc.resolve.profile_schema import profile_schema

counts = st.integers(0, 2**40)
SCHEMA = jsonschema.Draft202012Validator(profile_schema())
engines = st.builds(
    EngineEvidence,
    model_digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    precision=st.sampled_from(Precision),
    recipe_digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    kind=st.sampled_from(ENGINE_KINDS),
    compute_capability=st.sampled_from(["7.5", "8.9", "12.0"]),
    max_batch_size=st.integers(1, 64),
    maximum_elements=counts,
    activation_bytes=counts,
    weight_bytes=counts,
    moved_bytes=st.none() | counts,
    refusal=st.text(max_size=20),
    layer_types=st.dictionaries(st.sampled_from(["Float", "Half", "Int8"]), st.integers(1, 99)).map(
        lambda types: tuple(sorted(types.items()))
    ),
)


@settings(max_examples=40, deadline=None)
@given(engines)
def test_evidence_reads_back_equal_and_valid(item: EngineEvidence) -> None:
    """Text -> value -> text is the identity, valid under the published schema."""
    text = text_from_engine(item)
    assert engine_from_text(text) == item
    assert text_from_engine(engine_from_text(text)) == text
    SCHEMA.validate(json.loads(text))


SAMPLE = text_from_engine(
    EngineEvidence(
        model_digest="0" * 64,
        precision=Precision.INT8,
        recipe_digest="1" * 64,
        kind="tensorrt_rtx",
        compute_capability="8.9",
        max_batch_size=32,
        maximum_elements=4_816_896,
        activation_bytes=321_327_104,
        weight_bytes=5_334_406,
        layer_types=(("Float", 50), ("Half", 2), ("Int8", 49)),
        moved_bytes=2_918_574_080,
    )
)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"max_batch_size": 32', '"max_batch_size": "32"', "max_batch_size is not a whole number"),
        ('"Float":50', '"Float":0.5', r"layer_types\.Float is not a whole number"),
        ('"engine_kind": "tensorrt_rtx"', '"engine_kind": "openvino"', "'openvino' is not one of"),
        ('"kind": "engine"', '"kind": "model"', "it is a model profile"),
        (' "weight_bytes": 5334406\n', ' "weights": 1\n', "has no 'weight_bytes'"),
    ],
)
def test_edited_evidence_is_refused_with_the_field(old: str, new: str, reason: str) -> None:
    """The error says which field is wrong."""
    assert old in SAMPLE
    with pytest.raises(ProfileFormatError, match=reason):
        engine_from_text(SAMPLE.replace(old, new, 1))
