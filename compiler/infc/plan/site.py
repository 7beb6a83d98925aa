"""Where a replica can run: one device (and power mode) at one precision, with everything the search asks about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from infc.ir.candidate import ServerName
from infc.ir.engine_choice import chosen_kind, is_measured_for
from infc.ir.engine_evidence import EngineEvidence
from infc.ir.estimate import MemoryBreakdown
from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.price import Price
from infc.ir.problem import Problem
from infc.ir.service_time import ServiceTimeCurve, ServiceTimeProfile
from infc.perf import KernelWork, Unsupported, device_memory, device_power, dla_service_time, service_time
from infc.perf.framework import engine_ratio, product, rising
from infc.perf.memory import shadow_memory
from infc.plan.built import with_builders_figures

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Largest batch of a candidate; powers of two, as optimization profiles are tuned for."""
INSTANCES = (1, 2, 4)
"""Model instances on one device."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The largest batch and the number of instances on one device."""

    max_batch_size: int
    instances: int


@dataclass(frozen=True, kw_only=True)
class Site:
    """One device at one precision. `axes` are the sizes the plan assumes; curves are remembered.

    `engines` is what builders reported of engines for it: their memory is taken instead of an estimate. `dla_core` is
    the deep learning accelerator that runs it, None for the GPU.
    """

    problem: Problem
    hardware: Hardware
    price: Price | None
    power_mode: str | None
    precision: Precision
    work: KernelWork
    axes: dict[str, int]
    engines: tuple[EngineEvidence, ...] = ()
    dla_core: int | None = None
    _curves: dict[int, ServiceTimeCurve | Unsupported] = field(default_factory=dict, compare=False, repr=False)

    @property
    def label(self) -> str:
        """`int8/l4`, `int8/jetson-orin-nx-16gb@25W/dla0`: the start of the label of every candidate here."""
        mode = f"@{self.power_mode}" if self.power_mode else ""
        accelerator = "" if self.dla_core is None else f"/dla{self.dla_core}"
        return f"{self.precision.value}/{self.hardware.id}{mode}{accelerator}"

    @property
    def server(self) -> ServerName:
        """The server that runs here: a Jetson bundle on a Jetson, unless the spec names another."""
        if self.problem.server != "auto":
            return self.problem.server
        return "jetson" if self.hardware.kind == "jetson" else "triton"

    @property
    def power_cap_w(self) -> float | None:
        """The most one device draws: the power mode's budget, else the card's."""
        for mode in self.hardware.power_modes:
            if mode.name == self.power_mode and mode.watts is not None:
                return mode.watts
        return self.hardware.tdp_w

    @property
    def batch_sizes(self) -> Sequence[int]:
        """Largest batches worth considering, ascending.

        Only 1 where the model's batch is fixed, and on a deep learning accelerator, whose engine has fixed shapes.
        Where service times were measured, none above the largest measured one: the plan stays on the better basis.
        """
        if self.problem.model.batch_axis is None or self.dla_core is not None:
            return (1,)
        measured = self._largest_measured_batch()
        if measured is None:
            return BATCH_SIZES
        return tuple(size for size in BATCH_SIZES if size <= measured) or (1,)

    @property
    def instance_counts(self) -> Sequence[int]:
        """Numbers of instances worth considering: a deep learning accelerator runs one item after the other."""
        return INSTANCES if self.dla_core is None else (1,)

    def curve(self, instances: int) -> ServiceTimeCurve | Unsupported:
        """Service times up to the largest of `batch_sizes`, with `instances` running at once."""
        known = self._curves.get(instances)
        if known is None and self.dla_core is not None:
            known = dla_service_time(self.work, self.hardware, self.precision, self.power_mode)
            self._curves[instances] = known
        if known is None:
            known = service_time(
                self.problem.model,
                self.hardware,
                self.precision,
                self.axes,
                self.batch_sizes[-1],
                self._measurements,
                self.power_mode,
                instances=instances,
                neighbours=tuple(n for n in self.problem.neighbours if is_measured_for("auto", n.profile.engine_kind)),
                work=self.work,
            )
            if isinstance(known, ServiceTimeCurve):
                known = self._as_chosen(known)
            self._curves[instances] = known
        return known

    @property
    def _measurements(self) -> tuple[ServiceTimeProfile, ...]:
        """Service times of this model that were measured with the runtime that the spec chose, in this power mode."""
        chosen = (m for m in self.problem.measurements if is_measured_for(self.problem.engine, m.engine_kind))
        return tuple(m for m in chosen if m.is_of_mode(self.power_mode))

    def _as_chosen(self, curve: ServiceTimeCurve) -> ServiceTimeCurve:
        """The curve of the runtime that the spec chose, where it was not measured here: a multiple of the predicted."""
        kind = chosen_kind(self.problem.engine, self.hardware, self.precision)
        digest, id = self.problem.model.digest, self.hardware.id
        if kind is None or any(m.model_digest == digest and m.hardware_id == id for m in self._measurements):
            return curve
        is_cpu = self.hardware.kind == "cpu"
        seconds = tuple(
            product(s, engine_ratio(kind, index + 1, is_cpu=is_cpu)) for index, s in enumerate(curve.seconds)
        )
        return replace(curve, seconds=rising(seconds))

    def with_curves(self, curves: Mapping[int, ServiceTimeCurve]) -> "Site":
        """The same place with these service times by number of instances, such as those of an uncompiled model."""
        return replace(self, _curves=dict(curves))

    def memory(self, setup: Setup) -> MemoryBreakdown:
        """Memory of one device."""
        batch, instances = setup.max_batch_size, setup.instances
        estimate = device_memory(self.work, self.hardware, self.precision, batch, instances)
        if self.problem.shadow is not None and self.hardware.kind == "cpu":
            shadow_bytes = shadow_memory(self.work, batch)
            estimate = replace(estimate, runtime_bytes=estimate.runtime_bytes + shadow_bytes)
        copies = batch * (self.work.input_bytes + self.work.output_bytes)
        return with_builders_figures(estimate, self.engines, batch, instances, copies)

    def power_w(self, utilization: float) -> Interval | None:
        """Power of one device that is busy this share of the time; from what it drew in a calibration, if any.

        None on a deep learning accelerator: no source says what a module draws whose GPU rests.
        """
        if self.dla_core is not None:
            return None
        return device_power(self.hardware, utilization, self.power_mode, self._measured_power_w())

    def _measured_power_w(self) -> float | None:
        """The most that a calibration of this model saw the device draw at one batch size, always busy."""
        drawn = [
            point.power_w
            for profile in self._measurements
            if profile.model_digest == self.problem.model.digest
            and profile.hardware_id == self.hardware.id
            and profile.precision is self.precision
            for point in profile.points
            if point.power_w is not None and dict(point.axes) == self.axes
        ]
        return max(drawn, default=None)

    def _largest_measured_batch(self) -> int | None:
        sizes = [
            point.batch_size
            for profile in self._measurements
            if profile.model_digest == self.problem.model.digest
            and profile.hardware_id == self.hardware.id
            and profile.precision is self.precision
            for point in profile.points
            if dict(point.axes) == self.axes
        ]
        return max(sizes, default=None)


def planned_axes(problem: Problem) -> dict[str, int]:
    """The size of every dynamic axis that the plan assumes: its largest.

    Triton batches only requests of equal shape, so clients pad to one size, and the SLO has to hold at the largest.
    """
    return {axis: problem.traffic.axes[axis].maximum for axis in problem.model.axes}


def power_modes(hardware: Hardware, cap_w: float | None, wanted: str | None) -> tuple[str | None, ...]:
    """The power modes to plan for: the wanted one, else all under the cap; a device without modes has one, None.

    None where a mode is wanted of a Jetson module whose modes are not known.
    """
    if not hardware.power_modes:
        return () if wanted is not None and hardware.kind == "jetson" else (None,)
    modes = [m for m in hardware.power_modes if wanted is None or m.is_named(wanted)]
    return tuple(m.name for m in modes if cap_w is None or (m.watts or hardware.tdp_w or float("inf")) <= cap_w)
