"""What a bundle for Jetson modules says to TensorRT, Triton, DeepStream, docker and systemd."""

import configparser
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infc.emit.jetson.compose import compose_yaml, target_environment
from infc.emit.jetson.deepstream import deepstream_files, no_deepstream, nvinfer_data
from infc.emit.jetson.emit import emit_jetson
from infc.emit.jetson.engines import engine_recipes
from infc.emit.jetson.manifest import device_power_w, edge_arrival, is_later, next_version, seconds_at_most
from infc.emit.jetson.numbered import PriorRelease, numbered
from infc.emit.jetson.parts import JetsonPart, shared_image
from infc.emit.jetson.systemd import unit_files
from infc.emit.jetson.triton_repository import repository_files
from infc.ir.arrival import BurstyArrival, ConstantArrival, DiurnalArrival, PoissonArrival, TraceArrival
from infc.ir.model_profile import TensorSpec
from infc.ir.precision import Precision
from infc.ir.spec.deploy import Jetson
from tests.emit import samples
from tests.emit.jetson.parts import image_model, part

NANO, THOR = "jetson-orin-nano-8gb", "jetson-agx-thor-t5000"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A lowered model's file; what is in it does not matter here."""
    pytest.importorskip("onnx", reason="emits with the extra onnx")
    return samples.write_onnx(tmp_path / "lowered.onnx")


def test_modules_that_build_the_same_share_an_engine(model: Path) -> None:
    """Another batch size is another engine of the same model file; another lowering is another file."""
    parts = [part(model), part(model, id=NANO), part(model, batch=4), part(model, digest="5" * 64)]
    recipes = engine_recipes("lookup", parts)
    assert [engine.name for engine in recipes.of_part] == [
        *("lookup-fp16", "lookup-fp16", "lookup-fp16-2", "lookup-fp16-3"),
    ]
    assert [engine.model for engine in recipes.engines] == [
        *("models/lookup-fp16.onnx", "models/lookup-fp16.onnx", "models/lookup-fp16-2.onnx"),
    ]
    assert recipes.engines[1].shapes[0].maximum == (4, 3, 32, 48)


def test_an_accelerator_is_asked_for_by_the_engine(model: Path) -> None:
    """With how much may fall back to the GPU."""
    [engine] = engine_recipes("lookup", [part(model, dla_core=0, precision=Precision.INT8)]).engines
    assert engine.options.dla_core == 0
    assert 0.0 < engine.most_gpu_fallback < 1.0


def test_settings_of_triton_that_differ_are_taken_by_module(model: Path) -> None:
    """The common config.pbtxt, and one for the module that batches: both are what Triton parses."""
    pb = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs the extra triton")
    text_format = pytest.importorskip("google.protobuf.text_format")
    files, problems = repository_files(
        [part(model), part(model, id=NANO), part(model, id=THOR, jetpack="7.2.2", batch=4)]
    )
    assert problems == ()
    assert files is not None
    assert sorted(files) == ["triton/lookup/config.pbtxt", f"triton/lookup/configs/{THOR}.pbtxt"]
    common, own = (text_format.Parse(files[path].decode(), pb.ModelConfig()) for path in sorted(files))
    assert (common.platform, common.max_batch_size, own.max_batch_size) == ("tensorrt_plan", 1, 4)
    assert common.default_model_filename == "model.plan"
    assert NANO in files["triton/lookup/config.pbtxt"].decode()


def test_deepstream_gets_what_the_model_says(model: Path) -> None:
    """Size, channels and engine; scores are read as classes, anything else as raw tensors; every key is nvinfer's."""
    parts = [part(model)]
    [(path, content)] = deepstream_files(parts, engine_recipes("lookup", parts).of_part).items()
    assert path == "deepstream/nvinfer_lookup-fp16.txt"
    parsed = configparser.ConfigParser()
    parsed.read_string(content.decode())
    values = parsed["property"]
    assert set(values) <= nvinfer_data().keys
    assert (values["infer-dims"], values["model-color-format"], values["network-mode"]) == ("3;32;48", "0", "2")
    assert (values["model-engine-file"], values["network-type"]) == ("../engine/model.plan", "1")
    boxes = TensorSpec(name="boxes", dtype="float32", shape=("batch", 100, 6))
    detector = [part(model, model=image_model(outputs=(boxes,)), dla_core=1)]
    [content] = deepstream_files(detector, engine_recipes("lookup", detector).of_part).values()
    parsed.read_string(content.decode())
    assert (values["network-type"], values["output-tensor-meta"]) == ("100", "1")
    assert (values["enable-dla"], values["use-dla-core"]) == ("1", "1")


