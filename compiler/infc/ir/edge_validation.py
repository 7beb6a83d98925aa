"""What came of a release on one device: `infc validate BUNDLE ssh://DEVICE`."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from infc.ir.accuracy import Verdict
from infc.ir.edge_acceptance import EdgeAcceptance
from infc.ir.edge_release import EdgeRelease, EdgeTarget
from infc.ir.service_time import ServiceTimeProfile


class EdgeOutcome(StrEnum):
    """Where a device stands after a run of its agent, by the agent's exit code."""

    IN_SERVICE = "in service"
    CAN_BE_INSTALLED = "verified: it can be installed there"
    ROLLED_BACK = "rolled back to the release before"
    NOTHING_IN_SERVICE = "nothing is in service"
    NOT_SETTLED = "rolled back: the evidence did not suffice"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class EdgeValidation:
    """One run. `device` is its address, `code` the agent's exit code, `words` its last ones.

    `acceptance` is what the device measured; None where it did not come to that. `was_in_service`: nothing had to be
    done, and the acceptance is of when the release was put in service. `verdict` None: the release was not judged.
    `timing_cache` holds the kernel times of its build, where they were asked for.
    """

    device: str
    bundle: Path
    release: EdgeRelease
    target: EdgeTarget
    outcome: EdgeOutcome
    code: int
    verdict: Verdict | None
    words: tuple[str, ...] = ()
    acceptance: EdgeAcceptance | None = None
    was_in_service: bool = False
    service_time: ServiceTimeProfile | None = None
    timing_cache: bytes | None = None
