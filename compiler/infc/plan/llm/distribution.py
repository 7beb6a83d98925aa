"""Distributions and layers of a planned language model: its replica is simulated as `assess` does it."""

from collections.abc import Iterator

from infc.ir.candidate import ContinuousBatching
from infc.ir.distribution import Behaviour, Distribution, Layer, percents_of
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.plan.llm.assess import spread
from infc.plan.llm.load import METRICS, Metric, TokenLoad, TokenLoaders
from infc.plan.llm.site import LlmSite
from infc.plan.llm.space import sites


def behaviour(problem: LlmProblem, plan: Plan) -> Behaviour | None:
    """Of one replica at its share of the peak, on the draw that the estimate is of; None where the site is gone."""
    candidate = plan.candidate
    batching = candidate.batching
    own = next((p for p in (problem, *problem.alternatives) if p.source.name == candidate.model), None)
    site = None if own is None else _site(own, plan)
    if own is None or site is None or not isinstance(batching, ContinuousBatching):
        return None
    loaders = TokenLoaders(own)
    rate_rps, settings = (
        own.traffic.peak_rps / candidate.replicas,
        (batching.max_num_seqs, batching.max_num_batched_tokens),
    )
    setup = site.setup(*settings)
    draws = loaders.full[:1] if own.limits.redundancy else loaders.full
    value = max((loader.run(rate_rps, setup) for loader in draws), key=lambda load: load.worst(own).ratio)
    middle, low, high = (
        loaders.short.run(rate_rps, site.setup(*settings, steps=spread(site.known_steps(), power)))
        for power in (0.0, -1.0, 1.0)
    )
    return Behaviour(
        distributions=tuple(_distribution(metric, value, middle, low, high) for metric in METRICS),
        layers=tuple(_layers(value)),
    )


def _site(problem: LlmProblem, plan: Plan) -> LlmSite | None:
    candidate = plan.candidate
    batching = candidate.batching
    assert isinstance(batching, ContinuousBatching)  # noqa: S101 - the caller looks
    wanted = (
        candidate.hardware_id,
        candidate.power_mode,
        candidate.precision,
        batching.kv_precision,
        candidate.tensor_parallel,
        candidate.pipeline_parallel,
        batching.speculation,
    )
    return next((site for site in sites(problem)[0] if _identity(site) == wanted), None)


def _identity(site: LlmSite) -> tuple[object, ...]:
    return (
        site.hardware.id,
        site.power_mode,
        site.precision,
        site.kv_precision,
        site.tensor_parallel,
        site.pipeline_parallel,
        site.speculation,
    )


def _distribution(metric: Metric, value: TokenLoad, middle: TokenLoad, low: TokenLoad, high: TokenLoad) -> Distribution:
    """Ends relative to the short draw in the middle, applied to the full value: as the estimate has them."""
    points: list[tuple[float, Interval]] = []
    for percent in percents_of(len(value.seconds[metric])):
        seconds, base, least, most = (load.percentile_s(metric, percent) for load in (value, middle, low, high))
        factor = seconds / base if base > 0.0 else 1.0
        interval = Interval(value=seconds, low=min(seconds, least * factor), high=max(seconds, most * factor))
        points.append((percent, interval))
    return Distribution(metric=metric, points=tuple(points))


def _layers(load: TokenLoad) -> Iterator[Layer]:
    """The mean request: until a step first works on it, until its first token, until its last."""
    judged = len(load.by_request["ttft"])
    left_out = (len(load.result.queue_s) - judged) // 2
    queue_s = float(load.result.queue_s[left_out : left_out + judged].mean())
    ttft_s, e2e_s = load.mean_s("ttft"), load.mean_s("e2e")
    yield Layer(name="queue", seconds=queue_s)
    yield Layer(name="prefill", seconds=ttft_s - queue_s)
    yield Layer(name="decode", seconds=e2e_s - ttft_s)
