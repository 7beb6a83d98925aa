"""The settings of `sim_vs_triton`: service times, batching, instances, traffic, and the model configuration of each."""

from dataclasses import dataclass, replace

import numpy as np

from infc.ir.arrival import Arrival, BurstyArrival, ConstantArrival, PoissonArrival
from infc.ir.candidate import DynamicBatching
from infc.sim.arrivals import Times
from infc.sim.queue_policy import NO_RULES, QueuePolicy, QueueRules
from infc.sim.requests import Requests, drawn, padded
from infc.sim.service_times import ServiceTable

MODEL = "sleeper"
LARGEST_BATCH = 8
FIXED_ELEMENTS = 16
_POISSON = PoissonArrival()
Shares = tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One row: a batch of b takes `base_s + each_s * b`, and `element_s` for each row and element of the axis.

    `rows`, `axis` and `priorities` are values with their shares among the requests. The axis is padded to `buckets`
    where there are any. `slower` adds one instance in a group of its own that takes so many times as long.
    """

    base_s: float
    each_s: float
    batching: DynamicBatching
    rate_rps: float
    instances: int = 1
    arrival: Arrival = _POISSON
    has_dynamic_shapes: bool = False
    rows: Shares = ()
    axis: Shares = ()
    element_s: float = 0.0
    buckets: tuple[int, ...] = ()
    is_ragged: bool = False
    priorities: Shares = ()
    rules: QueueRules = NO_RULES
    slower: float = 0.0
    name: str = ""

    @property
    def sleep_s(self) -> list[float]:
        """The known times, by batch size from 1; without what the axis adds."""
        return [self.base_s + self.each_s * size for size in range(1, LARGEST_BATCH + 1)]

    def table(self, factor: float = 1.0) -> ServiceTable:
        """The known times by batch size and axis."""
        if not self.axis:
            return ServiceTable.of_batch([factor * seconds for seconds in self.sleep_s])
        sizes = (1, 1000)
        times_s = list(enumerate(self.sleep_s, 1))
        by_size = tuple(
            tuple(factor * (seconds + self.element_s * rows * size) for rows, seconds in times_s) for size in sizes
        )
        return ServiceTable(seconds=by_size, axis_sizes=sizes)

    def requests(self, times_s: Times, seed: int) -> Requests:
        """What is sent at these times; the same for the server and the simulation."""
        count = len(times_s)
        axis_sizes = drawn(dict(self.axis), count, seed + 2) if self.axis else None
        if axis_sizes is not None and self.buckets:
            axis_sizes = padded(axis_sizes, self.buckets)
        return Requests(
            arrivals_s=times_s - min(float(np.min(times_s)), 0.0),
            rows=drawn(dict(self.rows), count, seed + 1) if self.rows else None,
            axis_sizes=axis_sizes,
            priorities=drawn(dict(self.priorities), count, seed + 3) if self.priorities else None,
        )

    @property
    def is_plain(self) -> bool:
        """Whether all requests and instances are equal and no queue rule is set."""
        return not (self.rows or self.axis or self.priorities or self.slower) and self.rules.allows_prefetch

    @property
    def label(self) -> str:
        """The row's name: service time, M = max batch size, D = queue delay, instances, rate."""
        parts = [f"{self.base_s * 1e3:g}+{self.each_s * 1e3:g}b ms", f"M={self.batching.max_batch_size}"]
        if self.batching.max_batch_size > 1:
            parts.append(f"D={self.batching.max_queue_delay_s * 1e3:g}")
        if self.batching.preferred_batch_sizes:
            parts.append(f"P={','.join(map(str, self.batching.preferred_batch_sizes))}")
        if not self.batching.has_prefetch:
            parts.append("policy")
        if self.has_dynamic_shapes and not self.axis:
            parts.append("dynamic")
        if self.name:
            parts.append(self.name)
        parts.append(f"I={self.instances}{'+1' if self.slower else ''} {self.rate_rps:g}/s")
        if not isinstance(self.arrival, PoissonArrival):
            parts.append("constant" if isinstance(self.arrival, ConstantArrival) else "bursty 2")
        return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class EnsembleSetting:
    """Models one after another under one name; `rate_rps` and `arrival` are the ensemble's."""

    name: str
    steps: tuple[tuple[str, Setting], ...]
    rate_rps: float
    arrival: Arrival = _POISSON

    @property
    def label(self) -> str:
        """The row's name: the steps and the rate."""
        return f"{self.name} {self.rate_rps:g}/s"


