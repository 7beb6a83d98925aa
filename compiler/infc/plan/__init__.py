"""The planner.

Enumerate candidates, predict them by simulation, choose the best that holds every constraint, explain it.
"""

from infc.plan.solve import solve
from infc.plan.why import Check, Why, why

__all__ = ["Check", "Why", "solve", "why"]
