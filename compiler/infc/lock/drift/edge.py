"""An edge device against its lock entry and its spec: releases, power mode, engine, and what was measured there."""

from collections.abc import Iterator
from dataclasses import dataclass

from infc.ir.edge_acceptance import EdgeAcceptance
from infc.ir.edge_status import DeviceStatus, EdgeDeployment
from infc.ir.interval import Interval
from infc.ir.problem import LatencyTarget
from infc.lock.drift.item import deployment_item, lock_item
from infc.lock.drift.objective import PREDICTION_TOLERANCE
from infc.lock.drift.values import DriftCell, DriftItem, DriftReport, DriftVerdict, ObjectiveItem, Observed
from infc.lock.values import LockEntry

AGENT = "edge.py status"
_ACCEPTED = "acceptance.json"
_SHOWN = 12
_INSTALL = "install the bundle of infc.lock: infc validate BUNDLE ssh://DEVICE, or edge.py install there"
_AGAIN = "install the release again: the device builds the engine anew and measures it"


@dataclass(frozen=True, kw_only=True)
class LockedEdge:
    """What is expected of a device: the lock entry, the modules it is for, and the objectives that the spec states now.

    `stale` names the inputs of the entry that changed since it was locked.
    """

    entry: LockEntry
    spec: str
    modules: tuple[str, ...]
    latency: tuple[LatencyTarget, ...]
    confidence: float
    stale: tuple[str, ...] = ()


def compare_device(locked: LockedEdge, address: str, status: DeviceStatus | None) -> DriftReport:
    """Every comparison of one device with its deployment. `status` None: no agent was ever installed there."""
    deployment = None if status is None else status.deployment(locked.entry.name)
    is_installed = deployment is not None and deployment.release is not None
    acceptance = deployment.acceptance if deployment is not None and is_installed else None
    items = [lock_item(locked.stale, "compile, sign and install again"), _installed(deployment)]
    if status is not None:
        items.append(_module(locked, status))
    if status is not None and deployment is not None:
        items += _journal(deployment)
    if status is not None and deployment is not None and is_installed:
        items += _releases(locked, deployment)
        items += _states(locked, status, deployment, acceptance)
        items += _predictions(locked, acceptance)
    return DriftReport(
        name=locked.entry.name,
        target=locked.entry.target,
        spec=locked.spec,
        endpoint=address,
        server=_server(status),
        requests=0 if acceptance is None else acceptance.load.requests,
        duration_s=None if acceptance is None else acceptance.load.seconds,
        is_since_start=False,
        is_of_acceptance=True,
        subject="device",
        items=tuple(items),
        objectives=tuple(_objective(locked, target, acceptance) for target in locked.latency) if is_installed else (),
        notes=("latencies are those that the device measured when it put the release in service",)
        if acceptance
        else (),
    )


def _server(status: DeviceStatus | None) -> str:
    if status is None:
        return "a device without infc's agent"
    device = status.device
    facts = [device.model or device.machine, device.module]
    facts += [f"L4T {device.l4t}" if device.l4t else None, f"TensorRT {device.tensorrt}" if device.tensorrt else None]
    return ", ".join(fact for fact in facts if fact)


def _installed(deployment: EdgeDeployment | None) -> DriftItem:
    release = None if deployment is None else deployment.release
    return _item("installed", "installed", "a release", "a release" if release else "nothing", note=_INSTALL)


def _module(locked: LockedEdge, status: DeviceStatus) -> DriftItem:
    module = status.device.module
    is_same = module in locked.modules
    return _item(
        "module",
        "module",
        module if is_same and module is not None else " or ".join(locked.modules),
        module,
        note="" if is_same else f"the deployment is locked for {locked.entry.choice.hardware}",
        why_silent="neither the boot loader nor the device tree names it",
    )


def _journal(deployment: EdgeDeployment) -> Iterator[DriftItem]:
    """An install that is under way or was cut off; the device finishes or undoes it with the agent's next command."""
    journal = deployment.journal
    if journal is None:
        words, note = "none", ""
    elif journal.is_under_way:
        words, note = f"{journal.release or 'a removal'} at step {journal.step}", "wait for it to end"
    else:
        words = f"{journal.release or 'a removal'} cut off at step {journal.step}"
        note = "`edge.py recover` there finishes or undoes it"
    yield _item("journal", "run under way", "none", words, note=note)


def _releases(locked: LockedEdge, deployment: EdgeDeployment) -> Iterator[DriftItem]:
    """Which release is in service, by what it is called and by what it is."""
    expected = locked.entry.release
    version, _, digest = (deployment.release or "").partition("-")
    accepted = deployment.acceptance
    rejected = deployment.rejected
    note = ""
    if rejected is not None and expected is not None and rejected.version == expected.version:
        note = f"release {rejected.version} was rolled back there: {rejected.verdict}"
    yield _item("release", "release", None if expected is None else expected.version, version, note=note or _INSTALL)
    content = digest if accepted is None else accepted.content_digest.removeprefix("sha256:")[:_SHOWN]
    locked_content = None if expected is None else expected.content.removeprefix("sha256:")[:_SHOWN]
    yield _item("content", "content digest", locked_content, content, note=_INSTALL)


