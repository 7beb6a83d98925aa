"""A comparison of something that was deployed, as an item."""

from collections.abc import Sequence

from infc.lock.drift.values import DriftCell, DriftItem, DriftVerdict


def deployment_item(
    id: str,
    name: str,
    expected: DriftCell,
    observed: DriftCell,
    is_same: bool | None,
    *,
    source: str = "",
    unit: str = "",
    note: str = "",
    why_silent: str = "",
) -> DriftItem:
    """The item. `is_same` None: it cannot be told, for the reason in `why_silent`; else `note` counts."""
    verdict = DriftVerdict.NOT_VISIBLE
    if is_same is not None:
        verdict = DriftVerdict.SAME if is_same else DriftVerdict.DRIFTED
    return DriftItem(
        id=id,
        area="deployment",
        name=name,
        expected=expected,
        observed=observed,
        verdict=verdict,
        source=source,
        unit=unit,
        note=why_silent if is_same is None else note,
    )


def lock_item(stale: Sequence[str], remedy: str = "compile and deploy again") -> DriftItem:
    """Whether the lock still is of the spec: else what runs is compared with an older spec's plan."""
    seen = f"stale: {', '.join(stale)} changed" if stale else "of this spec"
    note = remedy if stale else ""
    return deployment_item("lock", "infc.lock", "of this spec", seen, not stale, source="infc.lock", note=note)
