"""Changes against the lock and against a git base: what changed, by which input and where, and to what effect."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infc.diag import DiagnosticError, ToolError
from infc.ir.change import ChangedInput, ChangeSet, DeploymentChange, Evidence
from infc.ir.interval import Interval
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.pipeline.base import Base
from infc.pipeline.changes import Review, change_set, concerned, review
from infc.pipeline.plan_inputs import PlanOptions
from infc.report.change_json import change_set_from_json, change_set_to_json
from infc.resolve.store import ProfileStore
from tests.pipeline.git_repository import MODEL, commit, git, lock, make_repository, replace_text, write_spec

OPTIONS = PlanOptions(overlay=None, has_ladder=False)
LOCK = Base()
MAIN = Base(revision="main")
FOLDERS = (Path("specs"),)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three locked specs on `main`; HEAD is on a branch of it."""
    pytest.importorskip("onnx", reason="a model file is opened with the extra onnx")
    folder = tmp_path_factory.mktemp("locked")
    with contextlib.chdir(folder):
        make_repository("a", "b", "c")
        lock()
        commit("main")
        git("checkout", "--quiet", "-b", "feature")
    return folder


@pytest.fixture
def repository(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder."""
    folder = tmp_path / "repository"
    shutil.copytree(locked, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def specs() -> list[Path]:
    """The specs of the current directory."""
    return sorted(Path("specs").rglob("*.infc.yaml"))


def reviewed(base: Base = MAIN) -> Review:
    """All specs beside the base."""
    return review(specs(), base, OPTIONS, folders=FOLDERS)


def changed(base: Base = MAIN) -> dict[str, DeploymentChange]:
    """The deployments that differ, by name."""
    return {each.label: each for each in reviewed(base).changes.changes if each.action != "unchanged"}


def planned(base: Base = MAIN) -> set[str]:
    """The names of the specs that were planned."""
    return {path.name.partition(".")[0] for path in concerned(specs(), base, OPTIONS)}


def spec_input(change: DeploymentChange) -> list[tuple[str, str | None, str | None, int | None]]:
    """The spec's paths that changed, with old and new value and line."""
    return [(each.path, each.old, each.new, each.line) for each in change.inputs if each.kind == "spec"]


@pytest.mark.parametrize("base", [LOCK, MAIN], ids=["lock", "git"])
def test_nothing_differs_where_nothing_changed(repository: Path, base: Base) -> None:
    """Every deployment is there, unchanged, with what it costs; nothing is planned where git knows."""
    found = reviewed(base)
    assert [each.action for each in found.changes.changes] == ["unchanged"] * 3
    assert not found.changes.has_changes
    assert found.changes.usd_per_month_before == found.changes.usd_per_month_after > 0
    assert len(found.records) == (3 if base == LOCK else 0)


@pytest.mark.parametrize("base", [LOCK, MAIN], ids=["lock", "git"])
def test_a_changed_line_is_found_with_its_values_and_its_place(repository: Path, base: Base) -> None:
    """The path, what stood there, what stands there and where; the effect on replicas, p99 and cost."""
    write_spec("b", rate="9000/s")
    (change,) = changed(base).values()
    assert (change.label, change.spec, change.status) == ("b @ l4", "specs/b.infc.yaml", "feasible")
    assert spec_input(change) == [("workload.rate", "50/s", "9000/s", 4)]
    assert {each.kind for each in change.inputs} == {"spec"}
    effects = {effect.id: effect for effect in change.effects}
    p99, cost = effects["p99"], effects["cost"]
    assert p99.limit == 20.0
    assert p99.is_met
    assert p99.old is not None
    assert p99.new is not None
    assert p99.new.evidence is Evidence.ANALYTIC
    assert p99.new.low is not None
    assert p99.new.high is not None
    assert p99.new.low <= float(p99.new.value or 0) <= p99.new.high
    assert cost.new is not None
    assert cost.new.evidence is Evidence.PRICE_BOOK
    assert "batching" in effects or "replicas" in effects


def test_what_a_sparse_checkout_leaves_out_is_not_gone(repository: Path) -> None:
    """Other teams' specs are not here and still in git: neither removed by a plan nor taken out of the lock."""
    git("update-index", "--refresh")  # git leaves out only what it knows to be unchanged
    git("sparse-checkout", "set", "--no-cone", "/*", "!specs/c.infc.yaml")
    assert [path.name for path in specs()] == ["a.infc.yaml", "b.infc.yaml"]
    before = Path("infc.lock").read_bytes()
    assert not changed(MAIN)
    assert not changed(LOCK)
    lock()
    assert Path("infc.lock").read_bytes() == before
    git("rm", "--quiet", "--cached", "--sparse", "specs/c.infc.yaml")
    assert [each.action for each in changed(MAIN).values()] == ["removed"]


def test_what_only_reads_differently_is_no_change(repository: Path) -> None:
    """Another unit, a comment, another order of keys: the same deployment, though the file differs."""
    path = write_spec("b", p99="0.02s")
    path.write_text("# the same\n" + path.read_text().replace("hardware: [l4], precision: [fp16]",
                    "precision: [fp16], hardware: [l4]"))  # fmt: skip
    assert not changed()
    assert planned() == {"b"}


@pytest.mark.parametrize("base", [pytest.param(LOCK, marks=pytest.mark.slow), MAIN], ids=["lock", "git"])
def test_specs_and_targets_come_and_go(repository: Path, base: Base) -> None:
    """What is gone is listed with what it cost; a target of a spec comes and goes by itself."""
    Path("specs/a.infc.yaml").unlink()
    write_spec("d")
    write_spec("b", more="deploy: {targets: [t4]}\n")
    found = changed(base)
    assert {label: each.action for label, each in found.items()} == {
        "a @ l4": "removed",
        "b @ l4": "changed",
        "b @ t4": "added",
        "d @ l4": "added",
    }
    gone = found["a @ l4"]
    assert (gone.status, gone.spec) == ("removed", "specs/a.infc.yaml")
    assert gone.usd_per_month_before
    assert gone.usd_per_month_after is None
    assert next(effect.id for effect in gone.effects if effect.old) == "hardware"
    assert spec_input(found["b @ l4"])[0][:3] == ("deploy.targets", None, "[t4]")
    lock()
    commit()
    write_spec("b")
    (change,) = [each for each in changed(Base(revision="HEAD")).values() if each.action == "removed"]
    assert change.label == "b @ t4"
    assert change.spec == "specs/b.infc.yaml"


def test_another_device_is_one_change(repository: Path) -> None:
    """Where the free choice moves to another device it is a rebuild, not one deployment less and one more."""
    write_spec("c", hardware="t4")
    (change,) = changed().values()
    assert (change.action, change.target, change.is_pending) == ("rebuilt", "t4", True)
    (hardware,) = [effect for effect in change.effects if effect.id == "hardware"]
    assert (hardware.old and hardware.old.value, hardware.new and hardware.new.value) == ("l4", "t4")
    assert [each.path for each in change.inputs] == ["constraints.hardware"]


def test_a_moved_spec_keeps_its_deployment(repository: Path) -> None:
    """A file under another path with the same name is the same deployment; the move is what changed."""
    Path("specs/team").mkdir()
    text = Path("specs/a.infc.yaml").read_text().replace("../model", "../../model")
    Path("specs/a.infc.yaml").unlink()
    Path("specs/team/a.infc.yaml").write_text(text)
    (change,) = changed().values()
    assert change.action == "changed"
    assert ("file", "specs/a.infc.yaml", "specs/team/a.infc.yaml", 1) in spec_input(change)


def test_what_cannot_be_planned_says_why(repository: Path) -> None:
    """An SLO out of reach comes with what binds and the nearest relaxation; an invalid spec with its first error."""
    write_spec("a", p99="1us")
    write_spec("b", p99="soon")
    found = changed()
    assert {label: each.status for label, each in found.items()} == {"a @ l4": "infeasible", "b": "invalid"}
    assert "slo.latency.p99" in found["a @ l4"].words[0]
    assert any("would do" in word for word in found["a @ l4"].words)
    assert found["b"].words[0].startswith("specs/b.infc.yaml:3:")
    assert reviewed().changes.usd_per_month_after == reviewed().changes.usd_per_month_before


def test_without_a_lock_the_base_is_planned_too(repository: Path) -> None:
    """A base that was never locked is compared by planning its text; what is untouched is not planned."""
    git("checkout", "--quiet", "main")
    Path("infc.lock").unlink()
    commit("no lock")
    git("checkout", "--quiet", "-b", "other")
    write_spec("b", rate="9000/s")
    (change,) = changed().values()
    assert spec_input(change) == [("workload.rate", "50/s", "9000/s", 4)]
    assert change.usd_per_month_before
    assert planned() == {"b"}


def test_against_the_lock_the_locked_text_is_looked_up_in_git(repository: Path) -> None:
    """HEAD's text where it is the locked one, else an older one; without git only that the spec changed is known."""
    write_spec("b", rate="60/s")
    commit()
    write_spec("b", rate="70/s")
    (change,) = changed(LOCK).values()
    assert spec_input(change) == [("workload.rate", "50/s", "70/s", 4)]
    shutil.rmtree(".git")
    (change,) = changed(LOCK).values()
    ((path, old, new, _),) = spec_input(change)
    assert path == ""
    assert old != new


TOUCHES: list[tuple[str, Callable[[], object], set[str]]] = [
    ("nothing", lambda: None, set()),
    ("a file that no spec names", lambda: Path("README.md").write_text("hello"), set()),
    ("a name that is no text", lambda: Path(os.fsdecode(b"specs/\xff \n.txt")).write_text("hello"), set()),
    ("a cache and bundles", lambda: build(), set()),
    ("the spec", lambda: write_spec("b", rate="51/s"), {"b"}),
    ("its model", lambda: Path("model/resnet8.onnx").write_bytes(MODEL.read_bytes() + b"\0"), {"a", "b", "c"}),
    ("another model beside it", lambda: Path("model/other.onnx").write_bytes(b"x"), set()),
    ("shared defaults", lambda: Path("specs/infc-defaults.yaml").write_text("objective: latency\n"), {"a", "b", "c"}),
    ("defaults of another folder", lambda: Path("model/infc-defaults.yaml").write_text("objective: energy\n"), set()),
    ("a policy", lambda: Path("infc-policy.yaml").write_text("rules: [{max_cost: $1/month, action: warn}]\n"),
     {"a", "b", "c"}),
    ("a profile of another model", lambda: Path("infc-profiles/accuracy-0123456789ab.json").write_text("{}\n"), set()),
    ("measurements", lambda: Path("infc-profiles/service-time-0123456789ab.json").write_text("{}\n"), {"a", "b", "c"}),
    ("the catalogue", lambda: write_prices("0.9"), {"a", "b", "c"}),
    ("the release in the lock", lambda: replace_text("infc.lock", "infc 0.", "infc 9."), {"a", "b", "c"}),
    ("one lock entry", lambda: replace_lock_entry("c"), {"c"}),
]  # fmt: skip


@pytest.mark.parametrize(("touch", "expected"), [each[1:] for each in TOUCHES], ids=[each[0] for each in TOUCHES])
def test_only_what_a_change_can_concern_is_planned(
    repository: Path, touch: Callable[[], object], expected: set[str]
) -> None:
    """What git knows to be as it was needs no plan; every doubt is planned."""
    touch()
    assert planned() == expected


def build() -> None:
    """What infc leaves behind, ignored by git."""
    for path in (Path("dist/a/README.md"), Path(".infc/models/model.json")):
        path.parent.mkdir(parents=True)
        path.write_text("built")


def write_prices(price: str) -> None:
    """A price book of the team's own."""
    Path("targets/prices").mkdir(parents=True, exist_ok=True)
    row = {
        "hardware": "l4",
        "sku": "rack-l4",
        "region": "here",
        "commitment": "on-demand",
        "usd_per_accelerator_hour": float(price),
        "accelerators": 1,
        "date": "2026-10",
        "source": "contract",
    }
    book = {
        "provider": "mine",
        "title": "Mine",
        "kind": "cloud",
        "sources": {"contract": "a contract"},
        "prices": [row],
    }
    Path("targets/prices/mine.yaml").write_text(json.dumps(book) + "\n")


@pytest.mark.slow
def test_another_price_is_told_with_its_book(repository: Path) -> None:
    """The row before and after, the file of the team's own catalogue, and what a month costs then."""
    write_prices("1.0")
    write_spec("a", more="pricing: {provider: mine}\n")
    lock()
    commit()
    write_prices("1.5")
    (change,) = changed(Base(revision="HEAD")).values()
    ((kind, path, old, new),) = [(each.kind, each.path, each.old, each.new) for each in change.inputs]
    assert (kind, path) == ("prices", "targets/prices/mine.yaml")
    assert (old or "").startswith("mine rack-l4 here on-demand 1 USD/h")
    assert (new or "").startswith("mine rack-l4 here on-demand 1.5 USD/h")
    assert change.action == "changed"
    assert change.usd_per_month_after == pytest.approx(1.5 * (change.usd_per_month_before or 0.0))


def replace_lock_entry(name: str) -> None:
    """Another prediction in one entry."""
    head, *blocks = Path("infc.lock").read_text().split("\n[[artifact]]\n")
    edited = [b.replace("utilization = 0", "utilization = 1") if f'name = "{name}"' in b else b for b in blocks]
    assert edited != blocks
    Path("infc.lock").write_text("\n[[artifact]]\n".join([head, *edited]))


def test_a_base_that_specs_extend_and_links_are_followed(repository: Path) -> None:
    """A change of a base concerns those that extend it; one of a file concerns a spec that names a link to it."""
    Path("specs/base.yaml").write_text("objective: latency\n")
    write_spec("a", more="extends: base.yaml\n")
    Path("linked").symlink_to("model/resnet8.onnx")
    Path("linked.onnx").symlink_to("model/resnet8.onnx")
    path = write_spec("b")
    replace_text(path, "../model/resnet8.onnx", "../linked.onnx")
    lock()
    commit()
    git("branch", "--force", "main", "HEAD")
    Path("specs/base.yaml").write_text("objective: energy\n")
    assert planned() == {"a"}
    Path("specs/base.yaml").write_text("objective: latency\n")
    assert planned() == set()
    Path("model/resnet8.onnx").write_bytes(MODEL.read_bytes() + b"\0")
    assert planned() == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("reference", "words", "help"),
    [
        ("-x", "is no git revision", "origin/main"),
        ("--output=x", "is no git revision", "origin/main"),
        ("", "is no git revision", "origin/main"),
        ("a\nb", "is no git revision", "origin/main"),
        ("nowhere", "git knows no commit nowhere", "fetch"),
        ("origin/main", "git knows no commit origin/main", "git fetch origin main"),
        ("HEAD:specs", "git knows no commit", "fetch"),
    ],
)
def test_a_base_that_is_none_is_refused(repository: Path, reference: str, words: str, help: str) -> None:
    """With what to do about it; nothing that starts with a hyphen reaches git."""
    with pytest.raises(ToolError, match=words) as refused:
        reviewed(Base(revision=reference))
    assert help in (refused.value.help or "")


