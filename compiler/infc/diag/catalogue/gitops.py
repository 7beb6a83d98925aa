"""Diagnostics about changes of a repository and their review."""

from infc.diag.kind import DiagnosticKind

GITOPS: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="change-effect",
        title="What a changed line does to a deployment",
        what="An input of a deployment differs from the base, and this is what follows from it.",
        why="Whoever reviews the line sees what it does to the decision, the promised latency and the cost.",
        example="resnet50 @ l4 is rebuilt: precision fp16 -> int8, p99 9.8 ms -> 6.4 ms of 7 ms, -$511/month",
        fix="Nothing is wrong. infc plan SPEC --base REF shows the same with every number.",
    ),
    DiagnosticKind(
        id="change-infeasible",
        title="A change that leaves a promise broken",
        what="After the change a deployment has no plan that meets its objective, or a figure is beyond its limit.",
        why="A deployment that cannot keep its promise must not be merged as if it did.",
        example="detector cannot meet its objective: slo.latency.p99 binds",
        fix="Relax what binds, or allow more. infc plan SPEC lists the smallest changes that make it feasible.",
    ),
    DiagnosticKind(
        id="change-invalid",
        title="A change that leaves a spec without a plan",
        what="After the change a spec is invalid, or this version cannot plan it.",
        why="What cannot be planned cannot be compiled either.",
        example="detector has no plan: the spec is invalid",
        fix="infc check SPEC names every error with its line and fix.",
    ),
    DiagnosticKind(
        id="change-estimate",
        title="A promise that rests on an estimate",
        what="What the change promises is predicted, not measured on the device.",
        why="A prediction has an interval; a reviewer should know which promises nobody has measured yet.",
        example="resnet50 @ l4: p99 6.4 ms of 7 ms is analytic",
        fix="infc validate on the device measures it, and infc calibrate makes later plans rest on measurements.",
    ),
    DiagnosticKind(
        id="report-plan-file",
        title="A file that is no saved plan",
        what="The file is not what infc plan --format json writes, or it was compared with nothing.",
        why="A report of half a plan would look like a report of a whole one.",
        example="plan.json is not JSON: line 1, column 1",
        fix="Write it with infc plan SPEC --base REF --format json --out plan.json.",
    ),
    DiagnosticKind(
        id="report-plan-version",
        title="A saved plan of another version",
        what="The file has a format version that this infc does not read.",
        why="Fields may mean something else there; a report would be guesswork.",
        example="plan.json has format version 2.0, and this infc reads 1.x",
        fix="Use the infc that wrote it, or plan again with this one.",
    ),
)
