"""The profile store: what a plan finds there, what merging and killing can do to it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infc.ir.accuracy import AccuracyEvidence, Verdict
from infc.ir.engine_evidence import EngineEvidence
from infc.ir.expression import AxisExpression
from infc.ir.interval import Interval
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.precision import Precision
from infc.ir.service_time import ServiceTimePoint, ServiceTimeProfile
from infc.resolve.model import model_profile
from infc.resolve.store import ProfileStore, engine_name

RESNET = Path(__file__).parents[2] / "specs" / "fashion-mnist" / "resnet8.onnx"
MODEL = ModelProfile(
    name="encoder",
    digest="a" * 64,
    format="onnx",
    opset=18,
    inputs=(TensorSpec(name="x", dtype="float32", shape=("batch", 8)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=("batch", 2)),),
    batch_axis="batch",
    fixed_batch=None,
    axes=(),
    parameter_elements=16,
    weight_bytes=64,
    peak_activation_elements=AxisExpression.axis("batch") * 10.0,
    operators=(),
)
TIMES = ServiceTimeProfile(
    model_digest=MODEL.digest,
    precision=Precision.FP16,
    hardware_id="l4",
    engine_kind="tensorrt",
    instances=1,
    points=(ServiceTimePoint(batch_size=1, axes={}, seconds=Interval.exact(0.002), executions=50),),
    environment={},
)
EVIDENCE = AccuracyEvidence(
    model_digest=MODEL.digest,
    precision=Precision.INT8,
    recipe_digest="b" * 64,
    subject="lowered",
    dataset_digest="c" * 64,
    metric="top1",
    samples=2000,
    confidence=0.95,
    reference=0.92,
    value=Interval(value=0.91, low=0.905, high=0.915),
    drop=Interval(value=0.01, low=0.0, high=0.02),
    floor=0.9,
    max_drop=None,
    verdict=Verdict.PASS,
    samples_needed=None,
)

ENGINE = EngineEvidence(
    model_digest=MODEL.digest,
    precision=Precision.INT8,
    recipe_digest="b" * 64,
    kind="tensorrt_rtx",
    compute_capability="8.9",
    max_batch_size=8,
    maximum_elements=64,
    activation_bytes=321_327_104,
    weight_bytes=5_334_406,
    layer_types=(("Float", 50), ("Int8", 49)),
    moved_bytes=2_918_574_080,
)


def store_at(root: Path) -> ProfileStore:
    """A store whose cache is where the workspace has it."""
    return ProfileStore(root=root, cache=root / ".infc")


def test_profiles_come_back_in_another_process(tmp_path: Path) -> None:
    """What one store adds, a fresh store of the same root finds."""
    first = store_at(tmp_path)
    first.add_model(MODEL)
    first.add_service_time(TIMES)
    first.add_accuracy(EVIDENCE)
    second = store_at(tmp_path)
    assert second.model(MODEL.digest) == MODEL
    assert second.service_times(MODEL.digest) == (TIMES,)
    assert second.accuracy(MODEL.digest) == (EVIDENCE,)
    assert second.model("d" * 64) is None
    assert second.service_times("d" * 64) == ()
    assert second.diagnostics == ()


def test_file_names_are_digests_of_the_content(tmp_path: Path) -> None:
    """The same profile gives the same file; adding it twice changes nothing."""
    path = store_at(tmp_path).add_service_time(TIMES)
    before = path.stat().st_mtime_ns
    assert store_at(tmp_path).add_service_time(TIMES) == path
    assert path.stat().st_mtime_ns == before
    assert path.name.startswith("service-time-")
    assert len(path.stem.removeprefix("service-time-")) == 12


def test_measuring_again_replaces_the_old_measurement(tmp_path: Path) -> None:
    """One file for each model, precision, device, engine and number of instances."""
    store = store_at(tmp_path)
    store.add_service_time(TIMES)
    faster = replace(TIMES, points=(replace(TIMES.points[0], seconds=Interval.exact(0.001)),))
    two = replace(TIMES, instances=2)
    store.add_service_time(two)
    store.add_service_time(faster)
    assert sorted(p.instances for p in store.service_times(MODEL.digest)) == [1, 2]
    assert faster in store.service_times(MODEL.digest)
    assert TIMES not in store.service_times(MODEL.digest)


def test_model_under_another_file_name_is_the_same_profile(tmp_path: Path) -> None:
    """Two specs with copies of one model do not rewrite each other's profile."""
    store = store_at(tmp_path)
    path = store.add_model(MODEL)
    assert store.add_model(replace(MODEL, name="copy")) == path
    assert store.add_model(replace(MODEL, opset=19)) != path
    assert [p.name for p in (tmp_path / "infc-profiles").iterdir()] == [store.add_model(replace(MODEL, opset=19)).name]