@pytest.mark.slow
def test_a_shallow_clone_and_no_repository_are_told(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shallow clone needs its history, a folder without git has none."""
    write_spec("b", rate="60/s")
    commit()
    git("clone", "--quiet", "--depth=1", "--branch=feature", f"file://{repository}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    for reference in ("main", "HEAD~1"):
        with pytest.raises(ToolError) as refused:
            reviewed(Base(revision=reference))
        assert "fetch-depth: 0" in (refused.value.help or "")
    shutil.rmtree(".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    git("init", "--quiet", folder=tmp_path / "shallow")
    with pytest.raises(ToolError, match="git knows no commit"):
        reviewed()


def test_a_lock_with_conflict_markers_stops_the_review(repository: Path) -> None:
    """The error says what to do; nothing is compared with half a lock."""
    with Path("infc.lock").open("a") as file:
        file.write("<<<<<<< ours\n=======\n>>>>>>> theirs\n")
    for base in (LOCK, MAIN):
        with pytest.raises(DiagnosticError) as stopped:
            reviewed(base)
        assert [each.id for each in stopped.value.diagnostics] == ["lock-conflict"]
        assert stopped.value.exit_code == 4


def test_new_measurements_are_named_with_their_device(repository: Path) -> None:
    """Stored service times turn an estimate into a measurement; the review says which and of what."""
    digest = json.loads(Path("infc-profiles/model-af88a6f297ed.json").read_text())["digest"]
    points = tuple(
        ServiceTimePoint(batch_size=batch, axes={}, seconds=Interval.exact(4e-4 + 1e-4 * batch), executions=500)
        for batch in (1, 2, 4, 8, 16, 32, 64)
    )
    profile = ServiceTimeProfile(
        model_digest=digest,
        precision=Precision.FP16,
        hardware_id="l4",
        engine_kind="tensorrt",
        instances=1,
        points=points,
        environment={},
    )
    ProfileStore(root=Path(), cache=Path(".infc")).add_service_time(profile)
    for base in (LOCK, MAIN):
        found = changed(base)
        assert len(found) == 3
        change = found["a @ l4"]
        (new,) = [each for each in change.inputs if each.kind == "profiles"]
        assert new.new == "service times of l4 in fp16"
        assert (new.file or "").startswith("infc-profiles/service-time-")
        (p99,) = [effect for effect in change.effects if effect.id == "p99"]
        assert (p99.old and p99.old.evidence, p99.new and p99.new.evidence) == (Evidence.ANALYTIC, Evidence.MEASURED)


def test_the_input_that_leads_to_a_decision_is_told(repository: Path) -> None:
    """Of two changed lines the one that alone leads there is named, and the one that does nothing."""
    path = write_spec("b", rate="30000/s")
    replace_text(path, "latency: {p99: 20ms}", "latency: {p99: 21ms}")
    (change,) = changed().values()
    assert len(change.inputs) == 2
    assert change.words == (
        "workload.rate alone leads to this decision; slo.latency.p99 alone would have changed nothing",
    )


def test_a_change_set_survives_json(repository: Path) -> None:
    """What is written is read back as it was; its digest follows from inputs and decisions only."""
    write_spec("a", rate="9000/s")
    write_spec("b", p99="1us")
    Path("specs/c.infc.yaml").unlink()
    Path("infc-policy.yaml").write_text("rules: [{max_cost: $1/month, action: warn, because: money}]\n")
    changes = change_set(specs(), MAIN, OPTIONS, folders=FOLDERS)
    assert any(each.policy for each in changes.changes)
    document = json.loads(json.dumps(change_set_to_json(changes)))
    assert change_set_from_json(document) == changes
    again = change_set(specs(), MAIN, OPTIONS, folders=FOLDERS)
    assert again == changes
    write_spec("a", rate="9001/s")
    assert change_set(specs(), MAIN, OPTIONS, folders=FOLDERS).digest != changes.digest


def test_a_changed_policy_is_an_input_of_what_it_speaks_of(repository: Path) -> None:
    """The finding stands with the deployment, whose plan is as it was."""
    Path("infc-policy.yaml").write_text("rules: [{max_cost: $1/month, action: warn}]\n")
    found: ChangeSet = reviewed().changes
    assert not found.has_changes
    assert [[each.kind for each in change.inputs] for change in found.changes] == [["policy"]] * 3
    first: ChangedInput = found.changes[0].inputs[0]
    assert (first.file, first.line) == ("infc-policy.yaml", 1)
