"""The engine key depends on every input of a build and on nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from infc.build import engine_key, shape_ranges
from infc.build.cache import STALE_S, sweep_stale
from infc.build.job_folder import job_from_request
from infc.build.key import job_key
from infc.ir.build_options import BuildOptions
from infc.ir.engine import BuildRequest
from infc.ir.model_profile import TensorSpec
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution
from tests.build.build_requests import profile, request

TOOLS = {"tensorrt_rtx": "1.7.1.116"}


EXEMPT = {"path", "passes", "key", "timeout_s", "name", "size_bytes"}
"""What does not decide an engine: where the model lies, words about its passes, and of a job what its key and digest
stand for already."""


def variants(value: Any) -> Iterator[Any]:
    """The value with one thing changed, for every field of every dataclass in it, found by reflection."""
    if isinstance(value, Enum):
        yield next(member for member in type(value) if member is not value)
    elif is_dataclass(value):
        for field in fields(value):
            if field.name not in EXEMPT:
                for other in variants(getattr(value, field.name)):
                    yield replace(value, **{field.name: other})  # type: ignore[type-var]
    elif isinstance(value, Mapping):
        for name in value:
            yield {**value, name: value[name] + ".1"}
            yield {(f"{name}2" if key == name else key): version for key, version in value.items()}
        yield {**value, "another": "1"}
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for other in variants(item):
                yield (*value[:index], other, *value[index + 1 :])
        yield value[1:]
    else:
        yield changed(value)


def changed(value: Any) -> Any:
    """Another value of the same type, or one in place of nothing."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return {"tensorrt": "tensorrt_rtx", "none": "ampere_plus"}.get(value, value[:-1] + "~")
    assert value is None
    return 1


def full_request() -> BuildRequest:
    """A TensorRT request, whose device counts in full, with two inputs and every option that has a value."""
    base = request("l4", Precision.FP16, kind="tensorrt")
    second = replace(base.shapes[0], input_name="another", minimum=(1,), optimum=(2,), maximum=(3,))
    options = BuildOptions(optimization_level=2, workspace_bytes=2**30, dla_core=0)
    return replace(base, shapes=(*base.shapes, second), options=options)


def test_any_other_input_is_another_engine() -> None:
    """Every field of a request, its model, its shapes and its options counts, and so does every tool and its version.

    The fields are found by reflection: one that is added later and forgotten in the key fails here.
    """
    base = full_request()
    requests = [base, *variants(base), replace(base, options=BuildOptions()), replace(base, compute_capability=None)]
    tools = [TOOLS, *variants(TOOLS)]
    keys = [engine_key(each, TOOLS) for each in requests] + [engine_key(base, each) for each in tools[1:]]
    assert len(requests) > 35
    assert len(set(keys)) == len(keys)


def test_a_job_has_the_key_of_its_request() -> None:
    """On every machine: the builder works the key out from the fields of the job, and any other field is told."""
    base = full_request()
    job = job_from_request(base, TOOLS)
    assert job_key(job) == job.key == engine_key(base, TOOLS)
    changed = [job_key(other) for other in variants(job)]
    assert len({job.key, *changed}) == len(changed) + 1


def test_two_machines_agree_on_the_key(tmp_path: Path) -> None:
    """Another folder, home, time zone, locale, hash seed, user name and umask: the same key for the same content."""
    script = (
        "import sys, hashlib\n"
        "from pathlib import Path\n"
        "from infc.build import engine_key\n"
        "from infc.ir.engine import BuildRequest, LoweredModel, ShapeRange\n"
        "from infc.ir.precision import Precision\n"
        "path = Path('model.onnx')\n"
        "digest = hashlib.sha256(path.read_bytes()).hexdigest()\n"
        "model = LoweredModel(path=path.resolve(), digest=digest, source_digest=digest, recipe_digest=digest,"
        " precision=Precision.FP16, passes=())\n"
        "shapes = tuple(ShapeRange(input_name=n, minimum=(1,), optimum=(2,), maximum=(3,)) for n in {'a', 'b', 'ä'})\n"
        "asked = BuildRequest(kind='tensorrt', model=model, shapes=shapes, hardware_id='l4',"
        " compute_capability='8.9')\n"
        "print(engine_key(asked, {'tensorrt': '10.5.0', 'b': '1', 'a': '2'}))\n"
    )
    keys = set()
    for index, (zone, locale) in enumerate((("Asia/Tokyo", "C"), ("America/Lima", "de_DE.UTF-8"))):
        folder = tmp_path / ("deeper/" * index) / f"machine-{index}"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"the same model")
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "USER": f"user{index}", "LOGNAME": f"user{index}",
            "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": str(index), "XDG_CACHE_HOME": str(folder / "cache"),
        }  # fmt: skip
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True, umask=0o077 * index
        )
        keys.add(done.stdout)
    assert len(keys) == 1


def test_paths_and_order_do_not_change_the_key() -> None:
    """The same request in another directory, with its inputs in another order, is the same engine."""
    base = request("l4", Precision.FP16)
    other = replace(base.shapes[0], input_name="another")
    moved = replace(base, model=replace(base.model, path=Path("elsewhere/model.onnx")), shapes=(other, *base.shapes))
    straight = replace(base, shapes=(*base.shapes, other))
    assert engine_key(moved, TOOLS) == engine_key(straight, TOOLS)


def test_devices_of_one_capability_share_rtx_engines() -> None:
    """TensorRT-RTX engines run on every GPU of a compute capability; TensorRT's are timed on one device."""
    base = request("l4", Precision.FP16)
    twin = replace(base, hardware_id="l40s")
    assert engine_key(base, TOOLS) == engine_key(twin, TOOLS)
    assert engine_key(replace(base, kind="tensorrt"), TOOLS) != engine_key(replace(twin, kind="tensorrt"), TOOLS)


def test_what_killed_builds_left_is_swept_after_a_day(tmp_path: Path) -> None:
    """A staging folder of a running build stays; one that nobody touched for a day goes."""
    for name in (".job-old", ".building-new", "a-finished-engine"):
        (tmp_path / name).mkdir()
    now = (tmp_path / ".job-old").stat().st_mtime
    os.utime(tmp_path / ".job-old", (now - 2 * STALE_S, now - 2 * STALE_S))
    sweep_stale(tmp_path, now)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".building-new", "a-finished-engine"]


def test_profiles_follow_batch_and_axes() -> None:
    """The batch runs to its maximum, an axis to its own, with the median as optimum."""
    tokens = TensorSpec(name="ids", dtype="int64", shape=("batch", "sequence"))
    model = replace(profile(), inputs=(tokens,), batch_axis="batch", axes=("sequence",))
    (shape,) = shape_ranges(model, 16, {"sequence": AxisDistribution(percentiles={50.0: 24, 90.0: 80}, maximum=128)}, 4)
    assert (shape.minimum, shape.optimum, shape.maximum) == ((1, 1), (4, 24), (16, 128))
