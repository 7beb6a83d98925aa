"""Drift of edge devices, end to end: a spec, its lock and devices behind ssh in; what agrees and what does not out."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from infc.diag import Diagnostic
from infc.ir.edge_status import DeviceStatus
from infc.ir.problem import LatencyTarget, LlmProblem
from infc.lock import LockEntry
from infc.lock.drift import DriftReport
from infc.lock.drift.edge import LockedEdge, compare_device
from infc.lock.drift.fleet import DeviceDrift, FleetDrift
from infc.pipeline.drift.locked import LockedSpec, not_locked, open_locked, resolve_locked, stale_inputs
from infc.pipeline.locking import problem_of
from infc.resolve.jetson import modules
from infc.validate.edge.address import DeviceAddress
from infc.validate.edge.machine import EdgeMachine

_AT_ONCE = 16
CONFIDENCE = 0.95
"""Of the intervals that a device states."""


@dataclass(frozen=True, kw_only=True)
class DeviceDriftRequest:
    """What to compare. `target` names one of several locked deployments; None takes the one of each device's module."""

    spec: Path
    devices: tuple[DeviceAddress, ...]
    target: str | None = None


def find_device_drift(
    request: DeviceDriftRequest, *, announce: Callable[[str], None]
) -> tuple[FleetDrift | None, tuple[Diagnostic, ...]]:
    """Compare devices with what is locked for their modules. Nothing is written, and nothing is changed there.

    A device that does not answer is part of the result; what is wrong with the spec or the lock is a diagnostic.

    Raises:
        ToolError: ssh is not installed here.
    """
    opened, problems = open_locked(request.spec)
    if opened is None:
        return None, problems
    locked, problems = _locked_edges(opened, request.target)
    if not locked:
        return None, problems
    if len(request.devices) > 1:
        announce(f"asking {len(request.devices)} devices")
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(request.devices))) as pool:
        devices = tuple(pool.map(lambda address: _drift_of(address, locked), request.devices))
    return FleetDrift(name=opened.loaded.name, spec=opened.loaded.path.as_posix(), devices=devices), ()


def _locked_edges(opened: LockedSpec, target: str | None) -> tuple[tuple[LockedEdge, ...], tuple[Diagnostic, ...]]:
    """What is expected of the devices of each locked deployment on edge devices."""
    entries = [entry for entry in opened.entries if target is None or entry.target == target]
    label = f"{opened.loaded.name} @ {target}" if target else opened.loaded.name
    if not entries:
        return (), (not_locked(opened.loaded, label, ", ".join(entry.target for entry in opened.entries)),)
    edges = [entry for entry in entries if entry.choice.server == "jetson"]
    if not edges:
        return (), (_not_edge(entries[0]),)
    resolved, problems = resolve_locked(opened)
    if resolved is None:
        return (), problems
    known = modules()

    def expected(entry: LockEntry) -> LockedEdge:
        problem = problem_of(resolved, entry)
        latency: Sequence[LatencyTarget] = problem.e2e if isinstance(problem, LlmProblem) else problem.latency
        module = known.get(entry.choice.hardware)
        return LockedEdge(
            entry=entry,
            spec=opened.loaded.path.as_posix(),
            modules=() if module is None else module.modules,
            latency=tuple(latency),
            confidence=CONFIDENCE,
            stale=stale_inputs(opened, entry),
        )

    return tuple(map(expected, edges)), ()


def _drift_of(address: DeviceAddress, locked: Sequence[LockedEdge]) -> DeviceDrift:
    machine = EdgeMachine(address)
    try:
        answer = _status(machine)
    finally:
        machine.close()
    if isinstance(answer, Diagnostic):
        return DeviceDrift(address=address.text, report=None, problem=answer)
    return DeviceDrift(address=address.text, report=_compared(address.text, answer, locked))


def _status(machine: EdgeMachine) -> DeviceStatus | Diagnostic | None:
    """What the device says; None where it has no agent that could."""
    probe = machine.probe()
    if isinstance(probe, Diagnostic):
        return probe
    return machine.status(is_agent_there=True) if probe.has_agent else None


def _compared(address: str, status: DeviceStatus | None, locked: Sequence[LockedEdge]) -> DriftReport:
    return compare_device(_of_module(status, locked), address, status)


def _of_module(status: DeviceStatus | None, locked: Sequence[LockedEdge]) -> LockedEdge:
    """The deployment for the module of a device: the one that was accepted there, else the first that fits, or is."""
    if status is None:
        return locked[0]
    fitting = [each for each in locked if status.device.module in each.modules] or list(locked)
    accepted: Mapping[str, str] = {
        deployment.name: deployment.acceptance.hardware_id
        for deployment in status.deployments
        if deployment.acceptance is not None
    }
    same = (each for each in fitting if accepted.get(each.entry.name) == each.entry.choice.hardware)
    return next(same, fitting[0])


def _not_edge(entry: LockEntry) -> Diagnostic:
    return Diagnostic(
        id="drift-server",
        message=f"{entry.label} is served by {entry.choice.server}, which is not asked over ssh",
        help="give the address of the server with --endpoint",
    )
