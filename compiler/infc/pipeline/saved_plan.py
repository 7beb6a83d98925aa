"""Saved plans: what `infc plan --format json --out FILE` writes of a review, and how a compile holds to it.

A saved plan is never trusted to say what to build: the compile plans again and refuses where that comes to something
else than what the file says was reviewed.
"""

from infc.pipeline.changes import Review
from infc.pipeline.reviewed import reviewed_to_json
from infc.report.change_json import change_set_to_json, change_summary
from infc.report.plan_json import ChangeDocument


def saved_document(review: Review) -> ChangeDocument:
    """What the JSON report of a review holds beside the decisions."""
    keys = change_set_to_json(review.changes) | {"deployments": [reviewed_to_json(each) for each in review.deployments]}
    return ChangeDocument(keys=keys, summary=change_summary(review.changes))
