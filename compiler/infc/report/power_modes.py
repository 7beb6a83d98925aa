"""How near power modes come to a cap that none meets, in words."""

from infc.ir.plan import NearestMode
from infc.plan.words import counted


def mode_words(mode: NearestMode) -> str:
    """Which mode it is, what is best about it, and what it misses."""
    which = [words for is_it, words in ((mode.is_lowest, "draws least"), (mode.is_nearest, "comes nearest")) if is_it]
    devices = "" if mode.devices == 1 else f" on {counted(mode.devices, 'device')}"
    place = f"{mode.power_mode} of {mode.hardware_id}{devices}"
    return f"{place} {' and '.join(which)} ({mode.candidate}): {', '.join(mode.misses)}"
