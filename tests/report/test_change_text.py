"""Changes as text: within 80 columns, inert, and every kind of change told apart."""

import click
import pytest
from syrupy.assertion import SnapshotAssertion

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
from infc.ir.policy import PolicyFinding, Threshold
from infc.report.change_json import ChangeFormatError, change_set_from_json, change_set_to_json
from infc.report.change_text import headline, render_changes_text

HOSTILE = "x\x1b[31m\x07|`$(id)`<script>\n\u202e"


def figure(value: float | str | None, unit: str = "", *, low: float | None = None, high: float | None = None) -> Figure:
    """A predicted figure."""
    evidence = Evidence.CHOSEN if isinstance(value, str) else Evidence.ANALYTIC
    return Figure(value=value, unit=unit, low=low, high=high, evidence=evidence)


def finding() -> PolicyFinding:
    """A threshold that is not kept."""
    span = Span(path="infc-policy.yaml", line=2, column=4, end_line=2, end_column=12)
    threshold = Threshold(
        rule="max_cost", limit=1000.0, written="$1000/month", action="fail", specs=None, because=None, span=span
    )
    return PolicyFinding(threshold=threshold, outcome="violated", predicted="$1,152/month")


def every_kind() -> ChangeSet:
    """A change of each kind, with effects of each."""
    rebuilt = DeploymentChange(
        name="encoder",
        target="l4",
        spec="services/search/encoder.infc.yaml",
        action="rebuilt",
        status="feasible",
        inputs=(
            ChangedInput(kind="spec", path="slo.latency.p99", old="12ms", new="7ms",
                         file="services/search/encoder.infc.yaml", line=12, column=3),
            ChangedInput(kind="spec", path="pricing.provider", old=None, new="aws",
                         file="services/infc-defaults.yaml", line=2, column=3),
            ChangedInput(kind="model", path="encoder.onnx", old="0a1b2c3d4e5f", new="5f4e3d2c1b0a"),
            ChangedInput(kind="toolchain", path="triton", old="24.09", new="24.10"),
        ),
        effects=(
            Effect(id="precision", label="precision", old=figure("fp16"), new=figure("int8")),
            Effect(id="p99", label="p99", old=figure(9.8, "ms"), new=figure(6.4, "ms", low=5.1, high=6.9),
                   limit=7.0, is_met=True),
            Effect(id="p99.9", label="p99.9", old=figure(11.0, "ms"), new=figure(9.4, "ms", low=5.1, high=16.9),
                   limit=10.0, is_met=True),
            Effect(id="accuracy", label="top1", old=figure(0.761), new=figure(0.748), limit=0.755, is_met=False),
            Effect(id="accuracy-drop", label="accuracy drop", old=None, new=figure(None, "%"), limit=1.0),
            Effect(id="cost", label="cost", old=figure(1533.0, "USD/month"), new=figure(12.5, "USD/month")),
            Effect(id="choice.kv_precision", label="kv precision of a long name", old=None, new=figure("fp8")),
        ),
        files=(EmittedFile(path="config.pbtxt", action="changed"), EmittedFile(path="a", action="added")),
        policy=(finding(),),
        is_pending=True,
        usd_per_month_before=1533.0,
        usd_per_month_after=1022.0,
        words=("slo.latency.p99 alone leads to this decision",),
    )  # fmt: skip
    added = DeploymentChange(
        name="chat", target="h100-sxm", spec="chat.infc.yaml", action="added", status="feasible",
        effects=(Effect(id="replicas", label="replicas", old=None, new=figure(2)),), is_pending=True,
        usd_per_month_after=2190.0,
    )  # fmt: skip
    removed = DeploymentChange(
        name="old-ocr", target="t4", spec="ocr.infc.yaml", action="removed", status="removed",
        effects=(Effect(id="cost", label="cost", old=figure(380.0, "USD/month"), new=None),),
        usd_per_month_before=380.0,
    )  # fmt: skip
    refused = DeploymentChange(
        name="tight", target=None, spec="tight.infc.yaml", action="changed", status="infeasible",
        usd_per_month_before=100.0, words=("cannot be planned: slo.latency.p99 stands in the way",),
    )  # fmt: skip
    same = DeploymentChange(
        name="z", target="l4", spec="z.infc.yaml", action="unchanged", status="feasible",
        usd_per_month_before=50.0, usd_per_month_after=50.0,
    )  # fmt: skip
    return ChangeSet(base="origin/main (1f2e3d4)", digest="sha256:0", changes=(rebuilt, added, removed, refused, same))


def hostile() -> ChangeSet:
    """Names and values that would steer a terminal, or are longer than it is wide."""
    long = "a" * 200
    changed = ChangedInput(kind="spec", path=HOSTILE, old=HOSTILE, new=long, file=HOSTILE, line=1, column=1)
    effect = Effect(id=long, label=HOSTILE, old=figure(HOSTILE), new=figure(long), limit=None)
    change = DeploymentChange(
        name=long, target=HOSTILE, spec=HOSTILE, action="changed", status="feasible", inputs=(changed,) * 12,
        effects=(effect,), words=(HOSTILE,),
    )  # fmt: skip
    return ChangeSet(base=HOSTILE, digest="sha256:0", changes=(change,))


def test_every_kind_of_change_reads_as_it_should(snapshot: SnapshotAssertion) -> None:
    """Symbol, inputs, effects with limit and evidence, files, policy and notes; then the counts, the SLO, the money."""
    assert render_changes_text(every_kind(), color=False) == snapshot


@pytest.mark.parametrize("changes", [every_kind(), hostile()], ids=["every kind", "hostile"])
def test_colors_change_nothing_and_lines_fit(changes: ChangeSet) -> None:
    """80 columns, but where one word alone is longer; without its colors it is the plain text."""
    plain = render_changes_text(changes, color=False)
    assert click.unstyle(render_changes_text(changes, color=True)) == plain
    assert all(len(line) <= 80 or " " not in line.strip() or "a" * 40 in line for line in plain.splitlines())
    assert all(c.isprintable() or c == "\n" for c in plain)


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["unchanged"], "Plan: no changes, 1 unchanged."),
        (["added", "added"], "Plan: 2 to add, 0 unchanged."),
        (["changed", "rebuilt", "removed"], "Plan: 2 to change, 1 to remove, 0 unchanged."),
    ],
)
def test_the_headline_counts(actions: list[str], expected: str) -> None:
    """What is not there is not said, but for what is unchanged."""
    changes = tuple(
        DeploymentChange(name="a", target="l4", spec="a", action=action, status="feasible")  # type: ignore[arg-type]
        for action in actions
    )
    assert headline(ChangeSet(base="", digest="", changes=changes)) == expected


@pytest.mark.parametrize("changes", [every_kind(), hostile()], ids=["every kind", "hostile"])
def test_json_brings_back_what_was_written(changes: ChangeSet) -> None:
    """Every field, both ways."""
    assert change_set_from_json(change_set_to_json(changes)) == changes


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("base",), 1),
        (("changes",), 5),
        (("changes", 0, "action"), "exploded"),
        (("changes", 0, "effects", 0, "new", "evidence"), "hearsay"),
        (("changes", 0, "inputs", 0, "line"), "twelve"),
        (("changes", 0, "usd_per_month"), None),
        (("changes", 0, "policy", 0, "span"), [1]),
    ],
)
def test_a_document_that_is_none_is_told(path: tuple[str | int, ...], value: object) -> None:
    """One error for all of them; nothing else is raised."""
    document: dict[str, object] = dict(change_set_to_json(every_kind()))
    place: object = document
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    with pytest.raises(ChangeFormatError):
        change_set_from_json(document)
