"""What a locked compile starts from: the plan that the lock holds, and engines of the kind that it holds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from infc.build.builders.job import JobBuilder
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.lock import Lock, LockEntry, read_lock
from infc.pipeline.engines import EngineShop, pending_toolchains, planned_kind
from infc.pipeline.locked_plan import locked_plan
from infc.pipeline.locking import relock, write_relocked
from infc.resolve.targets import data_directory, load_catalogue
from infc.spec import find_workspace

SPECS = data_directory("targets").parent / "specs"
SPEC = "fashion-mnist/fashion-mnist.infc.yaml"
pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="the examples are part of a checkout, not of a wheel")


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """An example with what is stored of it, locked as it is planned now."""
    shutil.copytree(SPECS / "fashion-mnist", tmp_path / "fashion-mnist")
    shutil.copytree(SPECS / "infc-profiles", tmp_path / "infc-profiles")
    shutil.copy(SPECS / "infc.lock", tmp_path)
    (tmp_path / ".git").mkdir()
    workspace = find_workspace(tmp_path / SPEC)
    assert write_relocked(workspace, relock(workspace, None, upgrade=frozenset())) == ()
    return tmp_path


def lock_of(specs: Path) -> Lock:
    """The lock of a folder of specs."""
    lock, problems = read_lock(specs / "infc.lock")
    assert lock is not None, problems
    return lock


def device(specs: Path) -> str:
    """The free choice of a locked compile."""
    decision = locked_plan(specs / SPEC, lock_of(specs), None).decisions[0].decision
    assert isinstance(decision, Plan)
    return decision.candidate.hardware_id


def test_what_is_known_of_rejected_devices_counts(specs: Path) -> None:
    """A cheaper device is out because its engine was refused: the lock names the figures of its own device alone."""
    chosen = device(specs)
    assert chosen != "t4"
    assert lock_of(specs).find("fashion-mnist", chosen) is not None
    refused = [path for path in (specs / "infc-profiles").glob("engine-*") if json.loads(path.read_text())["refusal"]]
    for path in refused:
        path.unlink()
    assert refused
    assert device(specs) == "t4"


def test_figures_that_are_newer_than_the_lock_do_not(specs: Path) -> None:
    """Where all that is stored leads elsewhere, the plan is made with what the lock names, and nothing else."""

    def before(entry: LockEntry) -> LockEntry:
        return replace(
            entry,
            inputs=replace(entry.inputs, profiles=()),
            choice=replace(entry.choice, hardware="t4"),
        )

    lock = Lock(entries=tuple(before(entry) for entry in lock_of(specs).entries))
    decision = locked_plan(specs / SPEC, lock, None).decisions[0].decision
    assert isinstance(decision, Plan)
    assert decision.candidate.hardware_id == "t4"


@pytest.mark.parametrize(("locked", "made"), [(None, "tensorrt"), ("tensorrt_rtx", "tensorrt_rtx")])
def test_a_locked_engine_keeps_its_kind(locked: str | None, made: str, tmp_path: Path) -> None:
    """A builder that has TensorRT makes a TensorRT engine, unless the lock holds one of TensorRT-RTX."""
    shop = EngineShop(
        cache=tmp_path,
        jobs=tmp_path,
        builder=JobBuilder(tmp_path, pending_toolchains()),
        timeout_s=1.0,
        announce=lambda _line: None,
        locked_kind=locked,  # type: ignore[arg-type]
    )
    hardware = load_catalogue(None).find("l4")
    assert hardware is not None
    assert planned_kind("auto", hardware, Precision.INT8, shop) == made
