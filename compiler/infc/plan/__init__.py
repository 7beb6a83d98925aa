"""The planner: enumerate candidates, predict them by simulation, choose the best that holds, explain it.

`infc.plan.why` answers for single candidates.
"""

from infc.plan.solve import solve

__all__ = ["solve"]
