"""The full estimate of a sized language model: token latencies with intervals, throughput, memory, power, cost."""

from dataclasses import replace

import numpy as np

from infc.ir.candidate import Candidate
from infc.ir.estimate import Estimate, TokenEstimate
from infc.ir.interval import Interval
from infc.ir.problem import LlmProblem
from infc.ir.step_time import StepTimeModel
from infc.plan.assess import CONFIDENCE
from infc.plan.cost import cost_estimate
from infc.plan.energy import energy_estimate, needed_range
from infc.plan.llm.load import Metric, TokenLoad, reported_percentiles
from infc.plan.llm.objective import mean_device_power_w
from infc.plan.llm.site import TOKEN_BUDGETS, LlmSite, usual_tokens
from infc.plan.llm.sizing import UTILIZATION_LIMIT, LlmSized, LlmSizer, Trial
from infc.plan.llm.steady import steady_states

_DECODE_TOKENS, _PREFILL_TOKENS = 256.0, 1024.0
"""Steps up to so many tokens mostly decode, from so many on they mostly prefill."""


def candidate_of(sized: LlmSized) -> Candidate:
    """The candidate with all its replicas."""
    site = sized.site
    return Candidate(
        hardware_id=site.hardware.id,
        server=site.server,
        precision=site.precision,
        batching=sized.trial.batching,
        tensor_parallel=site.tensor_parallel,
        pipeline_parallel=site.pipeline_parallel,
        replicas=sized.total,
        power_mode=site.power_mode,
        model=site.problem.source.name,
    )


def assess(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer, *, is_chosen: bool = False) -> Estimate:
    """Predict all replicas of `sized` at the peak rate: the draw that comes out worst.

    With redundant replicas the load is less than what it was sized on; a full draw tells what the chosen one does then,
    a short one those that only stand beside it.

    The ends of an interval come from simulating both ends of the step times on a short draw, relative to its middle.
    """
    site, trial = sized.site, sized.trial
    steps = site.known_steps()
    value = _load_of_all(sized, sizer, is_chosen=is_chosen)
    ends = [_end(problem, sized, sizer, factor) for factor in (-1.0, 1.0)]
    middle = _end(problem, sized, sizer, 0.0)
    metrics = {metric: _percentiles(problem, metric, value, middle, *ends) for metric in ("ttft", "tpot", "e2e")}
    power = site.power_w(value.utilization)
    mean_power = mean_device_power_w(problem, site, sized)
    throughput = _throughput(site, sizer, sized.total)
    outputs = float(sizer.loaders.quick.requests.output_tokens.mean())
    devices = site.devices
    return Estimate(
        e2e_s=metrics["e2e"],
        throughput_rps=throughput,
        goodput_rps=problem.traffic.peak_rps * value.good_share(problem),
        utilization=value.utilization,
        mean_batch_size=value.running,
        memory=site.memory(trial.batching.max_num_seqs, trial.batching.max_num_batched_tokens).breakdown,
        power_w=None if power is None else power.scaled(sized.total * devices),
        cost=cost_estimate(
            problem,
            site.option,
            sized.needed,
            devices=devices,
            tokens_per_request=outputs,
            prompt_tokens_per_request=float(sizer.loaders.quick.requests.prompt_tokens.mean()),
            power_w=mean_power,
            needed_range=needed_range(problem, sized.needed, throughput.scaled(1 / sized.total), UTILIZATION_LIMIT),
        ),
        energy=None
        if mean_power is None
        else energy_estimate(
            problem, site.option, sized.needed, mean_power, devices=devices, tokens_per_request=outputs
        ),
        mean_utilization=value.utilization * min(1.0, problem.traffic.mean_rps / problem.traffic.peak_rps),
        service_time=None,
        basis=steps.basis,
        confidence=CONFIDENCE,
        tokens=TokenEstimate(
            ttft_s=metrics["ttft"],
            tpot_s=metrics["tpot"],
            itl_s={
                label: _scaled(seconds, *(load.itl_s[label] for load in (middle, *ends)))
                for label, seconds in value.itl_s.items()
            },
            output_tokens_per_s=throughput.scaled(outputs),
            kv_cache_utilization=value.kv_cache_utilization,
            kv_cache_tokens=trial.kv_cache_tokens,
            running_sequences=value.running,
            preemptions=value.preemptions,
            usual_requests=site.requests_that_fit(*_settings(trial), usual_tokens(problem)),
            longest_requests=site.requests_that_fit(*_settings(trial), problem.tokens.longest),
        ),
    )


