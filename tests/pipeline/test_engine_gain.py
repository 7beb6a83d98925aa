"""What compile learns from engines: INT8 that gains nothing, or that the builder refuses, gives way to FP16."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infc.build import LOCAL
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import Problem
from infc.pipeline.plan import plan_spec, profile_store
from infc.pipeline.settle import settle
from infc.pipeline.settled import SettledOnnx
from infc.pipeline.workshop import Workshop
from infc.plan import solve

pytest.importorskip("tensorrt_rtx", reason="extra rtx is not installed")
SPEC = "fashion-mnist.infc.yaml"
Edit = Callable[[Path, str, str], None]
pytestmark = pytest.mark.slow


def quiet(*_: object) -> None:
    """Show nothing."""


def asked(folder: Path, edit: Edit, hardware: str) -> tuple[Problem, Workshop]:
    """The example on one GPU with both precisions allowed."""
    edit(folder / SPEC, "hardware: [t4, l4, a10g, l40s]", f"hardware: [{hardware}]")
    edit(folder / SPEC, "precision: [int8]", "precision: [int8, fp16]")
    edit(folder / SPEC, "  targets: [cpu]", "  # no further targets")
    planned = plan_spec(folder / SPEC)
    shop = Workshop(
        loaded=planned.loaded,
        store=profile_store(planned.loaded.workspace),
        is_read_only=False,
        market=None,
        allow_code=False,
        builder=LOCAL,
        build_timeout_s=600.0,
        promised_key=None,
        keeps_pending=False,
        announce=quiet,
        progress=quiet,
    )
    problem = planned.decisions[0].problem
    assert isinstance(problem, Problem)
    return problem, shop


def settled_from_int8(problem: Problem, shop: Workshop) -> SettledOnnx:
    """Settle from the plan that INT8 alone would have."""
    only = solve(replace(problem, limits=replace(problem.limits, precisions=(Precision.INT8,))))
    assert isinstance(only, Plan)
    assert only.candidate.precision is Precision.INT8
    result = settle(problem, only, shop)
    assert isinstance(result, SettledOnnx)
    return result


def test_int8_that_moves_more_than_fp16_gives_way(workspace: Path, edit: Edit) -> None:
    """Both engines are built at equal shapes and kept as evidence; a later plan starts where this one ended.

    A locked compile comes to the same and keeps nothing.
    """
    problem, shop = asked(workspace, edit, "l4")
    locked = settled_from_int8(problem, replace(shop, is_read_only=True))
    assert shop.store.engines(problem.model.digest) == ()
    settled = settled_from_int8(problem, shop)
    assert settled.plan == locked.plan
    assert settled.plan.candidate.precision is Precision.FP16
    [gain] = [r for r in settled.plan.rejections if r.constraint == "gain"]
    assert gain.candidate == "int8/l4"
    assert "emit Float" in gain.predicted
    stored = shop.store.engines(problem.model.digest)
    assert set(stored) == set(settled.problem.engines)
    assert {e.precision for e in stored} == {Precision.INT8, Precision.FP16}
    again = plan_spec(workspace / SPEC).decisions[0]
    assert again.decision == replace(settled.plan, spec_path=again.decision.spec_path)


def test_int8_that_the_builder_refuses_gives_way(workspace: Path, edit: Edit) -> None:
    """For Turing TensorRT-RTX runs INT8 convolutions in FP16: its refusal is kept, and the plan says so."""
    problem, shop = asked(workspace, edit, "t4")
    settled = settled_from_int8(problem, shop)
    assert settled.plan.candidate.precision is Precision.FP16
    [refused] = [r for r in settled.plan.rejections if r.constraint == "build"]
    assert "run in Half" in refused.predicted
    again = plan_spec(workspace / SPEC).decisions[0]
    assert again.decision == replace(settled.plan, spec_path=again.decision.spec_path)
