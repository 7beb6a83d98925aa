"""The planner.

Enumerate candidates, predict them by simulation, choose the best that holds every constraint, explain it.
"""

from infc.plan.solve import solve

__all__ = ["solve"]
