"""How long a server takes to load its model, and how long its startup probe therefore waits."""

import math
from dataclasses import dataclass

READ_BYTES_PER_S = 100e6
"""How fast a model is read or fetched at the least.

Source: Amazon EBS documentation, gp3: a baseline of 125 MiB/s for every volume; less a fifth for what shares it.
"""
FACTOR = 3.0
"""A slower disk, a busy node and a cold page cache: a start that takes longer than this many times the usual hangs."""
LEAST_S = 60
_STEPS_S = (60, 120, 180, 300, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 10800, 14400)


@dataclass(frozen=True, kw_only=True)
class LoadTime:
    """Seconds from the start of a container until it can serve. `words` say what they rest on."""

    seconds: float
    words: str

    @property
    def budget_s(self) -> int:
        """How long a start may take before the container is started again: a round number of seconds.

        Rounded up to one of a few steps, so that another measurement seldom changes a manifest.

        >>> LoadTime(seconds=70, words="").budget_s, LoadTime(seconds=2, words="").budget_s
        (300, 60)
        """
        asked = max(LEAST_S, FACTOR * self.seconds)
        return next((step for step in _STEPS_S if step >= asked), math.ceil(asked / 3600) * 3600)


def load_time(
    *, measured_s: float | None, model_bytes: float, boot_s: float, least_s: float = 0.0, fetched_s: float = 0.0
) -> LoadTime:
    """The time that is known, or an estimate: the server's own start, and the model read once.

    Args:
        measured_s: seconds that a server took here until it was ready, None where none was measured.
        model_bytes: size of what it loads.
        boot_s: seconds of the server's own start, without a model.
        least_s: a floor for the estimate, where a server does more than read.
        fetched_s: what a start in a cluster has to fetch beside what was measured.

    >>> load_time(measured_s=None, model_bytes=3e9, boot_s=20).seconds
    50.0
    """
    if measured_s is not None:
        words = f"a start took {measured_s:.2g} s when it was measured"
        if fetched_s:
            words += f", and fetching {_size(model_bytes)} takes another {fetched_s:.0f} s"
        return LoadTime(seconds=measured_s + fetched_s, words=words)
    seconds = max(least_s, boot_s + model_bytes / READ_BYTES_PER_S)
    return LoadTime(
        seconds=seconds,
        words=f"no start was measured; {boot_s:g} s for the server and {_size(model_bytes)} at "
        f"{READ_BYTES_PER_S / 1e6:g} MB/s make about {boot_s + model_bytes / READ_BYTES_PER_S:.0f} s"
        + (f", and {least_s:.0f} s are granted" if seconds == least_s else ""),
    )


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.3g} GB" if size_bytes >= 1e9 else f"{math.ceil(size_bytes / 1e6)} MB"
