"""What the exit code of the agent says of a release."""

from infc.ir.accuracy import Verdict
from infc.ir.edge_validation import EdgeOutcome

_OUTCOMES: dict[int, tuple[EdgeOutcome, Verdict | None]] = {
    0: (EdgeOutcome.IN_SERVICE, Verdict.PASS),
    40: (EdgeOutcome.ROLLED_BACK, Verdict.FAIL),
    41: (EdgeOutcome.NOTHING_IN_SERVICE, Verdict.FAIL),
    42: (EdgeOutcome.NOT_SETTLED, Verdict.INCONCLUSIVE),
}


def outcome_of(code: int) -> tuple[EdgeOutcome, Verdict | None]:
    """Where the device stands after an install, and the verdict; None: it did not come to one.

    Source: the exit codes of docs/edge-format.md.

    >>> outcome_of(40)
    (<EdgeOutcome.ROLLED_BACK: 'rolled back to the release before'>, <Verdict.FAIL: 'fail'>)
    >>> outcome_of(30)
    (<EdgeOutcome.REFUSED: 'refused'>, None)
    """
    return _OUTCOMES.get(code, (EdgeOutcome.REFUSED, None))
