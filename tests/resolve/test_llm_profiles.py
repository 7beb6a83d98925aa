"""Language models and their measured step times, stored and read back."""

import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infc.ir.precision import Precision
from infc.ir.step_time import StepTimePoint, StepTimeProfile
from infc.resolve.json_reader import ProfileFormatError
from infc.resolve.llm_json import llm_from_text, step_times_from_text, text_from_llm, text_from_step_times
from infc.resolve.profile_schema import profile_schema
from infc.resolve.store import ProfileStore
from tests.resolve.hf_config.models import NAMES, model

SCHEMA = jsonschema.Draft202012Validator(profile_schema())
POINT = StepTimePoint(prefill_tokens=512, decode_seqs=4, context_tokens=4096, seconds=0.0125, samples=30)
TIMES = StepTimeProfile(
    model_digest=model("qwen3-8b").digest,
    precision=Precision.BF16,
    hardware_id="l40s",
    tensor_parallel=1,
    points=(POINT, replace(POINT, prefill_tokens=0, seconds=0.008)),
    environment={"server": "vllm 0.32.0"},
)
profiles = st.builds(
    StepTimeProfile,
    model_digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    precision=st.sampled_from(Precision),
    hardware_id=st.text(min_size=1, max_size=8),
    tensor_parallel=st.integers(1, 8),
    points=st.lists(
        st.builds(
            StepTimePoint,
            prefill_tokens=st.integers(0, 2**20),
            decode_seqs=st.integers(0, 2**16),
            context_tokens=st.integers(0, 2**40),
            seconds=st.floats(1e-9, 1e6),
            samples=st.integers(1, 10**6),
            prefill_seqs=st.integers(0, 64),
        ),
        max_size=4,
    ).map(tuple),
    environment=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    overhead_s=st.none() | st.floats(0.0, 1.0),
    sequence_overhead_s=st.none() | st.floats(0.0, 1.0),
    request_s=st.none() | st.floats(0.0, 1.0),
    load_s=st.none() | st.floats(0.01, 1e4),
    pace_spread=st.none() | st.floats(1.0, 9.0),
    kv_precision=st.none() | st.sampled_from(Precision),
)


def store_at(root: Path) -> ProfileStore:
    """A store whose cache is where the workspace has it."""
    return ProfileStore(root=root, cache=root / ".infc")


@pytest.mark.parametrize("name", NAMES)
def test_language_models_read_back_equal_and_valid(name: str) -> None:
    """Text -> value -> text is the identity, and the text is valid under the published schema."""
    text = text_from_llm(model(name))
    assert llm_from_text(text) == model(name)
    assert text_from_llm(llm_from_text(text)) == text
    SCHEMA.validate(json.loads(text))


@settings(max_examples=60, deadline=None)
@given(profiles)
def test_step_times_read_back_equal_and_valid(profile: StepTimeProfile) -> None:
    """Measured steps survive the file."""
    text = text_from_step_times(profile)
    assert step_times_from_text(text) == profile
    SCHEMA.validate(json.loads(text))


def test_a_store_finds_models_by_digest_and_by_name(tmp_path: Path) -> None:
    """The config's digest, or the name of the hub repository that it was added under."""
    qwen = replace(model("qwen3-8b"), name="Qwen/Qwen3-8B@main")
    path = store_at(tmp_path).add_llm(qwen)
    assert path == store_at(tmp_path).llm_path(qwen)
    assert path.name.startswith("llm-")
    fresh = store_at(tmp_path)
    assert fresh.llm(qwen.digest) == qwen
    assert fresh.llm_named("Qwen/Qwen3-8B@main") == qwen
    assert fresh.llm_named("Qwen/Qwen3-8B") is None
    assert fresh.llm("0" * 64) is None
    assert fresh.diagnostics == ()


def test_a_store_keeps_one_measurement_of_each_setting(tmp_path: Path) -> None:
    """Measuring again replaces; another precision or another number of devices stands beside."""
    store = store_at(tmp_path)
    store.add_step_times(TIMES)
    again = replace(TIMES, points=(POINT,))
    store.add_step_times(again)
    two = replace(TIMES, tensor_parallel=2)
    store.add_step_times(two)
    found = store_at(tmp_path).step_times(TIMES.model_digest)
    assert sorted(found, key=lambda each: each.tensor_parallel) == [again, two]
    assert store_at(tmp_path).step_times("0" * 64) == ()


@pytest.mark.parametrize("kind", ["llm", "step-time"])
def test_damaged_profiles_are_errors_that_name_the_file(kind: str, tmp_path: Path) -> None:
    """A conflict marker, a missing field, a negative size: the plan says which file, and goes on without it."""
    store = store_at(tmp_path)
    path = store.add_llm(model("qwen3-8b")) if kind == "llm" else store.add_step_times(TIMES)
    good = path.read_text()
    key = '"hidden": 4096' if kind == "llm" else '"tensor_parallel": 1'
    for bad in (good[:-20], "<<<<<<< HEAD\n" + good, good.replace(key, key.split(":")[0] + ": -1")):
        assert bad != good
        path.write_text(bad)
        fresh = store_at(tmp_path)
        found = fresh.llm(TIMES.model_digest) if kind == "llm" else fresh.step_times(TIMES.model_digest)
        assert not found
        assert [problem.id for problem in fresh.diagnostics] == ["profile-corrupt"]
        assert path.name in fresh.diagnostics[0].message


@pytest.mark.parametrize(
    "change", [{"groups": []}, {"hidden": 0}, {"max_context_tokens": 0}, {"vocabulary": 0}], ids=str
)
def test_a_model_of_nothing_is_refused(change: dict[str, object]) -> None:
    """No layers, no width: every later stage may rely on them."""
    document = {**json.loads(text_from_llm(model("qwen3-8b"))), **change}
    with pytest.raises(ProfileFormatError):
        llm_from_text(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "read"),
    [(text_from_llm(model("deepseek-v3")), llm_from_text), (text_from_step_times(TIMES), step_times_from_text)],
    ids=["llm", "step-time"],
)
def test_mutated_texts_are_refused_as_a_format_error(text: str, read: Callable[[str], object]) -> None:
    """Never another exception, whatever a field holds."""
    values = random.Random(7)
    document = json.loads(text)
    for _ in range(200):
        changed = json.loads(text)
        target = changed
        key: object = values.choice(sorted(document))
        while isinstance(target[key], dict | list) and target[key] and values.random() < 0.7:  # type: ignore[index]
            target = target[key]  # type: ignore[index]
            key = values.choice(sorted(target)) if isinstance(target, dict) else values.randrange(len(target))
        target[key] = values.choice([None, -1, "x", [], {}, True, 1e308, float("nan")])  # type: ignore[index]
        with contextlib.suppress(ProfileFormatError):
            read(json.dumps(changed))
