"""Plans of many specs: as those of each alone, whatever the processes, and remembered while nothing changes."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infc.pipeline.locks import Locks
from infc.pipeline.plan import plan_specs
from infc.pipeline.plan_cache import PlanCache, _prune
from infc.pipeline.plan_entries import plan_entries
from infc.pipeline.plan_inputs import PlanInputs, PlanOptions
from infc.pipeline.plan_many import plan_many
from infc.pipeline.plan_record import PlanRecord, record_from_json, record_to_json
from infc.pipeline.policies import Policies
from infc.pipeline.review import reviews
from infc.pipeline.spec_base import SpecBase
from infc.report.plan_fragments import joined_json, joined_markdown, joined_text
from infc.report.plan_json import render_plan_json
from infc.report.plan_markdown import render_plan_markdown
from infc.report.plan_text import render_plan_text

MODEL = Path(__file__).parents[2] / "specs/fashion-mnist/resnet8.onnx"
OPTIONS = PlanOptions(overlay=None, has_ladder=False)
SPEC = """model: {{onnx: model.onnx}}
slo: {{latency: {{p99: {limit}}}}}
workload: {{rate: {rate}, arrival: {arrival}}}
constraints: {{hardware: [{hardware}], precision: [fp16]}}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four specs in the current directory: two feasible, one with a Jetson target that is not, one invalid."""
    pytest.importorskip("onnx", reason="analysing a model needs the extra onnx")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    shutil.copy(MODEL, "model.onnx")
    Path("monday.csv").write_text("timestamp_s\n0\n0.1\n0.5\n", encoding="utf-8")
    arguments = [
        ("a", "20ms", "50/s", "poisson", "l4"),
        ("b", "20ms", "70/s", "{trace: monday.csv}", "l4, t4"),
        ("c", "1us", "70/s", "poisson", "l4"),
        ("d", "soon", "70/s", "poisson", "l4"),
    ]
    for name, limit, rate, arrival, hardware in arguments:
        text = SPEC.format(limit=limit, rate=rate, arrival=arrival, hardware=hardware)
        Path(f"{name}.infc.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def paths() -> list[Path]:
    """The specs of the current directory."""
    return sorted(Path().glob("*.infc.yaml"))


def plan(*specs: Path, has_cache: bool = True, processes: int = 1) -> list[PlanRecord]:
    """The records of the specs (all of the directory, if none is given)."""
    seen: list[int] = []
    records = plan_many(specs or paths(), OPTIONS, has_cache=has_cache, processes=processes, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(records)
    return records


def records_on_disk() -> list[Path]:
    """The files of the cache."""
    return sorted(Path(".infc/plans").glob("*.json"))


def mark(path: Path) -> None:
    """Change what a cached record says, as nothing but the cache can."""
    _, _, body = path.read_text(encoding="utf-8").partition("\n")
    document = json.loads(body)
    document["record"]["text"] = "MARKED"
    body = json.dumps(document)
    path.write_text(hashlib.sha256(body.encode()).hexdigest() + "\n" + body, encoding="utf-8")


def is_marked(record: PlanRecord) -> bool:
    """Whether a record came from a marked file."""
    return record.fragments.text == "MARKED"


def test_the_reports_are_those_of_the_specs_one_by_one(workspace: Path) -> None:
    """Text, JSON and Markdown, byte for byte, from the cache as well; diagnostics and status too."""
    locks, policies = Locks(), Policies()
    planned = list(plan_specs(paths()))
    entries = [
        entry
        for spec in planned
        for entry in plan_entries(spec, locks, reviews(spec, locks, policies, overlay=None, has_ladder=False))
    ]
    for records in (plan(), plan()):
        parts = [record.fragments for record in records]
        assert joined_json(parts) == render_plan_json(entries)
        assert joined_markdown(parts) == render_plan_markdown(entries)
        for color in (True, False):
            assert joined_text(parts, color=color) == render_plan_text(entries, color=color)
        assert [record.status for record in records] == [spec.status for spec in planned]
        assert [record.diagnostics for record in records] == [spec.diagnostics for spec in planned]
    assert json.loads(joined_json(parts))["summary"] == {
        "decisions": 4,
        "feasible": 2,
        "infeasible": 1,
        "invalid": 1,
    }
    assert len(records_on_disk()) == 3, "what is invalid is looked at again"


def test_processes_change_nothing(workspace: Path) -> None:
    """The same records in the same order from two processes, whether or not any is cached."""
    Path("c.infc.yaml").unlink()
    for number in range(6):
        text = SPEC.format(limit="30ms", rate=f"{10 + number}/s", arrival="poisson", hardware="l4")
        Path(f"e{number}.infc.yaml").write_text(text, encoding="utf-8")
    alone = plan(has_cache=False)
    assert not records_on_disk()
    assert plan(processes=2) == alone
    assert len(records_on_disk()) == 8
    Path("e3.infc.yaml").write_text(Path("a.infc.yaml").read_text(), encoding="utf-8")
    assert plan(processes=2)[6].fragments.text == alone[0].fragments.text.replace("a: ", "e3: ").replace(
        "a.inf", "e3.inf"
    )


def test_ctrl_c_ends_the_planning_processes(workspace: Path) -> None:
    """One line, exit code 130, no process left: the planning processes have groups of their own and are ended."""
    for number in range(40):
        text = SPEC.format(limit="30ms", rate=f"{10 + number}/s", arrival="poisson", hardware="l4, t4")
        Path(f"e{number}.infc.yaml").write_text(text, encoding="utf-8")
    # Two cores, so that processes are used: `infc plan` starts one on each core.
    script = (
        "import sys; from infc.pipeline import plan_many; plan_many.cores = lambda: 2; "
        "sys.argv = ['infc', 'plan', '.', '--no-cache']; from infc.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    workers: list[int] = []
    end_s = time.monotonic() + 240
    while len(workers) < 2:
        assert process.poll() is None
        assert time.monotonic() < end_s
        workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert errors.strip() == "infc: interrupted, nothing was left half-written"
    # One that was just being started is not known yet: it ends itself when it finds nobody to ask it anything.
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < end_s
        time.sleep(0.01)


def children(parent: int) -> list[int]:
    """The processes that a process started and that run Python by now."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in listed if b"plan_worker" in command_of(child)]


