"""What a quality shadow takes of a replica, in a sentence for the plan."""

from infc.ir.problem import Problem
from infc.ir.shadow import BUSY_SHARE, FOLDER_BYTES
from infc.perf.memory import shadow_memory
from infc.plan.site import Site

_GIB = 2.0**30


def shadow_comments(problem: Problem, site: Site, max_batch_size: int) -> tuple[str, ...]:
    """One sentence; none without a shadow, and where a device is served by something else than Triton."""
    goal = problem.shadow
    if goal is None or site.server != "triton":
        return ()
    gib = (shadow_memory(site.work, max_batch_size) + FOLDER_BYTES) / _GIB
    where = "counted above" if site.hardware.kind == "cpu" else "beside the GPU's, and not counted there"
    return (
        f"Quality shadow: one request in every {goal.one_in:,} is compared with the FP32 model, on the host's CPU,"
        f" after its answer. Capturing it takes that request up to {goal.capture_s * 1e3:.2g} ms; the others are not"
        f" touched. A replica needs about {gib:.2g} GiB of host memory for it ({where}) and at most"
        f" {BUSY_SHARE:.0%} of one core.",
    )
