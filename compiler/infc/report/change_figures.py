"""The figures of a deployment as a review compares them: of what a lock holds, and of what a plan would lock."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from infc.ir.accuracy import AccuracyEvidence, is_lower_better
from infc.ir.change import Effect, Evidence, Figure
from infc.ir.interval import Interval
from infc.ir.plan import Plan
from infc.ir.problem import AnyProblem, LlmProblem
from infc.ir.quantity import HOURS_PER_MONTH
from infc.lock.diff import cells
from infc.lock.values import Cell, LockEntry
from infc.plan.evidence import QUANTISED
from infc.report.plan_tokens import GIB, latency_rows

_ALWAYS = frozenset({"hardware", "precision", "batching", "replicas", "cost"})
"""What is said of every deployment that comes or goes, whether the spec limits it or not."""
_IN_WORDS = frozenset(
    {
        *("hardware", "power_mode", "server", "precision", "replicas", "tensor_parallel", "pipeline_parallel"),
        *("instances_per_gpu", "max_batch_size", "max_queue_delay_us", "preferred_batch_sizes", "prefetch"),
        *("max_num_seqs", "max_num_batched_tokens"),
    }
)
"""Fields of a choice that an effect of their own, or the words of the batching, say already."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure of a deployment. `limit` is what the spec allows, in the figure's unit; None where it says nothing."""

    label: str
    figure: Figure
    limit: float | None = None
    is_met: bool | None = None


def measures_of(entry: LockEntry) -> dict[str, Measure]:
    """The figures of a lock entry by the id of their effect, in the order of a report. The lock knows no intervals."""
    choice, predicted = entry.choice, entry.predicted
    basis = Evidence(predicted.basis.value)
    found = {
        "hardware": _chosen("hardware", hardware_words(entry)),
        "server": _chosen("server", choice.server),
        "precision": _chosen("precision", choice.precision.value),
        "batching": _chosen("batching", batching_words(entry)),
        "replicas": _chosen("replicas", choice.replicas),
    }
    found |= {f"choice.{name}": _chosen(name.replace("_", " "), _plain(value)) for name, value in _other_choices(entry)}
    for prefix, values_ms in _latencies(entry):
        for label, value in values_ms.items():
            id, shown = f"{prefix}-{label}".strip("-"), f"{prefix} {label}".strip()
            found[id] = Measure(label=shown, figure=Figure(value=value, unit="ms", evidence=basis))
    if entry.accuracy is not None:
        accuracy = entry.accuracy
        words = Figure(value=accuracy.value, evidence=Evidence.MEASURED)
        found["accuracy"] = Measure(label=accuracy.metric, figure=words)
        drop = Figure(value=round(accuracy.drop * 100, 3), unit="%", evidence=Evidence.MEASURED)
        found["accuracy-drop"] = Measure(label="accuracy drop", figure=drop)
    if predicted.usd_per_month is not None:
        money = Figure(value=predicted.usd_per_month, unit="USD/month", evidence=Evidence.PRICE_BOOK)
        found["cost"] = Measure(label="cost", figure=money)
    found["memory"] = Measure(label="memory", figure=Figure(value=predicted.memory_gib, unit="GiB", evidence=basis))
    if predicted.power_w is not None:
        found["power"] = Measure(label="power", figure=Figure(value=predicted.power_w, unit="W", evidence=basis))
    busy = Figure(value=round(predicted.utilization * 100, 2), unit="%", evidence=basis)
    found["utilization"] = Measure(label="utilization", figure=busy)
    found["engine"] = _chosen("engine", engine_words(entry))
    return found


def judged(
    measures: Mapping[str, Measure], problem: AnyProblem, plan: Plan, evidence: AccuracyEvidence | None
) -> dict[str, Measure]:
    """The figures of what a plan would lock, with the plan's intervals and the limits of its spec.

    `evidence` is what the accuracy of the chosen precision rests on.
    """
    found = dict(measures)
    estimate, limits = plan.estimate, problem.limits
    for row in latency_rows(problem, estimate):
        prefix, _, label = row.label.rpartition(" ")
        id = f"{'' if prefix == 'e2e' else prefix}-{label}".strip("-")
        if id in found:
            limit_ms = None if row.limit_s is None else row.limit_s * 1e3
            found[id] = _with(found[id], row.value.scaled(1e3), limit_ms, most=True)
    month = None if limits.max_usd_per_hour is None else limits.max_usd_per_hour * HOURS_PER_MONTH
    if "cost" in found and estimate.cost is not None:
        interval = estimate.cost.scaled_interval(estimate.cost.usd_per_month)
        found["cost"] = _with(found["cost"], interval, month, most=True)
    if "power" in found and estimate.power_w is not None:
        found["power"] = _with(found["power"], estimate.power_w, limits.max_power_w, most=True)
    memory = None if limits.max_memory_bytes is None else limits.max_memory_bytes / GIB
    found["memory"] = _with(found["memory"], None, memory, most=True)
    if estimate.memory.is_from_builder:
        figure = replace(found["memory"].figure, evidence=Evidence.MEASURED)
        found["memory"] = replace(found["memory"], figure=figure)
    goal = problem.accuracy
    if goal is not None and _is_gated(problem, plan):
        unknown = Figure(value=None, evidence=Evidence.MEASURED)  # until the next compile
        found.setdefault("accuracy", Measure(label=goal.metric, figure=unknown))
        found.setdefault("accuracy-drop", Measure(label="accuracy drop", figure=replace(unknown, unit="%")))
    if goal is not None and "accuracy" in found:
        value = evidence.value if evidence is not None else None
        drop = evidence.drop.scaled(100) if evidence is not None else None
        most = is_lower_better(goal.metric)
        found["accuracy"] = _with(found["accuracy"], value, goal.floor, most=most)
        max_drop = None if goal.max_drop is None else goal.max_drop * 100
        found["accuracy-drop"] = _with(found["accuracy-drop"], drop, max_drop, most=True)
    return found


