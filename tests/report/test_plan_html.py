"""The HTML report of plans: one file that needs nothing else, and shows what the plans say."""

from dataclasses import replace

import pytest

from infc.ir.change import ChangedInput, ChangeSet, DeploymentChange, Effect, Evidence, Figure
from infc.ir.plan import Infeasible, Plan
from infc.plan import solve
from infc.report.plan_html import render_plan_html
from infc.report.plan_summary import ALL_IN_FULL, MOST_IN_FULL
from infc.report.planned import PlannedEntry
from tests.plan.problems import LIMITS, problem
from tests.report.html_page import checked, contrast, palettes
from tests.report.test_measurement import MEASURED

HOSTILE = (
    "<script>alert(1)</script>",
    '"><b onclick="x()">',
    "' onmouseover='x()",
    "{{ 7*7 }}{% raw %}",
    "</style><i>",
)


def entry(*, name: str = "test", p99_ms: float = 25.0) -> PlannedEntry:
    """A decision as the command line hands it over."""
    asked = problem(p99_ms=p99_ms, limits=replace(LIMITS, redundancy=1))
    decision = solve(asked)
    return PlannedEntry(
        name=name,
        path="test.infc.yaml",
        target=None,
        status="feasible" if isinstance(decision, Plan) else "infeasible",
        problem=asked,
        decision=decision,
        changes=({"path": "replicas", "old": "2", "new": "3"},),
        diagnostics=(),
    )


@pytest.fixture(scope="module")
def feasible() -> PlannedEntry:
    """A feasible decision."""
    return entry()


@pytest.fixture(scope="module")
def missed() -> PlannedEntry:
    """An infeasible one."""
    return entry(name="missed", p99_ms=0.2)


def change(
    name: str, action: str, before: float | None, after: float | None, target: str | None = None
) -> DeploymentChange:
    """A deployment before and after, with a cause and an effect."""
    return DeploymentChange(
        name=name,
        target=target,
        spec=f"{name}.infc.yaml",
        action=action,  # type: ignore[arg-type]
        status="removed" if action == "removed" else "feasible",
        inputs=(ChangedInput(kind="spec", path="slo.latency.p99", old="20ms", new="25ms", file="a.yaml", line=14),),
        effects=(
            Effect(
                id="p99",
                label="p99",
                old=Figure(value=9.8, unit="ms", evidence=Evidence.MEASURED),
                new=Figure(value=6.4, unit="ms", low=6.1, high=6.7, evidence=Evidence.CALIBRATED),
                limit=25.0,
                is_met=True,
            ),
        ),
        usd_per_month_before=before,
        usd_per_month_after=after,
        words=("The engine is built again.",),
    )


def test_a_page_stands_by_itself_and_can_be_read_without_seeing_it(
    feasible: PlannedEntry, missed: PlannedEntry
) -> None:
    """Structure, names and the content policy hold for one decision and for several."""
    checked(render_plan_html([feasible]))
    checked(render_plan_html([feasible, missed, replace(feasible, name="other")]))


def test_a_feasible_plan_shows_its_choice_and_every_picture(feasible: PlannedEntry) -> None:
    """The candidate is there; each picture has a title, a sentence and its numbers; one point is the chosen one."""
    page = checked(render_plan_html([feasible]))
    assert isinstance(feasible.decision, Plan)
    assert feasible.decision.candidate.label in page.text
    titles = (
        "Each objective as a share of its limit", "Where the time of a mean request goes",
        "Latency distribution at the peak", "Cost against p99", "Load against what it sustains", "Memory of a device",
    )  # fmt: skip
    assert all(title in page.text for title in titles)
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(titles) == page.text.count("Numbers of: ")
    assert page.source.count('<path class="mark chosen" transform') == 1


def test_what_is_not_there_is_said_in_a_line(feasible: PlannedEntry) -> None:
    """Without a measurement, an accuracy goal and a lock the page says what would provide their pictures."""
    text = checked(render_plan_html([feasible])).text
    assert "Measured latency: Nothing measured on the planned device is at hand: infc compile SPEC --validate" in text
    assert "Accuracy by precision: The spec has no accuracy: section" in text
    assert "Cost before and after: infc.lock holds no other deployment" in text


def test_a_measurement_stands_beside_the_prediction(feasible: PlannedEntry) -> None:
    """Percentiles, the curve, the layers and the answered rate of a load test are drawn."""
    measured = replace(MEASURED, curve_s=((50.0, 0.0064), (90.0, 0.011), (99.0, 0.0171)))
    page = checked(render_plan_html([feasible], measurements={("test", None): measured}))
    assert "Measured latency:" not in page.text
    assert 'class="line measured"' in page.source
    assert page.source.count('class="dot measured"') == 3
    assert "measured: 7.1 ms" in page.text
    assert "17.1 ms (16.2 ms or more)" in page.text


