"""What a device costs that is bought, not rented: its price book's purchase on the book's terms or on the spec's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infc.ir.price import Ownership, Price
from infc.ir.quantity import HOURS_PER_YEAR

if TYPE_CHECKING:  # `infc targets` needs no spec language
    from infc.ir.hardware import Hardware
    from infc.ir.spec.constraints import Owned
    from infc.resolve.targets.price_book import Amortisation, PriceBook, Purchase

_EDGE_PUE = 1.0
"""A module outside a data centre: nobody cools it for money."""


def owned_price(book: PriceBook, hardware: Hardware, terms: Owned | None = None) -> Price | None:
    """What an owned device costs per hour; `terms` of the spec go before those of the book.

    None where neither knows a purchase price or the years it is written off over. Where the device's power is not
    known, electricity is left out, and the notes say so.
    Source: straight-line depreciation, `usd / (years * 8760 * utilization) + hosting + kW * pue * usd_per_kwh`.
    """
    usual = book.amortisation
    years = (terms and terms.years) or (usual.years if usual else None)
    usd_per_kwh = (terms and terms.usd_per_kwh) or (usual.usd_per_kwh if usual else None)
    if years is None or usd_per_kwh is None:
        return None
    purchase = _cheapest(book, hardware.id, years)
    own_usd = terms.purchase_usd if terms else None
    if own_usd is None and purchase is None:
        return None
    utilization = terms.utilization if terms else 1.0
    ownership = Ownership(
        capital_usd_per_hour=_capital_usd_per_hour(own_usd, purchase, years) / utilization,
        hosting_usd_per_hour=(terms and terms.hosting_usd_per_hour) or 0.0,
        usd_per_kwh=usd_per_kwh,
        pue=(terms and terms.pue) or _usual_pue(hardware, usual),
        purchase_usd=own_usd or (purchase.usd if purchase else None),
        years=years,
        utilization=utilization,
        power_cap_w=hardware.tdp_w,
        remark=purchase.notes if purchase is not None and own_usd is None else "",
    )
    row = purchase if own_usd is None else None
    return Price(
        provider=book.provider,
        hardware_id=hardware.id,
        sku="purchase",
        region="any",
        commitment="owned",
        usd_per_hour=ownership.fixed_usd_per_hour + ownership.electricity_usd_per_hour(hardware.tdp_w or 0.0),
        accelerators_per_unit=1,
        date=row.date if row else "as the spec says",
        source=row.source if row else "pricing.owned",
        notes="; ".join(_notes(ownership)),
        ownership=ownership,
    )


def _cheapest(book: PriceBook, hardware_id: str, years: float) -> Purchase | None:
    rows = [row for row in book.purchases if row.hardware_id == hardware_id]
    return min(rows, key=lambda row: (_row_usd_per_hour(row, years), row.source), default=None)


def _row_usd_per_hour(row: Purchase, years: float) -> float:
    if row.usd_per_hour is not None:
        return row.usd_per_hour
    return (row.usd or 0.0) / (years * HOURS_PER_YEAR)


def _capital_usd_per_hour(own_usd: float | None, purchase: Purchase | None, years: float) -> float:
    if own_usd is not None:
        return own_usd / (years * HOURS_PER_YEAR)
    return 0.0 if purchase is None else _row_usd_per_hour(purchase, years)


def _usual_pue(hardware: Hardware, usual: Amortisation | None) -> float:
    return _EDGE_PUE if hardware.kind == "jetson" or usual is None else usual.pue


def _notes(terms: Ownership) -> list[str]:
    """What the price of the list, at full power, is made of."""
    power = "electricity not included, its power is unknown"
    if terms.power_cap_w is not None:
        power = f"{terms.power_cap_w:g} W at ${terms.usd_per_kwh:g}/kWh, PUE {terms.pue:g}"
    return [part for part in (terms.remark, terms.purchase_words, power) if part]
