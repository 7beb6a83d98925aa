"""validation.json: what is written is read again, and what cannot be read says why."""

import json

import pytest

from infc.ir.arrival import BurstyArrival, ConstantArrival, DiurnalArrival, PoissonArrival, TraceArrival
from infc.validate.contract_json import from_json, to_json

from .bundles import contract


@pytest.mark.parametrize(
    "arrival",
    [
        ConstantArrival(),
        ConstantArrival(streams=4),
        PoissonArrival(),
        BurstyArrival(cv=2.5),
        DiurnalArrival(multipliers=(0.5, 1.5), period_s=3600.0, cv=2.0),
        TraceArrival(path="traffic/monday.csv", timestamps_s=(0.0, 0.5, 0.75)),
        TraceArrival(path="t.csv", timestamps_s=(0.0, 0.5), sizes={"prompt_tokens": (7, 9)}, starts_at_s=3600.0),
    ],
)
@pytest.mark.parametrize("is_gpu", [True, False])
def test_a_contract_survives_the_file(arrival, is_gpu):
    """A contract survives the file."""
    each = contract(limits_s={50.0: 0.01, 99.9: 0.05}, rate_rps=100, arrival=arrival, is_gpu=is_gpu, replicas=3)
    assert from_json(to_json(each)) == each
    assert to_json(from_json(to_json(each))) == to_json(each)


def test_a_replica_gets_its_share_of_the_peak():
    """A replica gets its share of the peak."""
    each = contract(limits_s={99.0: 0.05}, rate_rps=100, replicas=3)
    assert each.traffic.peak_rps == pytest.approx(300)
    assert each.replica_rps == pytest.approx(100)


def test_reported_percentiles_hold_those_of_the_objective():
    """Reported percentiles hold those of the objective."""
    assert contract(limits_s={99.9: 0.05}, rate_rps=1).percentiles == (50.0, 90.0, 95.0, 99.0, 99.9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format_version": "2.0"}, "2.0"),
        ({"traffic": None}, "wrong type"),
        ({"latency_limits_s": {"p99": "soon"}}, "soon"),
        ({"replicas": "many"}, "many"),
    ],
)
def test_a_file_that_is_no_contract_says_why(change, said):
    """A file that is no contract says why."""
    document = json.loads(to_json(contract(limits_s={99.0: 0.05}, rate_rps=100))) | change
    with pytest.raises(ValueError, match=said):
        from_json(json.dumps(document).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b"null"])
def test_other_files_are_refused(content):
    """Other files are refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - the texts differ by what is wrong
        from_json(content)