def test_an_infeasible_plan_shows_what_binds_what_would_do_and_what_misses(missed: PlannedEntry) -> None:
    """The binding constraint, every relaxation, and the places that miss the SLO on the picture."""
    assert isinstance(missed.decision, Infeasible)
    page = checked(render_plan_html([missed]))
    assert "slo.latency.p99" in page.text
    assert all(relaxation.needed in page.text for relaxation in missed.decision.relaxations)
    assert 'class="mark missed"' in page.source
    assert 'class="mark chosen"' not in page.source


def test_hostile_names_stay_text(feasible: PlannedEntry) -> None:
    """Names, paths, targets, changes and notes of a measurement come out as they are, and do nothing."""
    name, path, target, base, note = HOSTILE
    sets = (ChangeSet(base=base, digest=base, changes=(change(name, "changed", 5.0, 4.0, target),)),)
    hostile = replace(feasible, name=name, path=path, target=target)
    measured = replace(MEASURED, notes=HOSTILE, name=note)
    page = checked(render_plan_html([hostile, feasible], sets=sets, measurements={(name, target): measured}))
    assert all(words in page.text for words in (name, path, target, base))
    assert not page.all("b", "i")
    assert not [attributes for _, attributes in page.elements if "onclick" in attributes or "onmouseover" in attributes]


def test_the_same_plans_give_the_same_bytes(feasible: PlannedEntry) -> None:
    """The page is deterministic."""
    assert render_plan_html([feasible]) == render_plan_html([feasible])


def test_a_change_shows_causes_effects_and_cost(feasible: PlannedEntry) -> None:
    """Which input changed and where, each figure before and after with its evidence, and both costs."""
    assert isinstance(feasible.decision, Plan)
    target = feasible.decision.candidate.target
    sets = (
        ChangeSet(
            base="origin/main (1f2e3d4)", digest="sha256:0", changes=(change("test", "rebuilt", 900.0, 700.0, target),)
        ),
    )
    text = checked(render_plan_html([feasible], sets=sets)).text
    for words in ("What changed against origin/main (1f2e3d4)", "spec slo.latency.p99", "a.yaml:14", "9.8 ms",
                  "6.4 ms (6.1 ms .. 6.7 ms)", "of 25 ms",
        "measured, now calibrated", "before: $900/month", "after: $700/month",
                  "-$200/month", "The engine is built again."):  # fmt: skip
        assert words in text, words


def test_of_many_decisions_those_that_changed_are_in_full(feasible: PlannedEntry, missed: PlannedEntry) -> None:
    """The rest is a folded table; removed deployments have a row; the page stays small."""
    quiet = [replace(feasible, name=f"quiet-{number}", changes=()) for number in range(ALL_IN_FULL)]
    changes = [change(each.name, "unchanged", 10.0, 10.0) for each in quiet]
    changes += [change("gone", "removed", 380.0, None), change("test", "changed", 900.0, 1100.0)]
    sets = (ChangeSet(base="infc.lock", digest="sha256:0", changes=tuple(changes)),)
    page = checked(render_plan_html([*quiet, feasible, missed], sets=sets))
    assert [each["aria-label"] for each in page.all("article")] == ["test", "missed"]
    assert "2 of 15 are shown in full" in page.text
    assert f"{len(quiet)} more, with nothing to look at" in page.text
    assert "Against infc.lock: 1 changed, 1 removed, 12 unchanged." in page.text
    assert "Cost of all deployments before and after" in page.text
    assert "gone" in page.text
    assert len(page.source) < 200_000


def test_a_page_never_shows_more_in_full_than_can_be_read(feasible: PlannedEntry) -> None:
    """Changed decisions beyond the limit are rows of the open table, and the page says so."""
    invalid = replace(feasible, status="invalid", decision=None, problem=None)
    page = checked(render_plan_html([replace(invalid, name=f"n{number}") for number in range(MOST_IN_FULL + 3)]))
    assert len(page.all("article")) == MOST_IN_FULL
    assert "3 more of these are in the table only." in page.text


def test_colors_keep_their_contrast_in_both_schemes(feasible: PlannedEntry) -> None:
    """Texts have 4.5 to 1 and what is drawn 3 to 1 against card and page. Source: WCAG 2.2, 1.4.3 and 1.4.11."""
    light, dark = palettes(render_plan_html([feasible]))
    assert light.keys() == dark.keys()
    for colors in (light, dark):
        for name in ("ink", "soft", "ok", "uncertain", "missed", "accent"):
            assert min(contrast(colors[name], colors[ground]) for ground in ("card", "paper")) >= 4.5, name
        for name in ("muted", "measured", "queue", "copy-in", "copy-out", "free"):
            assert contrast(colors[name], colors["card"]) >= 3.0, name
