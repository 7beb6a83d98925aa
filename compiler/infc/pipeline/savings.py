"""Every decision of a spec beside the deployment that the lock holds for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infc.ir.plan import Plan
from infc.ir.problem import HardwareOption
from infc.lock import Lock, LockEntry
from infc.pipeline.plan import PlannedSpec, PlannedTarget, overlay_of, spec_path_in_workspace
from infc.plan.capacity import option_of
from infc.plan.savings import Locked, Savings, savings
from infc.resolve.pricing import priced_option
from infc.resolve.targets import load_catalogue


def planned_savings(planned: PlannedSpec, lock: Lock, overlay: Path | None) -> Mapping[str | None, Savings]:
    """What each decision (by target) saves over what is locked for it, where the two differ."""
    loaded = planned.loaded
    entries = [entry for entry in lock.of_spec(spec_path_in_workspace(loaded)) if entry.name == loaded.name]
    targets = {d.problem.options[0].hardware.id for d in planned.decisions if d.target is not None}
    found: dict[str | None, Savings] = {}
    for decided in planned.decisions:
        entry = _entry_of(decided, entries, targets)
        if entry is None or not isinstance(decided.decision, Plan):
            continue
        locked = Locked(
            candidate=entry.choice.candidate(),
            usd_per_hour=entry.predicted.usd_per_hour,
            power_w=entry.predicted.power_w,
        )
        option = _option(planned, decided, entry.choice.hardware, overlay)
        saved = savings(decided.problem, decided.decision, locked, option)
        if saved.is_worth_saying:
            found[decided.target] = saved
    return found


def _entry_of(decided: PlannedTarget, entries: Sequence[LockEntry], targets: set[str]) -> LockEntry | None:
    """What is locked for a decision: a target's own device, or the one entry that is no target's."""
    if decided.target is not None:
        hardware = decided.problem.options[0].hardware.id
        return next((entry for entry in entries if entry.choice.hardware == hardware), None)
    free = [entry for entry in entries if entry.choice.hardware not in targets]
    if len(free) == 1:
        return free[0]
    if not isinstance(decided.decision, Plan):
        return None
    chosen = decided.decision.candidate.target
    return next((entry for entry in entries if entry.target == chosen), None)


def _option(
    planned: PlannedSpec, decided: PlannedTarget, hardware_id: str, overlay: Path | None
) -> HardwareOption | None:
    """The locked device with today's prices on the spec's terms, also where the spec no longer allows it."""
    known = option_of(decided.problem, hardware_id)
    spec = planned.loaded.spec
    if known is not None or spec is None:
        return known
    catalogue = load_catalogue(overlay or overlay_of(planned.loaded.workspace))
    hardware = catalogue.find(hardware_id)
    return None if hardware is None else priced_option(spec, catalogue, hardware)
