"""The prices of a device on the terms of a spec."""

from dataclasses import replace

from infc.ir.hardware import Hardware
from infc.ir.problem import HardwareOption
from infc.ir.spec import Spec
from infc.resolve.jetson_setup import jetson_setup
from infc.resolve.targets import Catalogue


def priced_option(spec: Spec, catalogue: Catalogue, hardware: Hardware) -> HardwareOption:
    """The device with the prices that apply to it, and as a Jetson module what the spec says of it.

    Without a price where no book has any on these terms. Commitment mixed falls back to what is known: an on-demand
    baseline where no reserved price is, an on-demand burst where no spot price is.
    """
    return replace(_priced(spec, catalogue, hardware), jetson=jetson_setup(spec, hardware))


def _priced(spec: Spec, catalogue: Catalogue, hardware: Hardware) -> HardwareOption:
    pricing = spec.pricing
    if pricing.commitment == "owned" and pricing.owned is not None and pricing.provider in (None, "owned"):
        return HardwareOption(hardware=hardware, price=catalogue.owned(hardware, pricing.owned))
    price = catalogue.price(hardware.id, pricing.provider, pricing.commitment)
    if pricing.commitment != "mixed" or price is None or price.ownership is not None:
        return HardwareOption(hardware=hardware, price=price)
    reserved = catalogue.price(hardware.id, pricing.provider, pricing.baseline or "1y")
    spot = catalogue.price(hardware.id, pricing.provider, "spot") if pricing.burst == "spot" else None
    if reserved is None or reserved.ownership is not None:
        reserved = price
    return HardwareOption(
        hardware=hardware, price=price, reserved=reserved, burst=spot if spot and spot.commitment == "spot" else None
    )
