"""The engine key depends on every input of a build and on nothing else."""

import os
from dataclasses import replace
from pathlib import Path

from infc.build import engine_key, shape_ranges
from infc.build.cache import STALE_S, sweep_stale
from infc.ir.model_profile import TensorSpec
from infc.ir.precision import Precision
from infc.ir.problem import AxisDistribution
from tests.build.build_requests import profile, request

TOOLS = {"tensorrt_rtx": "1.7.1.116"}


def test_every_input_changes_the_key() -> None:
    """Model, recipe, shapes, workspace, device, kind and tool version each make another engine."""
    base = request("l4", Precision.FP16)
    keys = [
        engine_key(base, TOOLS),
        engine_key(base, {"tensorrt_rtx": "1.8"}),
        engine_key(replace(base, model=replace(base.model, digest="other")), TOOLS),
        engine_key(replace(base, model=replace(base.model, recipe_digest="other")), TOOLS),
        engine_key(replace(base, options=replace(base.options, workspace_bytes=1)), TOOLS),
        engine_key(replace(base, compute_capability="8.6"), TOOLS),
        engine_key(replace(base, kind="tensorrt"), TOOLS),
        engine_key(request("l4", Precision.FP16, max_batch_size=16), TOOLS),
    ]
    assert len(set(keys)) == len(keys)


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