def test_branches_that_add_profiles_merge_without_conflict(tmp_path: Path) -> None:
    """Two branches that measure different things add different files; git merges them."""

    def git(*arguments: str) -> None:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, env=environment)

    git("init", "-q", "-b", "main")
    store_at(tmp_path).add_model(MODEL)
    git("add", ".")
    git("commit", "-qm", "model")
    git("checkout", "-qb", "other")
    store_at(tmp_path).add_service_time(replace(TIMES, hardware_id="a10"))
    git("add", ".")
    git("commit", "-qm", "a10")
    git("checkout", "-q", "main")
    store_at(tmp_path).add_service_time(TIMES)
    git("add", ".")
    git("commit", "-qm", "l4")
    git("merge", "-q", "--no-edit", "other")
    assert sorted(p.hardware_id for p in store_at(tmp_path).service_times(MODEL.digest)) == ["a10", "l4"]


@pytest.mark.parametrize("damage", [lambda t: t[:100], lambda t: "<<<<<<< HEAD\n" + t, lambda t: t.replace("l4", "\0")])
def test_damaged_profiles_are_errors_that_name_the_file(tmp_path: Path, damage: "object") -> None:
    """A truncated, conflicted or edited file is reported, not left out in silence."""
    assert callable(damage)
    path = store_at(tmp_path).add_service_time(TIMES)
    path.write_text(str(damage(path.read_text().replace('"instances": 1', '"instances": 0.5'))))
    store = store_at(tmp_path)
    assert store.service_times(MODEL.digest) == ()
    assert [d.id for d in store.diagnostics] == ["profile-corrupt"]
    assert path.name in store.diagnostics[0].message


def test_no_half_written_profile_is_left_behind(tmp_path: Path) -> None:
    """A store that cannot write leaves no temporary file."""
    folder = tmp_path / "infc-profiles"
    folder.write_text("in the way")
    with pytest.raises(OSError, match="directory"):
        store_at(tmp_path).add_model(MODEL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["infc-profiles"]


def test_missing_model_is_planned_from_the_locked_profile(tmp_path: Path) -> None:
    """A checkout without weights needs the digest in the lock and the committed profile."""
    store = store_at(tmp_path)
    store.add_model(MODEL)
    assert model_profile(tmp_path / "absent.onnx", store, MODEL.digest) == (MODEL, ())
    profile, (diagnostic,) = model_profile(tmp_path / "absent.onnx", store, "d" * 64)
    assert profile is None
    assert diagnostic.id == "model-missing"


def test_changed_model_is_not_answered_from_the_old_profile(tmp_path: Path) -> None:
    """The digest follows the content, not the path; an unchanged file is not read again."""
    pytest.importorskip("onnx", reason="the extra `onnx` reads models")
    path = tmp_path / "model.onnx"
    path.write_bytes(RESNET.read_bytes())
    store = store_at(tmp_path)
    first, _ = model_profile(path, store, None)
    assert first is not None
    assert store.digest_of(path) == first.digest
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(1, 1))
    assert store.digest_of(path) is None
    second, diagnostics = model_profile(path, store, None)
    assert second is None or second.digest != first.digest
    assert second is not None or diagnostics


def test_plan_from_the_cache_or_the_store_imports_no_onnx(tmp_path: Path) -> None:
    """With the profile at hand, neither onnx nor numpy is loaded to read it, and the file is opened only to hash it."""
    pytest.importorskip("onnx", reason="the extra `onnx` reads models")
    store = store_at(tmp_path)
    profile, _ = model_profile(RESNET, store, None)
    assert profile is not None
    store.add_model(profile)
    for cached in (tmp_path / ".infc" / "digests").iterdir():
        cached.unlink()
    code = (
        "import sys; from pathlib import Path; from infc.resolve.store import ProfileStore;"
        "from infc.resolve.model import model_profile;"
        f"store = ProfileStore(root=Path({str(tmp_path)!r}), cache=Path({str(tmp_path / '.infc')!r}));"
        f"profile, _ = model_profile(Path({str(RESNET)!r}), store, None);"
        "assert profile.parameter_elements == 77420;"
        "assert not {'onnx', 'onnx_ir', 'sympy', 'onnxruntime', 'numpy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_evidence_of_an_engine_replaces_only_what_speaks_of_the_same_engine(tmp_path: Path) -> None:
    """A second look at the same engine replaces the first; another batch, device or precision stands beside it."""
    store = store_at(tmp_path)
    store.add_engine(ENGINE)
    path = store.add_engine(replace(ENGINE, activation_bytes=5, moved_bytes=None))
    assert store.engines(MODEL.digest) == (replace(ENGINE, activation_bytes=5, moved_bytes=None),)
    assert path.stem == engine_name(replace(ENGINE, activation_bytes=5, moved_bytes=None))
    others = (
        replace(ENGINE, max_batch_size=16, maximum_elements=128),
        replace(ENGINE, compute_capability="7.5"),
        replace(ENGINE, precision=Precision.FP16),
    )
    for other in others:
        store.add_engine(other)
    assert len(store_at(tmp_path).engines(MODEL.digest)) == 4
    assert store.engines("d" * 64) == ()


def test_a_locked_compile_knows_the_locked_engines_only(tmp_path: Path) -> None:
    """`only_measurements` hides engines that are not named."""
    store_at(tmp_path).add_engine(ENGINE)
    assert replace(store_at(tmp_path), only_measurements=frozenset()).engines(MODEL.digest) == ()
    known = replace(store_at(tmp_path), only_measurements=frozenset([engine_name(ENGINE)]))
    assert known.engines(MODEL.digest) == (ENGINE,)
