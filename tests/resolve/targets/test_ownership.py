"""What an owned device costs per hour: the book's terms, the spec's before them, cooling by the site."""

import pytest

from infc.ir.spec.constraints import Owned
from infc.resolve.targets import load_catalogue

CATALOGUE = load_catalogue(None)


def terms(**written: object) -> Owned:
    """`pricing.owned` as a spec has it."""
    return Owned.model_validate(written)


def test_the_books_terms_are_sourced_and_count_cooling_in_a_data_centre_only() -> None:
    """Three years, 12.49 cents and PUE 1.58 for a server card; a module at the edge is cooled for nothing."""
    card = CATALOGUE.price("h100-sxm", None, "owned")
    module = CATALOGUE.price("jetson-agx-orin-64gb", None, "owned")
    assert card is not None
    assert module is not None
    assert card.ownership is not None
    assert module.ownership is not None
    assert card.usd_per_hour == pytest.approx(30_000 / (3 * 8760) + 0.7 * 1.58 * 0.1249)
    assert module.usd_per_hour == pytest.approx(1_999 / (3 * 8760) + 0.06 * 0.1249)
    assert (card.ownership.pue, module.ownership.pue) == (1.58, 1.0)


def test_the_specs_terms_go_first() -> None:
    """Purchase, life time, electricity, PUE, hosting and the share of the hours in use."""
    hardware = CATALOGUE.find("l4")
    assert hardware is not None
    price = CATALOGUE.owned(
        hardware,
        terms(
            purchase="$2500",
            lifetime="4y",
            electricity="$0.2/kWh",
            pue=1.2,
            hosting="$73/month",
            utilization="50%",
        ),
    )
    assert price is not None
    assert price.usd_per_hour == pytest.approx(2_500 / (4 * 8760) / 0.5 + 0.1 + 0.072 * 1.2 * 0.2)
    assert price.source == "pricing.owned"
    assert "in use 50% of the time" in price.notes


def test_a_device_without_a_purchase_price_needs_one_in_the_spec() -> None:
    """No book knows what an L4 costs to buy."""
    hardware = CATALOGUE.find("l4")
    assert hardware is not None
    assert CATALOGUE.price("l4", None, "owned") is None
    assert CATALOGUE.owned(hardware, terms(lifetime="5y")) is None
    assert CATALOGUE.owned(hardware, terms(purchase="$2500")) is not None


def test_some_terms_leave_the_others_to_the_book() -> None:
    """Five years of use, everything else as the book has it."""
    hardware = CATALOGUE.find("h100-sxm")
    assert hardware is not None
    price = CATALOGUE.owned(hardware, terms(lifetime="5y"))
    assert price is not None
    assert price.usd_per_hour == pytest.approx(30_000 / (5 * 8760) + 0.7 * 1.58 * 0.1249)
