"""The HTML page of a review: what a reviewer has to look at is planned again for its pictures, the rest is a table."""

import json
from pathlib import Path

from infc.ir.llm_measurement import LlmMeasurement
from infc.ir.measurement import Measurement
from infc.ir.plan import Plan
from infc.pipeline.changes import Review
from infc.pipeline.locks import Locks
from infc.pipeline.measurements import known_measurement
from infc.pipeline.plan import PlannedSpec, plan_specs
from infc.pipeline.plan_entries import plan_entries
from infc.pipeline.plan_inputs import PlanOptions
from infc.pipeline.policies import Policies
from infc.pipeline.review import reviews
from infc.report.plan_html import render_plan_html
from infc.report.plan_summary import ALL_IN_FULL, MOST_IN_FULL, Address, Comparison, Row, row_of_document
from infc.report.planned import PlannedEntry


def plan_page(review: Review, options: PlanOptions) -> str:
    """The page. Up to a dozen decisions are shown in full; of more those that ask for attention, as far as they fit.

    Raises:
        ToolError: a model must be analysed and the extra `onnx` is not installed.
    """
    sets = (review.changes,) if review.is_based else ()
    compared = Comparison(sets)
    found = [
        (record.path, [row_of_document(json.loads(text), compared) for text in record.fragments.json])
        for record in review.records
    ]
    count = sum(len(rows) for _, rows in found)
    paths: list[Path] = []
    others: list[Row] = []
    shown = 0
    for path, rows in found:
        is_asking = count <= ALL_IN_FULL or any(row.is_asking for row in rows)
        if is_asking and shown + len(rows) <= max(MOST_IN_FULL, len(rows)):
            paths.append(path)
            shown += len(rows)
        else:
            others += rows
    entries: list[PlannedEntry] = []
    measurements: dict[Address, Measurement | LlmMeasurement] = {}
    locks, policies = Locks(), Policies()
    for spec in plan_specs(paths, overlay=options.overlay, locked_digest=locks.model_digest):
        beside = reviews(spec, locks, policies, overlay=options.overlay, has_ladder=True)
        entries += plan_entries(spec, locks, beside)
        measurements |= _measurements(spec)
    return render_plan_html(entries, others=others, sets=sets, measurements=measurements)


def _measurements(spec: PlannedSpec) -> dict[Address, Measurement | LlmMeasurement]:
    """Load tests of a spec's decisions that this workspace remembers."""
    found: dict[Address, Measurement | LlmMeasurement] = {}
    for decided in spec.decisions:
        if isinstance(decided.decision, Plan):
            known = known_measurement(decided.problem, decided.decision, spec.loaded.workspace)
            if known is not None:
                found[(spec.loaded.name, decided.target)] = known
    return found