def _is_gated(problem: AnyProblem, plan: Plan) -> bool:
    """Whether the next compile measures accuracy: a language model's only where its checkpoint is quantised."""
    precision = plan.candidate.precision
    if not isinstance(problem, LlmProblem):
        return True
    from infc.plan.llm.site import native_precision  # a plan of an ONNX model needs nothing of language models

    return precision in QUANTISED - {native_precision(problem)}


def effects_between(
    old: Mapping[str, Measure], new: Mapping[str, Measure], *, is_same_engine: bool = False
) -> tuple[Effect, ...]:
    """What differs, and what is promised; of a deployment that comes or goes what one asks first.

    `is_same_engine`: its engine is made of the same, though only one of the two is built.
    """
    is_whole = not old or not new
    found = []
    for id in _told(old, new):
        before, after = old.get(id), new.get(id)
        if id == "engine" and is_same_engine:
            continue
        known = after or before
        assert known is not None  # noqa: S101 - the id is of one of them
        effect = Effect(
            id=id,
            label=known.label,
            old=before.figure if before else None,
            new=after.figure if after else None,
            limit=after.limit if after else None,
            is_met=after.is_met if after else None,
        )
        if effect.limit is not None or (id in _ALWAYS or known.figure.unit == "ms" if is_whole else effect.is_changed):
            found.append(effect)
    return tuple(found)


def _told(old: Mapping[str, Measure], new: Mapping[str, Measure]) -> Iterator[str]:
    """The ids in order; of latencies only those that the spec promises, or without a spec the highest common ones."""
    highest = ("ttft-p99", "tpot-p99") if "ttft-p99" in old else ("p99",)
    for id, measure in {**new, **old}.items():
        is_promised = new[id].limit is not None if id in new else not new and id in highest
        if measure.figure.unit != "ms" or is_promised:
            yield id


def hardware_words(entry: LockEntry) -> str:
    """The device of one replica, with its power mode and how many of them.

    `2 x h100-sxm`, `jetson-orin-nx-16gb@25W`.
    """
    choice = entry.choice
    devices = choice.tensor_parallel * choice.pipeline_parallel
    device = choice.hardware + (f"@{choice.power_mode}" if choice.power_mode else "")
    return device if devices == 1 else f"{devices} x {device}"


def batching_words(entry: LockEntry) -> str:
    """How requests share a device: `up to 8, delay 500 us, 2 instances`, or `256 sequences, 8192 tokens a step`."""
    choice = entry.choice
    if choice.max_num_seqs is not None:
        return f"{choice.max_num_seqs} sequences, {choice.max_num_batched_tokens} tokens a step"
    parts = ["none" if (choice.max_batch_size or 1) == 1 else f"up to {choice.max_batch_size}"]
    if choice.max_queue_delay_us:
        parts.append(f"delay {choice.max_queue_delay_us} us")
    if choice.preferred_batch_sizes:
        parts.append("preferred " + "/".join(map(str, choice.preferred_batch_sizes)))
    if choice.prefetch is False:
        parts.append("prefetch off")
    parts.append("1 instance" if choice.instances_per_gpu == 1 else f"{choice.instances_per_gpu} instances")
    return ", ".join(parts)


def engine_words(entry: LockEntry) -> str:
    """The engine by the start of its key, or that it is to be built."""
    engine = entry.engine
    if engine.key is None:
        todo = "to be loaded" if engine.kind == "checkpoint" else "to be built"
        return f"{todo}, {engine.inputs.removeprefix('sha256:')[:12]}"
    return engine.key[:12]


def _other_choices(entry: LockEntry) -> Iterator[tuple[str, Cell]]:
    """Fields of the choice that nothing else says."""
    for path, value in cells(entry):
        table, _, name = path.partition(".")
        if table == "choice" and name not in _IN_WORDS:
            yield name, value


def _latencies(entry: LockEntry) -> Iterator[tuple[str, Mapping[str, float]]]:
    predicted = entry.predicted
    for prefix, values in (("ttft", predicted.ttft_ms), ("tpot", predicted.tpot_ms), ("", predicted.latency_ms)):
        yield prefix, {label: value for label, value in values.items() if label != "mean"}


def _chosen(label: str, value: str | int | float | bool | None) -> Measure:
    return Measure(label=label, figure=Figure(value=value))


def _plain(value: Cell) -> str | int | float | bool | None:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else value


def _with(measure: Measure, interval: Interval | None, limit: float | None, *, most: bool) -> Measure:
    """The figure with its interval and its limit; `most`: the limit is the highest value that will do."""
    figure = measure.figure
    if interval is not None:
        figure = replace(figure, low=_digits(interval.low), high=_digits(interval.high))
    value = interval.value if interval is not None else figure.value  # the lock's rounding is no breach
    is_met = None
    if limit is not None and isinstance(value, int | float):
        is_met = value <= limit if most else value >= limit
    return Measure(label=measure.label, figure=figure, limit=None if limit is None else _digits(limit), is_met=is_met)


def _digits(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")
