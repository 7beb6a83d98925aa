"""Which price applies: by provider, by terms, and by default."""

import pytest

from infc.resolve.targets import Catalogue, load_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The built-in catalogue."""
    return load_catalogue(None)


def test_without_a_provider_the_cheapest_cloud_list_price_applies(catalogue: Catalogue) -> None:
    """L4: Google's list price, not the cheaper marketplace or spot offers."""
    price = catalogue.price("l4", None, "on-demand")
    assert price is not None
    assert (price.provider, price.sku, price.usd_per_hour) == ("gcp", "g2-standard-4", 0.708)
    assert not price.is_marketplace
    assert price.source
    assert price.date == "2026-09-06"


def test_a_named_provider_gives_its_cheapest_sku(catalogue: Catalogue) -> None:
    """AWS lists eight L4 instances; the smallest is the cheapest per device."""
    price = catalogue.price("l4", "aws", "on-demand")
    assert price is not None
    assert (price.sku, price.usd_per_hour) == ("g6.xlarge", 0.8048)


def test_prices_are_per_device_of_the_sku(catalogue: Catalogue) -> None:
    """An eight-GPU instance costs an eighth for each, and says that eight come together."""
    price = catalogue.price("a100-sxm-80gb", "aws", "on-demand")
    assert price is not None
    assert price.accelerators_per_unit == 8
    assert price.usd_per_hour == pytest.approx(27.44705 / 8, abs=1e-6)


def test_mixed_is_on_demand(catalogue: Catalogue) -> None:
    """The mixed commitment costs the on-demand price until the planner splits it."""
    assert catalogue.price("t4", "aws", "mixed") == catalogue.price("t4", "aws", "on-demand")


def test_reserved_prices_follow_the_published_discount(catalogue: Catalogue) -> None:
    """One year on AWS saves 32%, three years 48% (no upfront payment); the notes and both sources say so."""
    one, three = catalogue.price("t4", "aws", "1y"), catalogue.price("t4", "aws", "3y")
    assert one is not None
    assert three is not None
    assert one.usd_per_hour == pytest.approx(0.526 * 0.68)
    assert three.usd_per_hour == pytest.approx(0.526 * 0.52)
    assert "32%" in one.notes
    assert ";" in one.source


def test_spot_and_marketplace_only_when_asked(catalogue: Catalogue) -> None:
    """Spot by its terms, the marketplace by its name."""
    spot, market = catalogue.price("t4", "azure", "spot"), catalogue.price("l4", "marketplace", "on-demand")
    assert spot is not None
    assert market is not None
    assert spot.usd_per_hour == pytest.approx(0.149174)
    assert market.is_marketplace
    assert market.usd_per_hour == 0.5


def test_an_owned_device_costs_its_purchase_and_power(catalogue: Catalogue) -> None:
    """$1999 over three years and 60 W at 12.49 cents: the formula is in the notes, the hours are those of a year."""
    price = catalogue.price("jetson-agx-orin-64gb", None, "on-demand")
    assert price is not None
    assert price.commitment == "owned"
    assert price.usd_per_hour == pytest.approx(1999 / (3 * 8760) + 0.060 * 0.1249)
    assert "3 years" in price.notes
    assert "60 W" in price.notes


def test_owning_is_asked_for_by_terms_or_by_provider(catalogue: Catalogue) -> None:
    """An H100 can be rented or owned; only `owned` gives the amortised price."""
    owned = catalogue.price("h100-sxm", None, "owned")
    assert owned is not None
    assert owned.commitment == "owned"
    assert owned == catalogue.price("h100-sxm", "owned", "on-demand")
    assert catalogue.price("h100-sxm", None, "on-demand") != owned


def test_capacity_blocks_stand_in_where_nothing_else_is_listed(catalogue: Catalogue) -> None:
    """AWS lists no on-demand H200: the capacity block's price is used, and named as such."""
    price = catalogue.price("h200-sxm", None, "on-demand")
    assert price is not None
    assert price.commitment == "capacity-block"
    assert price.usd_per_hour == 5.4075


@pytest.mark.parametrize("id", ["a40", "cpu", "jetson-orin-nx-16gb"])
def test_no_price_is_an_answer(catalogue: Catalogue, id: str) -> None:
    """A device that no source prices has no price; none is made up."""
    assert catalogue.price(id, None, "on-demand") is None


def test_an_unknown_provider_is_named(catalogue: Catalogue) -> None:
    """A misspelt provider is an error with the nearest one."""
    problem = catalogue.unknown_provider("gpc", None)
    assert problem.id == "target-unknown-provider"
    assert problem.help is not None
    assert "gcp" in problem.help