def command_of(process: str) -> bytes:
    """The command of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def touch(path: str) -> Callable[[], None]:
    """Give a file another time."""
    return lambda: os.utime(path, ns=(1, 1))


def append(path: str, text: str) -> Callable[[], None]:
    """Add to a file, or make one."""

    def change() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)

    return change


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [
        (lambda: None, True),
        (touch("model.onnx"), True),
        (touch("monday.csv"), True),
        (touch("b.infc.yaml"), True),
        (append("unrelated.csv", "x"), True),
        (append("b.infc.yaml", "# a comment\n"), False),
        (append("monday.csv", "0.7\n"), False),
        (lambda: Path("model.onnx").unlink(), False),
        (append("infc-policy.yaml", "rules: [{max_cost: $1/month, action: warn}]\n"), False),
        (append("infc-profiles/model-0123456789ab.json", "{}\n"), False),
        (append("targets/prices/mine.yaml", "# none\n"), False),
        (append("infc.lock", 'version = 1\n\n[[artifact]]\nspec = "b.infc.yaml"\n'), False),
    ],
)
def test_a_plan_is_remembered_until_an_input_changes(
    workspace: Path, change: Callable[[], None], is_kept: bool
) -> None:
    """A new time alone is no change; another spec's lock entry neither."""
    spec = Path("b.infc.yaml")
    plan(spec)
    (record,) = records_on_disk()
    mark(record)
    change()
    assert is_marked(plan(spec)[0]) == is_kept


def test_the_lock_entry_of_another_spec_is_no_change(workspace: Path) -> None:
    """A relocked spec does not make all others plan again."""
    Path("infc.lock").write_text('version = 1\n\n[[artifact]]\nspec = "z.infc.yaml"\nname = "z"\n', encoding="utf-8")
    spec, inputs = Path("b.infc.yaml"), PlanInputs(OPTIONS)
    before = inputs.key(spec, spec.read_bytes())
    append("infc.lock", '\n[[artifact]]\nspec = "y.infc.yaml"\nname = "y"\n')()
    assert PlanInputs(OPTIONS).key(spec, spec.read_bytes()) == before
    append("infc.lock", '\n[[artifact]]\nspec = "b.infc.yaml"\nname = "b"\n')()
    assert PlanInputs(OPTIONS).key(spec, spec.read_bytes()) != before


def test_options_are_inputs(workspace: Path) -> None:
    """A plan with a ladder, or with another catalogue, is another plan."""
    spec = Path("a.infc.yaml")
    options = [OPTIONS, PlanOptions(overlay=None, has_ladder=True), PlanOptions(overlay=workspace, has_ladder=False)]
    assert len({PlanInputs(each).key(spec, b"") for each in options}) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_text(hashlib.sha256(b"[]").hexdigest() + "\n[]"),
        lambda path: path.write_text(hashlib.sha256(b'{"files":[[]]}').hexdigest() + '\n{"files":[[]]}'),
    ],
)
def test_a_damaged_record_is_planned_again(workspace: Path, damage: Callable[[Path], object]) -> None:
    """And replaced."""
    spec = Path("a.infc.yaml")
    first = plan(spec)
    (path,) = records_on_disk()
    whole = path.read_bytes()
    damage(path)
    assert plan(spec) == first
    assert path.read_bytes() == whole


def test_writers_at_the_same_time_leave_a_whole_record(workspace: Path) -> None:
    """Readers see one of them."""
    spec = Path("a.infc.yaml")
    (record,) = plan(spec)
    key = PlanInputs(OPTIONS).key(spec, spec.read_bytes(), SpecBase().words())

    def write() -> None:
        cache = PlanCache(PlanInputs(OPTIONS))
        for _ in range(20):
            cache.keep(spec, key, (), record)
            assert cache.find(spec, key) == record

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert PlanCache(PlanInputs(OPTIONS)).find(spec, key) == record
    assert [path.name for path in Path(".infc/plans").iterdir()] == [f"{key}.json"]


def test_a_cache_that_cannot_be_written_is_done_without(workspace: Path) -> None:
    """A file stands where the folder should be."""
    Path(".infc").mkdir(exist_ok=True)
    Path(".infc/plans").write_text("in the way")
    assert plan(Path("a.infc.yaml"))[0].status == "feasible"


def test_old_records_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest stay, up to the limits."""
    for number in range(6):
        (tmp_path / f"{number}.json").write_text("x" * 10)
        os.utime(tmp_path / f"{number}.json", ns=(number, number))
    monkeypatch.setattr("infc.pipeline.plan_cache.MAX_RECORDS", 4)
    _prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{number}.json" for number in range(2, 6)]
    monkeypatch.setattr("infc.pipeline.plan_cache.MAX_BYTES", 25)
    _prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4.json", "5.json"]


def test_a_record_survives_the_file(workspace: Path) -> None:
    """With its diagnostics and where they stand."""
    for record in plan(Path("b.infc.yaml"), Path("d.infc.yaml"), has_cache=False):
        assert record_from_json(json.loads(json.dumps(record_to_json(record)))) == record
