"""Prices: what one hour of a device costs, where, on which terms, and who says so."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Commitment: TypeAlias = Literal["on-demand", "1y", "3y", "spot", "owned", "capacity-block"]


@dataclass(frozen=True, kw_only=True)
class Ownership:
    """What an hour of one owned device is made of.

    `capital_usd_per_hour` is the purchase over its years of use and over the share `utilization` of the hours in which
    the device has work. `pue` is the power of the site over that of its machines. `power_cap_w` is the most that the
    device draws, None where that is not known (then electricity is not counted). `remark` is what the source of the
    purchase price says of it.
    """

    capital_usd_per_hour: float
    hosting_usd_per_hour: float
    usd_per_kwh: float
    pue: float
    purchase_usd: float | None
    years: float
    utilization: float
    power_cap_w: float | None
    remark: str = ""

    @property
    def purchase_words(self) -> str:
        """How the purchase is written off."""
        words = "purchase already amortised"
        if self.purchase_usd is not None:
            words = f"${self.purchase_usd:,.0f} over {self.years:g} years"
        return words + (f" in use {self.utilization:.0%} of the time" if self.utilization < 1 else "")

    @property
    def fixed_usd_per_hour(self) -> float:
        """What the device costs whether it works or not, electricity left out."""
        return self.capital_usd_per_hour + self.hosting_usd_per_hour

    def electricity_usd_per_hour(self, power_w: float) -> float:
        """Electricity of one device that draws `power_w`, cooling and losses of the site included."""
        return power_w / 1000.0 * self.pue * self.usd_per_kwh


@dataclass(frozen=True, kw_only=True)
class Price:
    """One priced way to get a device; a row of `targets/prices/<provider>.yaml`.

    `usd_per_hour` is for one device; of an owned one (`ownership` is set) at full power. `accelerators_per_unit` is how
    many devices the sku brings (they are rented together: a replica count is rounded up to whole skus only when the
    spec asks for that provider by name). `date` is ISO 8601. A capacity block is prepaid for days to months; it stands
    in for on-demand where a provider lists nothing else.
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
    ownership: Ownership | None = None
