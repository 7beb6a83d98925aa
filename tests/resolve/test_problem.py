"""Specs resolved to problems: defaults once, names and axes checked, prices joined."""

from pathlib import Path

import pytest

from infc.ir.problem import Origin, Problem
from infc.resolve.problem import market_options, resolve_problem
from infc.resolve.store import ProfileStore
from infc.resolve.targets import load_catalogue
from infc.spec import load_spec

MODEL = Path(__file__).parents[2] / "specs/fashion-mnist/resnet8.onnx"
HEAD = "apiVersion: infc.dev/v1\nkind: InferenceSpec\n"
BASE = HEAD + "model: {onnx: model.onnx}\nslo: {latency: {p99: 20ms}}\n"


def resolved(folder: Path, text: str) -> tuple[Problem | None, list[str]]:
    """The problem of a spec beside the model, and the ids of its diagnostics."""
    pytest.importorskip("onnx", reason="analysing a model needs the extra onnx")
    (folder / "model.onnx").write_bytes(MODEL.read_bytes())
    spec = folder / "test.infc.yaml"
    spec.write_text(text)
    loaded = load_spec(spec)
    assert loaded.spec is not None, loaded.diagnostics
    store = ProfileStore(root=folder, cache=folder / ".infc")
    found, diagnostics = resolve_problem(loaded, load_catalogue(None), store)
    return (None if found is None else found.problem), [d.id for d in diagnostics]


def test_only_a_model_an_slo_and_a_rate_are_needed(tmp_path: Path) -> None:
    """Everything else has a default, recorded as such; the peak is the rate."""
    problem, ids = resolved(tmp_path, BASE + "workload: {rate: 50/s}\n")
    assert problem is not None
    assert not ids
    assert problem.traffic.peak_rps == 50.0
    assert problem.origins["constraints.hardware"] is Origin.DEFAULT
    assert {o.hardware.form for o in problem.options} == {"datacenter"}
    assert all(o.price is not None and o.price.commitment != "owned" for o in problem.options)


def test_what_the_user_wrote_is_recorded_as_the_users(tmp_path: Path) -> None:
    """Origins tell a default from a choice, spans where it stands."""
    text = BASE + "workload: {rate: 50/s, peak: 90/s}\nconstraints: {hardware: [l4], precision: [fp16]}\n"
    problem, _ = resolved(tmp_path, text)
    assert problem is not None
    assert problem.origins["workload.peak"] is Origin.USER
    assert [o.hardware.id for o in problem.options] == ["l4"]
    assert problem.latency[0].span is not None
    assert problem.latency[0].span.line == 4


@pytest.mark.parametrize(
    ("extra", "id"),
    [
        ("workload: {rate: 50/s, axes: {sequence: {max: 8}}}\n", "plan-axis-unknown"),
        ("workload: {rate: 50/s}\nconstraints: {hardware: [l44]}\n", "target-unknown"),
    ],
)
def test_what_does_not_fit_is_a_diagnostic(tmp_path: Path, extra: str, id: str) -> None:
    """Wrong axes and unknown hardware stop the plan."""
    problem, ids = resolved(tmp_path, BASE + extra)
    assert problem is None
    assert id in ids


def test_a_day_shape_without_mixed_prices_is_said_to_have_no_effect(tmp_path: Path) -> None:
    """The hours are carried, and a note says that they do not lower the cost."""
    hours = ", ".join(["1"] * 23 + ["3"])
    problem, ids = resolved(tmp_path, BASE + f"workload: {{rate: 50/s, hourly: [{hours}]}}\n")
    assert problem is not None
    assert problem.traffic.peak_rps == 150.0
    assert "plan-hourly-unused" in ids


def test_the_market_holds_no_owned_or_unpriced_device() -> None:
    """Devices that nobody rents out are not proposed to someone who did not name them."""
    loaded = load_spec(Path(__file__).parents[2] / "specs/fashion-mnist/fashion-mnist.infc.yaml")
    assert loaded.spec is not None
    ids = {o.hardware.id for o in market_options(loaded.spec, load_catalogue(None))}
    assert "t4" in ids
    assert "rtx-4090" not in ids
    assert not any(id.startswith("jetson") for id in ids)


def test_the_market_of_a_jetson_bundle_is_modules_that_run_its_jetpack() -> None:
    """With `deploy.server: jetson` nothing else is planned or proposed, and no price is asked for."""
    loaded = load_spec(Path(__file__).parents[2] / "specs/dock-camera/dock-camera.infc.yaml")
    assert loaded.spec is not None
    found = market_options(loaded.spec, load_catalogue(None))
    ids = {option.hardware.id for option in found}
    assert {"jetson-orin-nano-8gb", "jetson-agx-orin-64gb"} <= ids
    assert not ids & {"jetson-agx-thor-t5000", "jetson-xavier-nx-8gb", "t4"}