def test_deepstream_takes_channels_last(model: Path) -> None:
    """A grey image of the NHWC order."""
    spec = TensorSpec(name="image", dtype="float32", shape=("batch", 28, 30, 1))
    parts = [part(model, model=image_model(inputs=(spec,)))]
    [content] = deepstream_files(parts, engine_recipes("lookup", parts).of_part).values()
    assert b"infer-dims=1;28;30\n" in content
    assert b"network-input-order=1\n" in content
    assert b"model-color-format=2\n" in content


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((samples.IDS,), "ids is int64[batch, sequence]"),
        ((image_model().inputs[0], samples.IDS), "2 inputs"),
        ((TensorSpec(name="image", dtype="float32", shape=("batch", 3, "sequence", 48)),), "a fixed size"),
    ],
)
def test_models_that_deepstream_cannot_feed_are_left_out(
    model: Path, inputs: tuple[TensorSpec, ...], words: str
) -> None:
    """With the reason, which the README gives."""
    profile = image_model(inputs=inputs)
    reason = no_deepstream(profile)
    assert reason is not None
    assert words in reason
    parts = [part(model, model=profile)]
    assert deepstream_files(parts, engine_recipes("lookup", parts).of_part) == {}


def service_of(parts: list[JetsonPart]) -> dict[str, object]:
    """The one service of the compose file."""
    image = shared_image(parts)
    assert image is not None
    service = yaml.safe_load(compose_yaml(parts, image))["services"]["lookup"]
    assert isinstance(service, dict)
    return service


def test_images_of_arm_servers_ask_for_the_gpu_besides_the_runtime(model: Path) -> None:
    """Those of JetPack 6 are made for the module's own driver and need the runtime alone."""
    old, new = (
        service_of([part(model)]),
        service_of([part(model, jetpack="7.2.2"), part(model, id=THOR, jetpack="7.2.2")]),
    )
    assert (old["runtime"], new["runtime"]) == ("nvidia", "nvidia")
    assert "deploy" not in old
    [device] = new["deploy"]["resources"]["reservations"]["devices"]  # type: ignore[index]
    assert device["capabilities"] == ["gpu"]


def test_the_service_leaves_memory_to_others(model: Path) -> None:
    """All but what the system holds, or more where the spec reserves it; without an environment, the least of all."""
    first = part(model)
    setup = first.problem.options[0].jetson
    assert setup is not None
    option = replace(first.problem.options[0], jetson=replace(setup, residents_bytes=8 * 2.0**30))
    second = replace(first, problem=replace(first.problem, options=(option,)))
    memory = [int(target_environment(each)["INFC_MEMORY"].removesuffix("m")) for each in (first, second)]
    assert memory[0] - memory[1] == pytest.approx(8 * 1024, abs=1)
    assert service_of([first, second])["mem_limit"] == f"${{INFC_MEMORY:-{memory[1]}m}}"


@pytest.mark.skipif(shutil.which("check-jsonschema") is None, reason="needs check-jsonschema")
def test_compose_files_are_what_docker_reads(model: Path, tmp_path: Path) -> None:
    """By the Compose specification's own schema."""
    for number, parts in enumerate(([part(model)], [part(model, jetpack="7.2.2")])):
        file = tmp_path / f"{number}.yaml"
        file.write_bytes(compose_yaml(parts, shared_image(parts) or ""))
        command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_one_for_systemd(tmp_path: Path) -> None:
    """Nothing is said of it: systemd-analyze prints mistakes and exits 0. Docker, absent here, is stood in for."""
    [(path, content)] = unit_files("dock-camera").items()
    unit = tmp_path / Path(path).name
    unit.write_text(content.decode().replace("/usr/bin/docker", "/bin/true"))
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_no_image_for_all_modules_is_an_error(model: Path) -> None:
    """Which JetPack each has is said; where another program loads the engine, nothing is served."""
    parts = [part(model), part(model, id=THOR, jetpack="7.2.2")]
    drafted, problems = emit_jetson(parts, Jetson(), None)
    assert drafted is None
    assert [problem.id for problem in problems] == ["edge-no-server"]
    assert any("JetPack 7.2.2" in note for note in problems[0].notes)
    drafted, problems = emit_jetson(parts, Jetson(runtime="none"), None)
    assert problems == ()
    assert drafted is not None
    assert drafted.image is None
    assert not {"compose.yaml", "triton/lookup/config.pbtxt"} & set(drafted.files)


def test_what_a_module_cannot_build_is_refused_here(model: Path) -> None:
    """An accelerator that the version of TensorRT does not have, a model that DeepStream cannot feed."""
    for parts, jetson, id in (
        ([part(model, jetpack="7.2.2", dla_core=0)], Jetson(), "edge-option-refused"),
        ([part(model, model=image_model(inputs=(samples.IDS,)))], Jetson(runtime="deepstream"), "edge-no-deepstream"),
    ):
        drafted, problems = emit_jetson(parts, jetson, None)
        assert drafted is None
        assert [problem.id for problem in problems] == [id]


