"""Distribution and layers of a planned ONNX model: its replica is simulated as `assess` does it."""

from collections.abc import Iterator
from dataclasses import replace

from infc.ir.candidate import DynamicBatching
from infc.ir.distribution import Behaviour, Distribution, Layer, percents_of
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.problem import Problem
from infc.perf.server_cost import host_link_bytes_per_s
from infc.plan.load import LoadResult, loader_for
from infc.plan.site import planned_axes


def behaviour(problem: Problem, plan: Plan) -> Behaviour | None:
    """Of one replica at its share of the peak; None for a plan that Triton's batcher does not serve."""
    curve, candidate = plan.estimate.service_time, plan.candidate
    batching = candidate.batching
    if curve is None or not isinstance(batching, DynamicBatching):
        return None
    loader = loader_for(problem)
    rate_rps, instances = problem.traffic.peak_rps / candidate.replicas, candidate.instances_per_gpu
    value = loader.run(rate_rps, curve.values, batching, instances)
    low = loader.shorter.run(rate_rps, [s.low for s in curve.seconds], batching, instances)
    high = loader.shorter.run(rate_rps, [s.high for s in curve.seconds], batching, instances)
    low = replace(low, handling_s=loader.handling.low)
    high = replace(high, handling_s=loader.handling.high)
    points = tuple((each, _interval(each, value, low, high)) for each in percents_of(len(value.queue_and_service_s)))
    return Behaviour(
        distributions=(Distribution(metric="latency", points=points),),
        layers=tuple(_layers(problem, plan, value)),
    )


def _interval(percent: float, value: LoadResult, low: LoadResult, high: LoadResult) -> Interval:
    middle, least, most = (run.percentile_s(percent) for run in (value, low, high))
    return Interval(value=middle, low=min(middle, least), high=max(middle, most))


def _layers(problem: Problem, plan: Plan, load: LoadResult) -> Iterator[Layer]:
    """The mean latency by layer. Copies of a batch are those of the service time's model, which counts them in."""
    hardware = next((o.hardware for o in problem.options if o.hardware.id == plan.candidate.hardware_id), None)
    service_s = load.mean_s() - load.handling_s - load.mean_queue_s
    copy_in_s, copy_out_s = 0.0, 0.0
    if hardware is not None and hardware.kind != "cpu":
        model = problem.model
        axes = {**planned_axes(problem), **({model.batch_axis: 1} if model.batch_axis else {})}
        per_byte = load.mean_batch_size / host_link_bytes_per_s(hardware)
        copy_in_s = per_byte * sum(tensor.bytes_at(axes) for tensor in model.inputs)
        copy_out_s = per_byte * sum(tensor.bytes_at(axes) for tensor in model.outputs)
    yield Layer(name="transport", seconds=load.handling_s)
    yield Layer(name="queue", seconds=load.mean_queue_s)
    yield Layer(name="compute input", seconds=min(copy_in_s, service_s))
    yield Layer(name="compute", seconds=max(service_s - copy_in_s - copy_out_s, 0.0))
    yield Layer(name="compute output", seconds=min(copy_out_s, max(service_s - copy_in_s, 0.0)))