def _states(
    locked: LockedEdge, status: DeviceStatus, deployment: EdgeDeployment, acceptance: EdgeAcceptance | None
) -> Iterator[DriftItem]:
    """The state that the device is in against the one that was planned, and that it was measured in."""
    mode = locked.entry.choice.power_mode
    if mode is not None:
        why = "nvpmodel does not tell"
        yield _item("power-mode", "power mode", mode, status.power_mode, source="nvpmodel", note=_AGAIN, why_silent=why)
    if acceptance is None:
        yield _item("acceptance", "verdict of the acceptance", "pass", None, why_silent=f"there is no {_ACCEPTED}")
    else:
        yield _item("l4t", "L4T", acceptance.device.l4t, status.device.l4t, note=_AGAIN)
        yield _item("tensorrt", "TensorRT", acceptance.device.tensorrt, status.device.tensorrt, note=_AGAIN)
        if acceptance.engine is not None:
            key, now = acceptance.engine.key[:_SHOWN], deployment.engine_key_now
            note = f"the engine was built for another state of the device: {_AGAIN}"
            why = "the agent cannot say which key the engine would have now"
            yield _item("engine", "engine key", key, now and now[:_SHOWN], note=note, why_silent=why)
        yield _item("acceptance", "verdict of the acceptance", "pass", acceptance.verdict, source=_ACCEPTED)
    service = deployment.service
    if service is not None and (service.is_active, service.is_ready) != (None, None):
        unit = f"journalctl -u {service.unit} there says why"
        why = f"{service.unit} cannot be asked"
        yield _item("service-active", "service is active", True, service.is_active, note=unit, why_silent=why)
        yield _item("service-ready", "model is ready", True, service.is_ready, note=unit, why_silent=why)


def _predictions(locked: LockedEdge, acceptance: EdgeAcceptance | None) -> Iterator[DriftItem]:
    """Measured at acceptance against the locked prediction: more by over a quarter, surely, is drift; less is not."""
    if acceptance is None:
        return
    predicted = locked.entry.predicted
    for label, predicted_ms in predicted.latency_ms.items():
        measured = acceptance.latency_s.get(label)
        if measured is not None:
            yield _prediction(f"latency-{label}", f"latency {label}", predicted_ms, measured.scaled(1e3), "ms")
    if predicted.power_w is not None and acceptance.power_w is not None:
        yield _prediction("power", "power", predicted.power_w, Interval.exact(acceptance.power_w.mean), "W")


def _prediction(id: str, name: str, predicted: float, measured: Interval, unit: str) -> DriftItem:
    is_more = measured.low > predicted * (1.0 + PREDICTION_TOLERANCE)
    return DriftItem(
        id=id,
        area="prediction",
        name=name,
        expected=predicted,
        observed=measured.value,
        verdict=DriftVerdict.DRIFTED if is_more else DriftVerdict.SAME,
        source=_ACCEPTED,
        unit=unit,
        low=measured.low,
        high=measured.high,
        note="more than predicted: keep its measurement with `infc validate`, and plan again" if is_more else "",
    )


def _objective(locked: LockedEdge, target: LatencyTarget, acceptance: EdgeAcceptance | None) -> ObjectiveItem:
    """A percentile of the spec against what was measured when the release was put in service."""
    measured = None if acceptance is None else acceptance.latency_s.get(target.label)
    judged = () if acceptance is None else acceptance.verdicts
    verdict = next(
        (each.verdict for each in judged if each.metric == target.label and each.limit == target.limit_s), ""
    )
    observed, note = Observed.CANNOT_TELL, "too few requests to tell"
    if measured is None:
        note = "the device did not measure it"
    elif verdict == "pass" or measured.high <= target.limit_s:
        observed, note = Observed.MET, ""
    elif verdict == "fail" or measured.low > target.limit_s:
        observed, note = Observed.MISSED, ""
    predicted_ms = locked.entry.predicted.latency_ms.get(target.label)
    return ObjectiveItem(
        metric="e2e",
        label=target.label,
        limit_s=target.limit_s,
        predicted_s=None if predicted_ms is None else predicted_ms / 1e3,
        low_s=None if measured is None else measured.low,
        high_s=None if measured is None else measured.high,
        requests=0,
        fewest_within=0,
        most_within=0,
        confidence=locked.confidence,
        verdict=observed,
        note=note,
    )


def _item(
    id: str,
    name: str,
    expected: DriftCell,
    observed: DriftCell,
    *,
    source: str = AGENT,
    note: str = "",
    why_silent: str = "",
) -> DriftItem:
    """A comparison for equality; not visible where one side says nothing."""
    is_same = None if observed is None or expected is None else observed == expected
    return deployment_item(
        id,
        name,
        expected,
        observed,
        is_same,
        source="" if observed is None else source,
        note="" if is_same else note,
        why_silent=why_silent if observed is None else "the lock does not hold it",
    )