def test_timing_caches_of_lab_builds_travel_along(model: Path, tmp_path: Path) -> None:
    """Under the name that a device looks for."""
    cache = tmp_path / "cache"
    cache.write_bytes(b"timing")
    drafted, _ = emit_jetson([part(model)], Jetson(), None, {"10.3.0-jetson-orin-nx-16gb.cache": cache})
    assert drafted is not None
    assert drafted.files["timing/10.3.0-jetson-orin-nx-16gb.cache"] == cache


@pytest.mark.parametrize(
    ("wanted", "prior", "version", "warnings"),
    [
        (None, None, "1", []),
        (None, ("7", "same"), "7", []),
        (None, ("7", "other"), "8", []),
        (None, ("1.4.0", "other"), "1.4.1", []),
        ("2.0", ("7", "same"), "2.0", []),
        ("2.0", ("7", "other"), "2.0", ["edge-version-not-raised"]),
        ("7.1", ("7", "other"), "7.1", []),
    ],
)
def test_the_number_of_a_release_follows_from_the_lock(
    model: Path, wanted: str | None, prior: tuple[str, str] | None, version: str, warnings: list[str]
) -> None:
    """One more when what repeats changed; the wanted one as it is, with a warning where devices would refuse it."""
    drafted, _ = emit_jetson([part(model)], Jetson(), None)
    assert drafted is not None

    def number(known: PriorRelease | None) -> tuple[str, list[str], str, str]:
        found, problems = numbered(
            drafted.release, drafted.files, varying=drafted.varying, wanted=wanted, prior=known, models=(),
            image=drafted.image, spec="specs/lookup.infc.yaml", dependencies=(), timestamp=None,
        )  # fmt: skip
        assert json.loads(found.files["manifest.json"])["version"] == found.release.version  # type: ignore[arg-type]
        return found.release.version, [problem.id for problem in problems], found.repeats, found.archive

    same = number(None)[2]
    known = (
        None if prior is None else PriorRelease(version=prior[0], repeats=same if prior[1] == "same" else "sha256:0")
    )
    assert number(known)[:2] == (version, warnings)
    assert number(known)[3] == f"lookup-jetson-orin-nx-16gb-{version}.tar.zst"


def test_varying_outputs_do_not_count(model: Path) -> None:
    """Last bits of reference outputs depend on the processor: they are part of the content, not of what repeats."""
    drafted, _ = emit_jetson([part(model)], Jetson(), None)
    assert drafted is not None

    def digests(bits: bytes) -> tuple[str, str]:
        files = {**drafted.files, "verify/0/scores.bin": bits}
        found, _ = numbered(
            drafted.release, files, varying=frozenset({"verify/0/scores.bin"}), wanted=None, prior=None, models=(),
            image=None, spec="lookup.infc.yaml", dependencies=(), timestamp=None,
        )  # fmt: skip
        sums = found.files["SHA256SUMS"]
        assert isinstance(sums, bytes)
        return found.repeats, sums.decode()

    first, second = digests(b"1"), digests(b"2")
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_versions_are_compared_number_by_number() -> None:
    """A missing number is 0."""
    assert is_later("1.10", "1.9")
    assert not is_later("1", "1.0.0")
    assert next_version("9") == "10"


def test_a_device_is_loaded_as_at_the_peak() -> None:
    """Streams and bursts as they are; a course of the day at its peak; recorded traffic by how its gaps vary."""
    assert edge_arrival(ConstantArrival(streams=3)) == ConstantArrival(streams=3)
    assert edge_arrival(DiurnalArrival(multipliers=(0.5, 1.5), cv=1.0)) == PoissonArrival()
    recorded = edge_arrival(TraceArrival(path="t", timestamps_s=(0.0, 0.1, 0.2, 3.0)))
    assert isinstance(recorded, BurstyArrival)
    assert recorded.cv > 1.0


def test_a_cap_is_shared_by_the_devices() -> None:
    """The spec's max_power is of all devices together; each is judged by its share."""
    limits = replace(samples.problem().limits, max_power_w=60.0)
    assert device_power_w(limits, 4) == 15.0
    assert device_power_w(samples.problem().limits, 4) is None


def test_slow_streams_are_measured_for_longer() -> None:
    """A hundredth of the requests decides the p99: at one a second that takes twenty minutes, at sixty two."""
    problem = samples.problem()
    assert seconds_at_most(problem, 60.0) == 120.0
    assert 1000.0 < seconds_at_most(problem, 1.0) < 1300.0
    assert seconds_at_most(problem, 0.01) == 1800.0
