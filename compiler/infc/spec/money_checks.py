"""Rules across fields about money and rolling updates."""

from collections.abc import Iterator

from infc.ir.spec import Spec
from infc.spec.findings import Finding


def pricing_terms_apply(spec: Spec) -> Iterator[Finding]:
    """Terms belong to the commitment that they are terms of."""
    pricing = spec.pricing
    terms = {"owned": ("owned", pricing.owned is not None)}
    terms |= {key: ("mixed", key in pricing.model_fields_set) for key in ("baseline", "burst")}
    for key, (commitment, is_set) in terms.items():
        if is_set and pricing.commitment != commitment:
            yield Finding(
                id="spec-pricing",
                paths=(f"pricing.{key}", "pricing.commitment"),
                message=f"`{key}` has no meaning with commitment {pricing.commitment}",
                help=f"write commitment: {commitment}, or remove `{key}`",
                is_about_key=True,
            )
    if pricing.owned is not None and pricing.commitment == "owned" and pricing.provider not in (None, "owned"):
        yield Finding(
            id="spec-pricing",
            paths=("pricing.provider", "pricing.owned"),
            message="owned devices have no provider",
            help="remove the provider, or the terms of owned devices",
        )
    if pricing.owned is not None and pricing.owned.utilization == 0:
        yield Finding(
            id="spec-range",
            paths=("pricing.owned.utilization",),
            message="devices that never work have no hour to charge",
            help="write the share of their hours in which they have work, such as 80%",
        )


def rollout_keeps_the_slo(spec: Spec) -> Iterator[Finding]:
    """A rolling update takes away no more replicas than may be lost, and moves at all."""
    rollout = spec.deploy.rollout
    if rollout is None:
        return
    lost = spec.constraints.redundancy
    if rollout.max_unavailable > lost:
        yield Finding(
            id="spec-rollout",
            paths=("deploy.rollout.max_unavailable", "constraints.redundancy"),
            message="an update takes away more replicas than may be lost with the SLO still met",
            label=f"redundancy is {lost}",
            help=f"set max_unavailable to at most {lost}, or redundancy to at least {rollout.max_unavailable}",
        )
    if rollout.max_surge == 0 and rollout.max_unavailable == 0:
        yield Finding(
            id="spec-rollout",
            paths=("deploy.rollout",),
            message="an update can neither add a replica nor take one away: it would never start",
            help="set max_surge to 1, or max_unavailable to 1 with redundancy: 1",
            is_about_key=True,
        )
    most = spec.constraints.max_accelerators
    if most is not None and lost < most <= lost + rollout.max_surge:
        yield Finding(
            id="spec-redundancy",
            paths=("deploy.rollout.max_surge", "constraints.max_accelerators", "constraints.redundancy"),
            message="redundancy and the update's surge leave no replica to serve",
            label=f"at most {most} accelerators are allowed, {lost} may be lost",
            help=f"set max_surge below {most - lost}, or allow more accelerators",
        )
