"""Drift of several devices at once: one report a device, or why there is none, and the worst of them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from infc.diag import Diagnostic
from infc.lock.drift.values import DriftReport

FleetVerdict: TypeAlias = Literal["slo-missed", "drifted", "no-answer", "cannot-tell", "same"]
WORST_FIRST: tuple[FleetVerdict, ...] = ("slo-missed", "drifted", "no-answer", "cannot-tell", "same")
"""What is known to be wrong comes before what cannot be known."""


@dataclass(frozen=True, kw_only=True)
class DeviceDrift:
    """One device: its report, or (None) the problem that it does not answer, or is none of the deployment's."""

    address: str
    report: DriftReport | None
    problem: Diagnostic | None = None

    @property
    def verdict(self) -> FleetVerdict:
        """The report's; `no-answer` where there is none."""
        return "no-answer" if self.report is None else self.report.verdict


@dataclass(frozen=True, kw_only=True)
class FleetDrift:
    """Every device that was asked, in the order that they were named."""

    name: str
    spec: str
    devices: tuple[DeviceDrift, ...]

    @property
    def verdict(self) -> FleetVerdict:
        """The worst of all devices."""
        verdicts = {device.verdict for device in self.devices}
        return next(verdict for verdict in WORST_FIRST if verdict in verdicts)