def spread(steps: StepTimeModel, power: float) -> StepTimeModel:
    """The step times at an end of their interval: 1 the slow one, -1 the fast one, 0 as predicted.

    What a step takes for few tokens follows the spread of decoding, for many that of prefilling, between them in
    proportion to the logarithm of the tokens.
    """
    if power == 0.0:
        return steps
    decode, prefill = steps.decode_spread**power, steps.prefill_spread**power
    logs = np.log([_DECODE_TOKENS, _PREFILL_TOKENS])
    factors = np.exp(np.interp(np.log(steps.token_knots), logs, np.log([decode, prefill])))
    return replace(
        steps,
        token_s=tuple(float(value * factor) for value, factor in zip(steps.token_s, factors, strict=True)),
        sequence_s=steps.sequence_s * decode,
        context_s=steps.context_s * decode,
        window_s=steps.window_s * decode,
        pair_s=steps.pair_s * prefill,
        fixed_s=steps.fixed_s * decode,
    )


def _load_of_all(sized: LlmSized, sizer: LlmSizer, *, is_chosen: bool) -> TokenLoad:
    """What requests see with the redundant replicas running: the load that sized it where there are none."""
    if sized.total == sized.needed:
        return sized.trial.load
    loaders = sizer.loaders.full[:1] if is_chosen else (sizer.loaders.quick,)
    trial = sizer.run(sized.site, sized.total, *_settings(sized.trial), loaders)
    assert trial is not None  # noqa: S101 - it holds with fewer replicas
    return trial.load


def _end(problem: LlmProblem, sized: LlmSized, sizer: LlmSizer, power: float) -> TokenLoad:
    """A short draw at an end of the step times, or in the middle."""
    steps = spread(sized.site.known_steps(), power)
    rate = problem.traffic.peak_rps / sized.total
    return sizer.loaders.short.run(rate, replace(sized.trial.setup, steps=steps))


def _settings(trial: Trial) -> tuple[int, int]:
    return trial.batching.max_num_seqs, trial.batching.max_num_batched_tokens


def _percentiles(
    problem: LlmProblem, metric: Metric, value: TokenLoad, middle: TokenLoad, low: TokenLoad, high: TokenLoad
) -> dict[str, Interval]:
    """By label; the ends are taken relative to the short draw in the middle, and applied to the full value."""
    found = {"mean": _scaled(*(load.mean_s(metric) for load in (value, middle, low, high)))}
    for percentile in reported_percentiles(problem):
        found[f"p{percentile:g}"] = _scaled(
            *(load.percentile_s(metric, percentile) for load in (value, middle, low, high))
        )
    return found


def _scaled(value: float, middle: float, low: float, high: float) -> Interval:
    factor = value / middle if middle > 0.0 else 1.0
    return Interval(value=value, low=min(value, low * factor), high=max(value, high * factor))


def _throughput(site: LlmSite, sizer: LlmSizer, replicas: int) -> Interval:
    work, steps = sizer.work(site), site.known_steps()

    def most(power: float) -> float:
        states = steady_states(work, spread(steps, power), site.drafting)
        batches = replicas * site.pipeline_parallel
        return batches * states.largest_rate_rps(sequences=sizer.most_sequences(site), tokens=max(TOKEN_BUDGETS))

    return Interval(value=most(0.0), low=most(1.0), high=most(-1.0))
