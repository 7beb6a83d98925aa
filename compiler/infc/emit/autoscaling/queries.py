"""What the autoscaler reads: how many replicas the rate, the queue and the latency goals ask for."""

from collections.abc import Mapping

from infc.emit.autoscaling.decision import Decision
from infc.emit.kubernetes.served import Served
from infc.emit.monitoring.objectives import objectives_of
from infc.emit.monitoring.promql import number
from infc.emit.monitoring.rules import EVALUATION_S
from infc.emit.monitoring.scope import Scope
from infc.emit.monitoring.signals import signals_of

_BURN_WINDOW = "5m"
BURN = 2.0
"""How many times faster than allowed the budget of a latency goal is used up before one more replica is asked for."""


def wanted_replicas(served: Served, decision: Decision, scope: Scope) -> Mapping[str, str]:
    """Queries by reason; each gives one number, the replicas that it asks for. The highest of them counts.

    `rate` keeps what the load needs, so that an empty queue takes nothing away; it is a whole number, since the
    controller overlooks a tenth of what runs. `queue` adds replicas when requests
    wait although the rate is as planned: executions are slower than that. `latency` adds one more than there are while
    the goals are missed.
    """
    signals, found = signals_of(served, scope), decision.thresholds
    target, backlog = number(found.target.rate_rps), number(found.backlog)
    redundancy = f" + {decision.redundancy}" if decision.redundancy else ""
    queries = {
        "rate": f"ceil(({signals.requests}) / {target}){redundancy}",
        "queue": f"({signals.backlog}) / {backlog}",
    }
    burning = " + ".join(
        f"(avg_over_time(({signals.late[each.id]})[{_BURN_WINDOW}:{EVALUATION_S}s])"
        f" / (avg_over_time(({signals.judged[each.id]})[{_BURN_WINDOW}:{EVALUATION_S}s]) > 0)"
        f" > bool {number(min(BURN * each.budget, (1.0 + each.budget) / 2.0))} or vector(0))"
        for each in objectives_of(served)
        if each.goal is not None
    )
    if burning:
        queries["latency"] = f"({signals.replicas} + 1) * clamp_max({burning}, 1)"
    return queries
