"""What a quality shadow takes of a replica is part of its plan."""

from dataclasses import replace

from infc.ir.plan import Plan
from infc.ir.problem import Problem, ShadowGoal
from infc.plan import solve
from tests.plan.problems import T4, priced, problem

GOAL = ShadowGoal(one_in=1_000, min_agreement=0.99, tolerance=None, capture_s=0.0004)
CPU = replace(T4, id="cpu", kind="cpu", compute_capability=None, memory_bytes=64e9)


def planned(asked: Problem) -> Plan:
    """The plan of a feasible problem."""
    decision = solve(asked)
    assert isinstance(decision, Plan), decision
    return decision


def test_a_gpus_memory_is_the_same_and_the_hosts_is_told() -> None:
    """The reference runs on the host's CPU; nothing else of the plan changes."""
    asked = problem(options=(priced(T4, 0.5),))
    without, beside = planned(asked), planned(replace(asked, shadow=GOAL))
    assert beside.candidate == without.candidate
    assert beside.estimate == without.estimate
    (said,) = (each for each in beside.comments if each.startswith("Quality shadow"))
    assert "one request in every 1,000" in said
    assert "up to 0.4 ms" in said
    assert "GiB of host memory" in said
    assert not any("shadow" in each for each in without.comments)


def test_on_a_cpu_its_memory_counts() -> None:
    """The FP32 model once more, its activations, and two processes."""
    asked = problem(p99_ms=5000.0, peak_rps=1.0, options=(priced(CPU, 0.5),))
    without, beside = planned(asked), planned(replace(asked, shadow=GOAL))
    more = beside.estimate.memory.total_bytes - without.estimate.memory.total_bytes
    assert more > asked.model.parameter_elements * 4.0
    assert "counted above" in beside.comments[-1]
