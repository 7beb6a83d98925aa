"""A published capacity case: Qwen3-8B on H100 at 57 requests per second, judged on independent seeds.

Poisson arrivals, 2048 prompt and 256 output tokens each, TTFT 500 ms and TPOT 20 ms at p99. An answer by averages (the
rate divided by what one GPU carries while its mean step keeps the TPOT) and infc's plan are both simulated under draws
of the traffic that no plan has seen. Prints the table and writes it to results/aic_case.txt with --write.

    python benchmarks/aic_case.py [--seeds 20] [--write]
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from infc.ir.arrival import PoissonArrival
from infc.ir.candidate import Candidate, ContinuousBatching
from infc.ir.plan import Plan, Rejection
from infc.ir.precision import Precision
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
from infc.plan.llm.assess import candidate_of
from infc.plan.llm.explain import average_replicas
from infc.plan.llm.load import TokenLoader, TokenLoaders
from infc.plan.llm.site import LlmSite
from infc.plan.llm.sizing import LlmSizer
from infc.plan.llm.solve import solve_llm
from infc.plan.llm.space import sites
from infc.resolve.hf_config import llm_profile
from infc.resolve.targets import load_catalogue

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "specs" / "qwen3-8b" / "model"
RESULT = Path(__file__).parent / "results" / "aic_case.txt"
RATE_RPS = 57.0
REQUESTS = 10_000
FIRST_SEED = 90_001
UNLIMITED = (256, 2048)
"""max_num_seqs and max_num_batched_tokens of an answer by averages: vLLM's usual ones."""
PUBLISHED_AVERAGE = 6
"""GPUs that NVIDIA AIConfigurator's rate / capacity gives for this case."""


def main() -> None:
    """Plan, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    text = "\n".join(report(arguments.seeds))
    print(text)
    if arguments.write:
        RESULT.write_text(text + "\n", encoding="utf-8")


def case() -> LlmProblem:
    """The case as a problem."""
    profile, problems = llm_profile(CONFIG, "qwen3-8b")
    catalogue = load_catalogue(None)
    hardware = catalogue.find("h100-sxm")
    if profile is None or hardware is None:
        raise SystemExit(f"the case cannot be read: {problems}")
    price = catalogue.price(hardware.id, None, "on-demand")
    return LlmProblem(
        name="aic-case",
        spec_path="aic-case",
        availability=None,
        accuracy=None,
        traffic=Traffic(arrival=PoissonArrival(), rate_rps=RATE_RPS, peak_rps=RATE_RPS, hourly=None, axes={}),
        limits=Limits(
            precisions=tuple(Precision), max_accelerators=None, max_usd_per_hour=None, max_power_w=None, redundancy=0
        ),
        objective="cost",
        options=(HardwareOption(hardware=hardware, price=price),),
        server="auto",
        evidence=(),
        origins={"constraints.precision": Origin.DEFAULT},
        spans={},
        model=profile,
        source=LlmSource(served_name="aic-case", checkpoint="model"),
        ttft=(LatencyTarget(percentile=99.0, limit_s=0.5),),
        tpot=(LatencyTarget(percentile=99.0, limit_s=0.02),),
        e2e=(),
        tokens=TokenTraffic(
            prompt=AxisDistribution(percentiles={}, maximum=2048),
            output=AxisDistribution(percentiles={}, maximum=256),
            shared_prefix=0.0,
        ),
        step_times=(),
    )


def report(seeds: int) -> Iterator[str]:
    """The lines of the result."""
    problem = case()
    begin = time.process_time()
    plan = solve_llm(problem)
    seconds = time.process_time() - begin
    if not isinstance(plan, Plan):
        raise SystemExit(f"no plan: {plan.binding}")
    loaders = [TokenLoader(problem, REQUESTS, FIRST_SEED + 1000 * index) for index in range(seeds)]
    yield f"Qwen3-8B, H100 SXM, {RATE_RPS:g} requests/s Poisson, 2048 + 256 tokens, TTFT 500 ms and TPOT 20 ms at p99"
    yield f"each answer simulated with {seeds} seeds that no plan has seen, {REQUESTS:,} judged requests each;"
    yield "milliseconds: the mean over the seeds (the worst seed); miss: requests beyond a target"
    yield ""
    yield f"{'answer':<46} {'GPUs':>4} {'TTFT p99':>17} {'TPOT p99':>17} {'miss':>7} {'seeds that hold':>15}"
    chosen = next(s for s in sites(problem)[0] if s.label == plan.candidate.label.rpartition("/s")[0])
    yield _row(f"plan: {plan.candidate.label}", chosen, plan.candidate.replicas, _settings(plan.candidate), loaders)
    single = next(s for s in sites(problem)[0] if s.tensor_parallel == 1)
    alone, average = _sized_alone(problem, single)
    if alone != plan.candidate:
        yield _row(f"1 GPU a replica: {alone.label}", single, alone.replicas, _settings(alone), loaders)
    averages = {average: "these step times"}
    averages[PUBLISHED_AVERAGE] = "published" if average != PUBLISHED_AVERAGE else "published, and these step times"
    for count, source in sorted(averages.items()):
        yield _row(f"by averages ({source})", single, count, UNLIMITED, loaders)
    yield ""
    yield f"plan made in {seconds:.1f} s of CPU time; it says of the average:"
    yield from (f"  {reason}" for reason in plan.reasons if "averages" in reason)


def _sized_alone(problem: LlmProblem, site: LlmSite) -> tuple[Candidate, int]:
    """Infc's answer on single GPUs, and the replicas of an answer by averages."""
    sizer = LlmSizer(problem, TokenLoaders(problem))
    sized = sizer.size(site, None)
    if isinstance(sized, Rejection):
        raise SystemExit(f"no plan on single GPUs: {sized.predicted}")
    return candidate_of(sizer.confirm(sized)), average_replicas(problem, site, sizer)


def _settings(candidate: Candidate) -> tuple[int, int]:
    batching = candidate.batching
    if not isinstance(batching, ContinuousBatching):
        raise TypeError(f"{candidate.label} has no limits of vLLM's scheduler")
    return batching.max_num_seqs, batching.max_num_batched_tokens


def _row(name: str, site: LlmSite, replicas: int, settings: tuple[int, int], loaders: Sequence[TokenLoader]) -> str:
    """The worst and the mean p99 over the seeds, the share of requests that miss, and on how many seeds all hold."""
    problem = site.problem
    loads = [loader.run(RATE_RPS / replicas, site.setup(*settings)) for loader in loaders]
    tails = []
    for metric in ("ttft", "tpot"):
        values = np.array([load.percentile_s(metric, 99.0) for load in loads]) * 1e3
        tails.append(f"{values.mean():.1f} ({values.max():.1f})")
    missed = float(np.mean([1.0 - load.good_share(problem) for load in loads]))
    held = sum(load.worst(problem).ratio <= 1.0 for load in loads)
    devices = replicas * site.tensor_parallel
    return f"{name:<46} {devices:>4} {tails[0]:>17} {tails[1]:>17} {missed:>7.2%} {held:>8} of {len(loads)}"


if __name__ == "__main__":
    main()
