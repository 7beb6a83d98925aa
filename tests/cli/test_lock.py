"""`infc lock` and `infc diff` as their users see them, on a real spec and model in a repository of their own."""

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infc.cli import app
from infc.ir.precision import Precision
from infc.lock import read_lock, update_lock
from infc.lock.schema import lock_schema
from infc.lock.values import LockedEngine, LockEntry
from infc.report.diff_json import diff_schema
from infc.report.lock_check import lock_check_schema
from infc.resolve.targets import data_directory

EXAMPLE = data_directory("targets").parent / "specs" / "fashion-mnist"
FILES = ("fashion-mnist.infc.yaml", "resnet8.onnx", "test-2000.npz", "calibration-256.npz")
SPEC = Path("specs/fashion-mnist.infc.yaml")

pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are part of a checkout, not of a wheel")

Infc = Callable[..., tuple[int, str, str]]


def git(*arguments: str) -> None:
    """Run git without the user's settings."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], env=environment, check=True, capture_output=True)


@pytest.fixture
def infc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Infc:
    """Run a command in a repository that holds the Fashion-MNIST example: exit code, stdout, stderr."""
    (tmp_path / "specs").mkdir()
    for name in FILES:
        shutil.copy(EXAMPLE / name, tmp_path / "specs" / name)
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = app.main(list(arguments), standalone_mode=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def edit(old: str, new: str) -> None:
    """Change the spec."""
    text = SPEC.read_text()
    assert old in text
    SPEC.write_text(text.replace(old, new, 1))


def locked() -> dict[str, LockEntry]:
    """The entries on disk by target."""
    lock, problems = read_lock(Path("infc.lock"))
    assert problems == ()
    assert lock is not None
    return {entry.target: entry for entry in lock.entries}


def test_lock_is_written_once_and_then_holds(infc: Infc) -> None:
    """A first lock marks engines as pending; checking it needs neither weights nor data; a second changes nothing."""
    code, out, err = infc("lock", "--check")
    assert code == 4
    assert "missing   fashion-mnist" in out
    code, out, err = infc("lock")
    assert (code, err) == (0, "")
    assert "+ fashion-mnist @ cpu" in out
    text = Path("infc.lock").read_text()
    Draft202012Validator(lock_schema()).validate(tomllib.loads(text))
    entries = locked()
    assert "cpu" in entries
    assert len(entries) == 2
    assert all(entry.engine.is_pending and entry.engine.key is None for entry in entries.values())
    assert all((Path(entry.profile or "")).is_file() for entry in entries.values())
    for name in FILES[1:]:
        Path("specs", name).unlink()
    shutil.rmtree(".infc")
    assert infc("lock", "--check")[:2] == (0, "infc.lock: 2 deployments, up to date\n")
    assert infc("lock")[:2] == (0, "Diff: 2 unchanged.\n")
    assert Path("infc.lock").read_text() == text
    assert sorted(path.name for path in Path().iterdir()) == [".git", "infc-profiles", "infc.lock", "specs"]


def test_layout_and_comments_of_a_spec_do_not_count(infc: Infc) -> None:
    """Only the meaning of a spec is locked."""
    infc("lock")
    edit("slo:", "# the promise\nslo:   ")
    SPEC.write_bytes(SPEC.read_bytes().replace(b"\n", b"\r\n"))
    assert infc("lock", "--check")[0] == 0


def test_check_says_which_input_changed(infc: Infc) -> None:
    """A changed spec, model or data file fails the check with its name; the JSON validates."""
    infc("lock")
    edit("p99: 80ms", "p99: 20ms")
    with Path("specs/test-2000.npz").open("ab") as file:
        file.write(b"\0")
    code, out, _ = infc("lock", "--check")
    assert code == 4
    assert "stale     fashion-mnist @ cpu  specs/fashion-mnist.infc.yaml: spec, dataset changed" in out
    assert "infc compile" in out
    code, out, _ = infc("lock", "--check", "--format", "json", "specs")
    assert code == 4
    report = json.loads(out)
    Draft202012Validator(lock_check_schema()).validate(report)
    assert report["locks"][0]["path"] == "infc.lock"
    assert report["summary"]["stale"] == 2


def built(entry: LockEntry) -> LockEntry:
    """The entry as a compile would leave it."""
    toolchain = {"onnxruntime": "1.24.0"}
    engine = replace(entry.engine, key="ab" * 32, is_pending=False, toolchain=toolchain)
    return replace(entry, engine=engine, files={"launch.sh": "sha256:" + "1" * 64})


def test_engine_stays_until_what_it_is_made_from_changes(infc: Infc) -> None:
    """A new SLO keeps a built engine but not the emitted files; new axes or quantisation make it pending."""
    infc("lock")
    update_lock(Path("infc.lock"), [built(entry) for entry in locked().values()])
    before = locked()
    assert infc("lock")[1] == "Diff: 2 unchanged.\n"
    assert locked() == before
    edit("floor: 0.90", "floor: 0.89")
    code, out, _ = infc("lock")
    assert code == 0
    assert "~ fashion-mnist @ cpu" in out
    assert all(entry.engine == before[target].engine for target, entry in locked().items())
    assert all(entry.files == {} for entry in locked().values())
    edit("method: minmax", "method: entropy")
    code, out, _ = infc("lock")
    engines: dict[Precision, LockedEngine] = {entry.choice.precision: entry.engine for entry in locked().values()}
    assert engines[Precision.INT8].is_pending
    assert "inputs           spec, build_settings" in out


def test_nothing_is_written_when_a_spec_has_no_plan_or_is_wrong(infc: Infc) -> None:
    """An SLO that cannot be met exits 3, a wrong spec 5, a damaged lock 4; the lock stays as it is."""
    infc("lock")
    text = Path("infc.lock").read_text()
    edit("{p50: 10ms, p99: 80ms}", "{p99: 1us}")
    code, _, err = infc("lock")
    assert code == 3
    assert "no plan that meets its SLO" in err
    edit("{p99: 1us}", "{p99: 1}")
    code, _, err = infc("lock")
    assert code == 5
    assert "specs/fashion-mnist.infc.yaml:12" in err
    assert Path("infc.lock").read_text() == text
    Path("infc.lock").write_text(text + "<<<<<<< main\n")
    for command in (("lock",), ("lock", "--check"), ("diff",), ("diff", "infc.lock")):
        code, _, err = infc(*command)
        assert code == 4
        assert "error[lock-conflict]" in err
    assert Path("infc.lock").read_text() == text + "<<<<<<< main\n"


def test_deployments_without_a_spec_and_names_used_twice_are_found(infc: Infc) -> None:
    """A removed spec leaves an orphan that `infc lock` removes; two specs of one name are an error."""
    infc("lock")
    shutil.copy(SPEC, "specs/copy.infc.yaml")
    code, _, err = infc("lock", "--check")
    assert code == 5
    assert "error[lock-duplicate-name]" in err
    Path("specs/copy.infc.yaml").unlink()
    SPEC.unlink()
    code, out, _ = infc("lock", "--check")
    assert code == 4
    assert "orphan    fashion-mnist @ cpu" in out
    code, out, _ = infc("lock")
    assert code == 0
    assert "2 removed" in out
    assert locked() == {}


def test_diff_compares_files_revisions_and_a_fresh_plan(infc: Infc) -> None:
    """No argument: against a fresh plan. One: against the lock here. Two: with each other. Exit 2 only when asked."""
    infc("lock")
    git("add", "-A")
    git("commit", "-qm", "one")
    assert infc("diff", "--detailed-exitcode")[:2] == (0, "Diff: 2 unchanged.\n")
    edit("rate: 60/s", "rate: 6000/s")
    edit("peak: 100/s", "peak: 20000/s")
    edit("targets: [cpu]", "targets: [l4]")
    edit("max_cost: $1500/month", "max_cost: $9000/month")
    code, out, _ = infc("diff", "--detailed-exitcode")
    assert code == 2
    assert "- fashion-mnist @ cpu" in out
    assert "+ fashion-mnist @ l4" in out
    assert "Cost: $" in out
    assert infc("diff")[0] == 0
    assert infc("lock")[0] == 0
    for old in ("HEAD", "HEAD:infc.lock", "main:./infc.lock"):
        code, report, _ = infc("diff", old, "--format", "json", "--detailed-exitcode")
        assert code == 2
        document = json.loads(report)
        Draft202012Validator(diff_schema()).validate(document)
        kinds = {entry["target"]: entry["change"] for entry in document["entries"]}
        assert kinds["cpu"] == "removed"
        assert kinds["l4"] == "added"
    shutil.copy("infc.lock", "other.lock")
    assert infc("diff", "infc.lock", "other.lock", "--detailed-exitcode")[0] == 0


def test_upgrade_plans_again_and_a_dry_run_writes_nothing(infc: Infc) -> None:
    """`--upgrade` takes a name, a folder or nothing."""
    infc("lock")
    old = locked()["cpu"]
    slower = {label: 2 * value for label, value in old.predicted.latency_ms.items()}
    update_lock(Path("infc.lock"), [replace(old, predicted=replace(old.predicted, latency_ms=slower))])
    assert infc("lock")[1] == "Diff: 2 unchanged.\n"
    for argument in (["--upgrade"], ["--upgrade", "fashion-mnist"], ["--upgrade", "specs"]):
        code, out, _ = infc("lock", "--dry-run", *argument)
        assert code == 0
        assert "1 changed in place" in out
    assert infc("lock", "--upgrade", "another")[1] == "Diff: 2 unchanged.\n"
    assert locked()["cpu"].predicted.latency_ms == slower
    infc("lock", "--upgrade", "fashion-mnist")
    assert locked()["cpu"] == old
