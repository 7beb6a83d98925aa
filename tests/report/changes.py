"""Changes of deployments as values, for the tests of their reports."""

from infc.diag import Span
from infc.ir.change import (
    ChangedInput,
    ChangeSet,
    DeploymentChange,
    Effect,
    EmittedFile,
    Evidence,
    Figure,
)
from infc.ir.policy import PolicyAction, PolicyFinding, Threshold

DIGEST = f"sha256:{'8c1e' * 16}"


def figure(value: float, unit: str, evidence: Evidence = Evidence.ANALYTIC, spread: float = 0.2) -> Figure:
    """A prediction with an interval of that relative width."""
    return Figure(value=value, unit=unit, low=value * (1 - spread), high=value * (1 + spread), evidence=evidence)


def finding(
    action: PolicyAction, rule: str = "max_cost", *, because: str | None = "the budget of the team"
) -> PolicyFinding:
    """A threshold that a plan is beyond."""
    place = Span(path="infc-policy.yaml", line=4, column=3, end_line=4, end_column=12)
    threshold = Threshold(
        rule=rule, limit=1000.0, written="$1000/month", action=action, specs=None, because=because, span=place
    )
    return PolicyFinding(threshold=threshold, outcome="violated", predicted="$1,022/month")


REBUILT = DeploymentChange(
    name="resnet50",
    target="l4",
    spec="services/vision/resnet50.infc.yaml",
    action="rebuilt",
    status="feasible",
    inputs=(
        ChangedInput(
            kind="spec",
            path="slo.latency.p99",
            old="12ms",
            new="7ms",
            file="services/vision/resnet50.infc.yaml",
            line=12,
            column=17,
        ),
        ChangedInput(
            kind="prices", path="aws g6.xlarge", old="sha256:1a", new="sha256:2b", file="targets/prices/aws.yaml"
        ),
    ),
    effects=(
        Effect(id="precision", label="precision", old=Figure(value="fp16"), new=Figure(value="int8")),
        Effect(id="batching", label="batching", old=Figure(value="up to 16"), new=Figure(value="up to 8")),
        Effect(id="replicas", label="replicas", old=Figure(value=3), new=Figure(value=2)),
        Effect(
            id="p99",
            label="p99",
            old=figure(9.8, "ms", Evidence.MEASURED, 0.05),
            new=figure(6.4, "ms"),
            limit=7.0,
            is_met=True,
        ),
        Effect(
            id="accuracy",
            label="top1",
            old=Figure(value=76.1, unit="%", evidence=Evidence.MEASURED),
            new=Figure(value=75.8, unit="%", evidence=Evidence.MEASURED),
            limit=75.5,
            is_met=True,
        ),
        Effect(
            id="cost",
            label="cost",
            old=Figure(value=1533.0, unit="USD/month", evidence=Evidence.PRICE_BOOK),
            new=Figure(value=1022.0, unit="USD/month", evidence=Evidence.PRICE_BOOK),
        ),
    ),
    files=(EmittedFile(path="model_repository/resnet50/config.pbtxt", action="changed"),),
    is_pending=True,
    usd_per_month_before=1533.0,
    usd_per_month_after=1022.0,
    words=("the engine is built for NVIDIA L4 with TensorRT 10.16",),
)
ADDED = DeploymentChange(
    name="qwen3-8b",
    target="h100-nvl",
    spec="services/llm/qwen3.infc.yaml",
    action="added",
    status="feasible",
    inputs=(
        ChangedInput(
            kind="spec",
            path="metadata.name",
            old=None,
            new="qwen3-8b",
            file="services/llm/qwen3.infc.yaml",
            line=3,
            column=18,
        ),
    ),
    effects=(
        Effect(id="hardware", label="hardware", old=None, new=Figure(value="h100-nvl")),
        Effect(id="ttft-p95", label="TTFT p95", old=None, new=figure(410.0, "ms"), limit=500.0, is_met=True),
    ),
    usd_per_month_after=2190.0,
)
REMOVED = DeploymentChange(
    name="old-ocr",
    target="t4",
    spec="services/ocr.infc.yaml",
    action="removed",
    status="removed",
    usd_per_month_before=380.0,
)
INFEASIBLE = DeploymentChange(
    name="detector",
    target=None,
    spec="services/detector.infc.yaml",
    action="changed",
    status="infeasible",
    inputs=(
        ChangedInput(
            kind="spec",
            path="slo.latency.p99",
            old="20ms",
            new="1ms",
            file="services/detector.infc.yaml",
            line=9,
            column=9,
        ),
    ),
    usd_per_month_before=500.0,
    words=("slo.latency.p99 binds: from 1ms to 3.4ms would make it feasible (int8/l4)",),
)
UNCHANGED = tuple(
    DeploymentChange(
        name=f"stable-{index}",
        target="l4",
        spec=f"services/stable-{index}.infc.yaml",
        action="unchanged",
        status="feasible",
        usd_per_month_before=617.0,
        usd_per_month_after=617.0,
    )
    for index in range(4)
)


def change_set(*changes: DeploymentChange, base: str = "origin/main (1f2e3d4)") -> ChangeSet:
    """A set of them against a base."""
    return ChangeSet(
        base=base, digest=DIGEST, changes=tuple(sorted(changes, key=lambda each: (each.name, each.target or "")))
    )


def many(count: int) -> ChangeSet:
    """So many rebuilt deployments."""
    from dataclasses import replace

    return change_set(*(replace(REBUILT, name=f"encoder-{index:03d}") for index in range(count)), *UNCHANGED)
