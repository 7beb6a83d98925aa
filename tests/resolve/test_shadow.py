"""A quality shadow is allowed where no percentile of the objective can notice it."""

from pathlib import Path

import pytest

from infc.ir.problem import ShadowGoal
from infc.resolve.shadow import neutral_one_in, one_in
from infc.spec import load_spec

from .test_problem import BASE, resolved

LOAD = "workload: {rate: 50/s}\n"


def test_a_small_model_may_be_sampled_as_asked(tmp_path: Path) -> None:
    """The share becomes one request in every N; capturing its 784 floats takes well under a millisecond."""
    problem, ids = resolved(tmp_path, BASE + LOAD + "deploy: {shadow: {sample: 3%, min_agreement: 98%}}\n")
    assert not ids
    assert problem is not None
    assert problem.shadow is not None
    assert problem.shadow == ShadowGoal(
        one_in=34, min_agreement=0.98, tolerance=None, capture_s=problem.shadow.capture_s
    )
    assert 5e-4 < problem.shadow.capture_s < 1e-3


def test_without_the_key_there_is_none(tmp_path: Path) -> None:
    """Off by default."""
    problem, _ = resolved(tmp_path, BASE + LOAD)
    assert problem is not None
    assert problem.shadow is None


def test_a_share_that_a_percentile_would_notice_is_refused_with_one_that_it_would_not(tmp_path: Path) -> None:
    """The help's own share is taken."""
    head = BASE.replace("p99: 20ms", "p99: 5ms") + LOAD
    problem, ids = resolved(tmp_path, head + "deploy: {shadow: {sample: 1%}}\n")
    assert problem is None
    assert ids == ["shadow-noticeable"]
    problem, ids = resolved(tmp_path, head + "deploy: {shadow: {sample: 0.096%}}\n")
    assert problem is not None, ids


@pytest.mark.parametrize(("sample", "expected"), [(1.0, 1), (0.5, 2), (0.7, 2), (0.001, 1000), (0.0099, 102)])
def test_never_more_is_sampled_than_asked(sample: float, expected: int) -> None:
    """One in every N, rounded so that the share is at most the asked one."""
    assert one_in(sample) == expected
    assert 1 / one_in(sample) <= sample


def test_the_stricter_percentile_decides() -> None:
    """Each target by itself: p50 bears many slow requests, p99.9 hardly any."""
    assert neutral_one_in(0.01, {50.0: 0.02}, 10.0) == 22
    assert neutral_one_in(0.01, {50.0: 0.02, 99.9: 0.05}, 10.0) == 11000


@pytest.mark.parametrize("deploy", ["server: vllm, shadow: {}", "server: jetson, shadow: {}"])
def test_only_triton_has_one(tmp_path: Path, deploy: str) -> None:
    """Said by `infc check`, at the key."""
    (tmp_path / "model.onnx").write_bytes(b"not read")
    spec = tmp_path / "test.infc.yaml"
    spec.write_text(BASE + LOAD + f"deploy: {{{deploy}}}\n")
    found = [each for each in load_spec(spec).diagnostics if each.span and "shadow" in each.message]
    assert [each.id for each in found] == ["spec-model-mismatch"]


@pytest.mark.parametrize(("text", "id"), [("{sample: 0%}", "spec-range"), ("{sample: 0.01}", "spec-quantity")])
def test_a_share_is_a_percentage_above_zero(tmp_path: Path, text: str, id: str) -> None:
    """Like every share of the spec."""
    (tmp_path / "model.onnx").write_bytes(b"not read")
    spec = tmp_path / "test.infc.yaml"
    spec.write_text(BASE + LOAD + f"deploy: {{shadow: {text}}}\n")
    assert [each.id for each in load_spec(spec).diagnostics] == [id]