def light(rate: float, delay_ms: float = 0.0, size: int = 8, **changes: object) -> Setting:
    """A setting with short service times: 4+0.5b ms."""
    batching = DynamicBatching(max_batch_size=size, max_queue_delay_s=delay_ms * 1e-3)
    return replace(Setting(base_s=0.004, each_s=0.0005, batching=batching, rate_rps=rate), **changes)  # type: ignore[arg-type]


def heavy(rate: float, delay_ms: float = 0.0, size: int = 8, **changes: object) -> Setting:
    """A setting with long service times: 12+b ms."""
    return replace(light(rate, delay_ms, size, **changes), base_s=0.012, each_s=0.001)


def with_policy(setting: Setting) -> Setting:
    """The setting with a queue policy that never fires."""
    return replace(setting, batching=replace(setting.batching, has_prefetch=False))


LIGHT_NONE, LIGHT_SMALL, LIGHT_LARGE = light(250), light(250, 1), light(250, 5)
LIGHT_DYNAMIC = replace(LIGHT_SMALL, has_dynamic_shapes=True)
HEAVY_NONE, HEAVY_SMALL = heavy(280), heavy(280, 2)
QUARTER = heavy(180, 10, size=4)
SETTINGS = (
    light(100, size=1),
    LIGHT_NONE,
    LIGHT_SMALL,
    with_policy(LIGHT_SMALL),
    LIGHT_LARGE,
    LIGHT_DYNAMIC,
    light(40, 3),
    light(150, 1, arrival=BurstyArrival(cv=2.0)),
    light(220, 2, arrival=ConstantArrival()),
    light(400, 1, instances=2),
    with_policy(light(400, 2, instances=2)),
    HEAVY_NONE,
    HEAVY_SMALL,
    with_policy(HEAVY_SMALL),
    heavy(150, 2),
    QUARTER,
    with_policy(QUARTER),
    heavy(400, instances=2),
    replace(LIGHT_SMALL, batching=replace(LIGHT_SMALL.batching, preferred_batch_sizes=(4, 8))),
)


ROWS = light(130, rows=((1, 0.6), (2, 0.25), (4, 0.15)), name="rows 1,2,4")
LENGTHS = ((64, 0.6), (256, 0.3), (512, 0.1))
MIXED = heavy(80, axis=LENGTHS, element_s=4e-6, has_dynamic_shapes=True, name="lengths 64,256,512")
LEVELS = QueueRules(levels=2, default_level=2)
PRIORITY = heavy(250, priorities=((1, 0.2), (2, 0.8)), rules=LEVELS, name="priority 20% high")


def timeout(milliseconds: float, action: str, **changes: object) -> QueueRules:
    """Rules with one timeout for all requests."""
    policy = QueuePolicy(timeout_s=milliseconds * 1e-3, timeout_action=action)  # type: ignore[arg-type]
    return QueueRules(policy=policy, **changes)  # type: ignore[arg-type]


EXTENDED = (
    ROWS,
    replace(ROWS, batching=replace(ROWS.batching, max_queue_delay_s=0.002), name="rows 1,2,4"),
    heavy(80, rows=((1, 0.5), (3, 0.3), (8, 0.2)), name="rows 1,3,8"),
    MIXED,
    replace(MIXED, batching=replace(MIXED.batching, max_queue_delay_s=0.004)),
    replace(MIXED, buckets=(512,), rate_rps=150, name="padded to 512"),
    replace(MIXED, is_ragged=True, has_dynamic_shapes=False, rate_rps=150, name="ragged"),
    PRIORITY,
    replace(PRIORITY, batching=replace(PRIORITY.batching, max_queue_delay_s=0.004)),
    heavy(450, rules=timeout(30, "reject"), name="timeout 30 ms reject"),
    heavy(280, rules=timeout(25, "delay"), name="timeout 25 ms delay"),
    heavy(
        420,
        priorities=((1, 0.3), (2, 0.7)),
        rules=timeout(40, "reject", levels=2, default_level=1, by_level={1: QueuePolicy()}),
        name="priority, low rejected after 40 ms",
    ),
    heavy(400, rules=QueueRules(policy=QueuePolicy(max_queue_size=24)), name="at most 24 waiting"),
    light(260, slower=2.0, size=2, name="and a group 2x slower"),
)
_PRE = Setting(base_s=0.0015, each_s=0.0, batching=DynamicBatching(max_batch_size=1), rate_rps=0, instances=2)
_POST = replace(_PRE, base_s=0.001, instances=1)
ENSEMBLES = (
    EnsembleSetting(
        name="ensemble: 1.5 ms x2, 12+b ms M=8, 1 ms",
        steps=(("pre", _PRE), ("net", heavy(0)), ("post", _POST)),
        rate_rps=220,
    ),
    EnsembleSetting(
        name="ensemble: 1.5 ms x2, 4+0.5b ms M=8 D=1, 1 ms",
        steps=(("pre", _PRE), ("net", light(0, 1)), ("post", _POST)),
        rate_rps=200,
    ),
)
PIPELINE = "pipeline"
STEP_NAMES = ("pre", "net", "post")


