"""Problems about language models for the planner's tests: a model of 8 billion weights on a few devices."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from infc.ir.arrival import PoissonArrival
from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.price import Price
from infc.ir.problem import (
    AxisDistribution,
    HardwareOption,
    LatencyTarget,
    Limits,
    LlmProblem,
    LlmSource,
    Origin,
    TokenTraffic,
    Traffic,
)
from infc.resolve.hf_config import llm_profile
from infc.resolve.targets import load_catalogue

CONFIG = Path(__file__).parents[3] / "specs/qwen3-8b/model"
SCALE = 0.03
"""Simulations of the tests are this short: what is tested holds whatever their length."""
PRICES: Mapping[str, float] = {"l4": 0.8, "a10g": 1.0, "l40s": 1.9, "h100-sxm": 3.9, "t4": 0.5}


def model() -> LlmProfile:
    """Qwen3-8B."""
    profile, problems = llm_profile(CONFIG, "qwen3-8b")
    assert profile is not None, problems
    return profile


def device(id: str) -> Hardware:
    """A device of the catalogue."""
    found = load_catalogue(None).find(id)
    assert found is not None
    return found


def priced(id: str, usd_per_hour: float | None = None) -> HardwareOption:
    """A device with an on-demand price."""
    price = Price(
        provider="test",
        hardware_id=id,
        sku=f"{id}.small",
        region="any",
        commitment="on-demand",
        usd_per_hour=PRICES[id] if usd_per_hour is None else usd_per_hour,
        accelerators_per_unit=1,
        date="2026-09-25",
        source="test",
    )
    return HardwareOption(hardware=device(id), price=price)


OPTIONS = tuple(priced(id) for id in ("l4", "l40s", "h100-sxm"))
LIMITS = Limits(
    precisions=tuple(Precision), max_accelerators=None, max_usd_per_hour=None, max_power_w=None, redundancy=0
)
_ORIGINS: Mapping[str, Origin] = {"constraints.precision": Origin.DEFAULT, "workload.peak": Origin.USER}


def target(percentile: float, limit_ms: float) -> tuple[LatencyTarget, ...]:
    """One target."""
    return (LatencyTarget(percentile=percentile, limit_s=limit_ms / 1e3),)


def problem(
    *,
    ttft_ms: float | None = 800.0,
    tpot_ms: float | None = 50.0,
    e2e_ms: float | None = None,
    peak_rps: float = 4.0,
    options: tuple[HardwareOption, ...] = OPTIONS,
    limits: Limits = LIMITS,
    **changes: object,
) -> LlmProblem:
    """A feasible problem unless its arguments make it infeasible; `changes` replace fields of `LlmProblem`."""
    base = LlmProblem(
        name="test",
        spec_path="test.infc.yaml",
        availability=None,
        accuracy=None,
        traffic=Traffic(arrival=PoissonArrival(), rate_rps=peak_rps / 2, peak_rps=peak_rps, hourly=None, axes={}),
        limits=limits,
        objective="cost",
        options=options,
        server="auto",
        evidence=(),
        origins=_ORIGINS,
        spans={},
        model=model(),
        source=LlmSource(served_name="test", checkpoint="model"),
        ttft=() if ttft_ms is None else target(95.0, ttft_ms),
        tpot=() if tpot_ms is None else target(95.0, tpot_ms),
        e2e=() if e2e_ms is None else target(95.0, e2e_ms),
        tokens=TokenTraffic(
            prompt=AxisDistribution(percentiles={50.0: 300, 90.0: 700}, maximum=1200),
            output=AxisDistribution(percentiles={50.0: 40, 90.0: 80}, maximum=120),
            shared_prefix=0.0,
        ),
        step_times=(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]
