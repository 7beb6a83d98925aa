"""`deploy.shadow`: a share of live requests is compared with the unquantised model."""

from typing import Annotated

from pydantic import AfterValidator, Field

from infc.ir.spec.base import Fraction, SpecModel, custom_error


def _above_zero(value: float) -> float:
    if value <= 0:
        raise custom_error("spec-range", "nothing would be compared", help="write more than 0%, or leave shadow out")
    return value


_Share = Annotated[Fraction, AfterValidator(_above_zero)]


class Shadow(SpecModel):
    """A quality shadow: the reference runs on the host's CPU, behind the answers."""

    sample: _Share = Field(
        default=0.01,
        description="At most this share of the requests is compared: one in every N. Default: 1%.",
        examples=["1%", "0.2%"],
    )
    min_agreement: _Share = Field(
        default=0.99, description="Alert below this share of comparisons that agree, of any output. Default: 99%."
    )
    tolerance: _Share | None = Field(
        default=None,
        description="How far an output may lie from the reference's and still agree, as a share of its norm. "
        "Default: twice what 99% of the samples kept in the accuracy test, or by precision.",
        examples=["5%"],
    )
