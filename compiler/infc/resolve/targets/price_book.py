"""`targets/prices/<provider>.yaml` -> PriceBook, and what a book charges for a device."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from infc.diag import Diagnostic
from infc.ir.price import Commitment, Price
from infc.resolve.targets.fields import PRICE_BOOK_FIELDS
from infc.resolve.targets.records import Record, read_record

BookKind: TypeAlias = Literal["cloud", "marketplace", "model", "owned"]

_KINDS: Mapping[str, BookKind] = {"cloud": "cloud", "marketplace": "marketplace", "model": "model", "owned": "owned"}
_COMMITMENTS: Mapping[str, Commitment] = {
    "on-demand": "on-demand",
    "1y": "1y",
    "3y": "3y",
    "spot": "spot",
    "owned": "owned",
    "capacity-block": "capacity-block",
}


@dataclass(frozen=True, kw_only=True)
class ReservedDiscount:
    """The share of the on-demand price that a commitment of `term` saves."""

    term: Commitment
    payment: str
    fraction: float
    date: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """What one device costs to buy, or (`usd_per_hour`) its purchase as the source has amortised it already."""

    hardware_id: str
    usd: float | None
    usd_per_hour: float | None
    date: str
    source: str
    notes: str


@dataclass(frozen=True, kw_only=True)
class Amortisation:
    """How a purchase becomes an hourly cost; `pue` is the power of a site over that of its machines."""

    years: float
    usd_per_kwh: float
    pue: float
    date: str
    source: str


@dataclass(frozen=True, kw_only=True)
class PriceBook:
    """Everything one provider charges."""

    provider: str
    title: str
    kind: BookKind
    discounts: tuple[ReservedDiscount, ...]
    prices: tuple[Price, ...]
    purchases: tuple[Purchase, ...]
    amortisation: Amortisation | None


def price_book_from_text(
    text: str, provider: str, path: str, *, is_untrusted: bool = True
) -> tuple[PriceBook | None, Record | None, tuple[Diagnostic, ...]]:
    """Read one price book; `provider` is its file name without the ending, `path` names it in diagnostics.

    Returns: the book and the record it was made from (for spans), or None and every problem of the file.
    """
    record, problems = read_record(text, path, PRICE_BOOK_FIELDS, is_untrusted=is_untrusted)
    if record is None:
        return None, None, problems
    problems = _cross_check(record, provider)
    return (None, None, problems) if problems else (_book(record), record, ())


def list_price(book: PriceBook, hardware_id: str, commitment: Commitment) -> Price | None:
    """The cheapest price of the book for these terms.

    A 1y or 3y price that no row names is the on-demand price less the book's no-upfront discount; where a provider
    lists no on-demand price, its capacity block stands in. Ties go to the smaller sku, then to its name.
    """
    rows = [row for row in book.prices if row.hardware_id == hardware_id and row.commitment == commitment]
    if rows:
        return min(rows, key=lambda row: (row.usd_per_hour, row.accelerators_per_unit, row.sku, row.region))
    match commitment:
        case "on-demand":
            return list_price(book, hardware_id, "capacity-block")
        case "1y" | "3y":
            return _reserved_price(book, hardware_id, commitment)
        case _:
            return None


def overlaid(base: PriceBook, overlay: PriceBook) -> PriceBook:
    """`base` with what `overlay` says in place of it.

    The overlay's rows replace all rows of the same hardware and terms, its purchases those of the same hardware; its
    discounts and amortisation replace the whole block when it has one.
    """
    named = {(row.hardware_id, row.commitment) for row in overlay.prices}
    bought = {purchase.hardware_id for purchase in overlay.purchases}
    return replace(
        overlay,
        discounts=overlay.discounts or base.discounts,
        prices=(
            *(row for row in base.prices if (row.hardware_id, row.commitment) not in named),
            *overlay.prices,
        ),
        purchases=(*(row for row in base.purchases if row.hardware_id not in bought), *overlay.purchases),
        amortisation=overlay.amortisation or base.amortisation,
    )


def _reserved_price(book: PriceBook, hardware_id: str, term: Commitment) -> Price | None:
    on_demand = [row for row in book.prices if row.hardware_id == hardware_id and row.commitment == "on-demand"]
    discount = next((d for d in book.discounts if d.term == term and d.payment == "no-upfront"), None)
    if not on_demand or discount is None:
        return None
    price = min(on_demand, key=lambda row: (row.usd_per_hour, row.accelerators_per_unit, row.sku, row.region))
    return replace(
        price,
        commitment=term,
        usd_per_hour=price.usd_per_hour * (1 - discount.fraction),
        date=min(price.date, discount.date),
        source=f"{price.source}; {discount.source}",
        notes=f"on-demand price less {discount.fraction:.0%} ({term}, no upfront payment)",
    )


def _book(record: Record) -> PriceBook:
    provider = record.required_text("provider")
    kind = _KINDS[record.required_text("kind")]
    labels = record.labels("sources")

    def source(row: Record) -> str:
        text = row.required_text("source")
        return labels.get(text, text)

    terms = record.record("amortisation")
    return PriceBook(
        provider=provider,
        title=record.text("title") or provider,
        kind=kind,
        discounts=tuple(
            ReservedDiscount(
                term=_COMMITMENTS[row.required_text("term")],
                payment=row.required_text("payment"),
                fraction=row.required_number("fraction"),
                date=row.required_text("date"),
                source=source(row),
            )
            for row in record.records("reserved_discounts")
        ),
        prices=tuple(
            Price(
                provider=provider,
                hardware_id=row.required_text("hardware"),
                sku=row.required_text("sku"),
                region=row.required_text("region"),
                commitment=_COMMITMENTS[row.required_text("commitment")],
                usd_per_hour=row.required_number("usd_per_accelerator_hour"),
                accelerators_per_unit=int(row.required_number("accelerators")),
                date=row.required_text("date"),
                source=source(row),
                is_marketplace=kind == "marketplace",
                notes=row.text("notes") or "",
            )
            for row in record.records("prices")
        ),
        purchases=tuple(
            Purchase(
                hardware_id=row.required_text("hardware"),
                usd=row.number("usd"),
                usd_per_hour=row.number("usd_per_hour"),
                date=row.required_text("date"),
                source=source(row),
                notes=row.text("notes") or "",
            )
            for row in record.records("purchases")
        ),
        amortisation=None
        if terms is None
        else Amortisation(
            years=terms.required_number("years"),
            usd_per_kwh=terms.required_number("usd_per_kwh"),
            pue=terms.number("pue") or 1.0,
            date=terms.required_text("date"),
            source=source(terms),
        ),
    )


def _cross_check(record: Record, provider: str) -> tuple[Diagnostic, ...]:
    problems: list[Diagnostic] = []
    named = record.required_text("provider")
    if named != provider:
        help = f"name the file {named}.yaml, or write provider: {provider}"
        message = f"the file {provider}.yaml says provider {named}"
        problems.append(Diagnostic(id="target-value", message=message, span=record.span_of("provider"), help=help))
    for row in record.records("purchases"):
        if (row.number("usd") is None) == (row.number("usd_per_hour") is None):
            help = "usd is the purchase price, usd_per_hour a purchase amortised already"
            message = "a purchase needs either usd or usd_per_hour"
            problems.append(Diagnostic(id="target-value", message=message, span=row.span_of(), help=help))
    return tuple(problems)