def model_config(setting: Setting, name: str = MODEL) -> dict[str, object]:
    """The model configuration of a setting, as protobuf JSON."""
    batching = setting.batching
    groups: list[dict[str, object]] = [{"name": "fast", "count": setting.instances, "kind": "KIND_CPU"}]
    parameters = {"infc.service_times_s": ",".join(map(repr, setting.sleep_s))}
    if setting.slower:
        groups.append({"name": "slow", "count": 1, "kind": "KIND_CPU"})
        parameters["infc.service_times_s.slow"] = ",".join(repr(setting.slower * each) for each in setting.sleep_s)
    if setting.element_s:
        parameters["infc.seconds_per_element"] = repr(setting.element_s)
    is_open = setting.has_dynamic_shapes or setting.is_ragged
    x = {"name": "x", "data_type": "TYPE_FP32", "dims": [-1 if is_open else FIXED_ELEMENTS]}
    return {
        "name": name,
        "platform": "tensorrt_plan",
        "max_batch_size": batching.max_batch_size,
        "input": [{**x, "allow_ragged_batch": True} if setting.is_ragged else x],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [FIXED_ELEMENTS]}],
        "instance_group": groups,
        "parameters": {key: {"string_value": value} for key, value in parameters.items()},
        **({"dynamic_batching": _dynamic_batching(setting)} if batching.max_batch_size > 1 else {}),
    }


def _dynamic_batching(setting: Setting) -> dict[str, object]:
    batching, rules = setting.batching, setting.rules
    scheduler: dict[str, object] = {"max_queue_delay_microseconds": round(batching.max_queue_delay_s * 1e6)}
    if batching.preferred_batch_sizes:
        scheduler["preferred_batch_size"] = list(batching.preferred_batch_sizes)
    if not batching.has_prefetch:
        scheduler["default_queue_policy"] = {"default_timeout_microseconds": 10_000_000, "timeout_action": "DELAY"}
    if not rules.policy.is_idle:
        scheduler["default_queue_policy"] = _queue_policy(rules.policy)
    if rules.levels:
        scheduler |= {"priority_levels": rules.levels, "default_priority_level": rules.default_level}
        scheduler["priority_queue_policy"] = {str(k): _queue_policy(v) for k, v in rules.by_level.items()}
    return scheduler


def _queue_policy(policy: QueuePolicy) -> dict[str, object]:
    return {
        "timeout_action": policy.timeout_action.upper(),
        "default_timeout_microseconds": round(policy.timeout_s * 1e6),
        "allow_timeout_override": policy.allows_own_timeout,
        "max_queue_size": policy.max_queue_size,
    }


def ensemble_configs(setting: EnsembleSetting) -> dict[str, dict[str, object]]:
    """The model configurations of an ensemble and its steps, the ensemble last."""
    configs = {name: model_config(step, name) for name, step in setting.steps}
    names = [name for name, _ in setting.steps]
    tensors = ["x", *(f"after_{name}" for name in names[:-1]), "y"]
    one = {"data_type": "TYPE_FP32", "dims": [FIXED_ELEMENTS]}
    configs[PIPELINE] = {
        "name": PIPELINE,
        "platform": "ensemble",
        "max_batch_size": 1,
        "input": [{"name": "x", **one}],
        "output": [{"name": "y", **one}],
        "ensemble_scheduling": {
            "step": [
                {
                    "model_name": name,
                    "model_version": -1,
                    "input_map": {"x": tensors[index]},
                    "output_map": {"y": tensors[index + 1]},
                }
                for index, name in enumerate(names)
            ]
        },
    }
    return configs
