"""Prices: what one hour of a device costs, where, on which terms, and who says so."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Commitment: TypeAlias = Literal["on-demand", "1y", "3y", "spot", "owned", "capacity-block"]


@dataclass(frozen=True, kw_only=True)
class Price:
    """One priced way to get a device; a row of `targets/prices/<provider>.yaml`.

    `usd_per_hour` is for one device. `accelerators_per_unit` is how many devices the sku brings (they are rented
    together: a replica count is rounded up to whole skus only when the spec asks for that provider by name). `date` is
    ISO 8601. A capacity block is prepaid for days to months; it stands in for on-demand where a provider lists nothing
    else.
    """

    provider: str
    hardware_id: str
    sku: str
    region: str
    commitment: Commitment
    usd_per_hour: float
    accelerators_per_unit: int
    date: str
    source: str
    is_marketplace: bool = False
    notes: str = ""
