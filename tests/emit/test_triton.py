"""What config.pbtxt and the files around it say, checked by their readers: protobuf, sh, the TensorRT-RTX binding."""

import ast
import doctest
import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from infc.diag import InternalError
from infc.emit.release import triton_folder
from infc.emit.triton import default_release, emit
from infc.emit.triton.comments import comment_lines
from infc.ir.build_options import BuildOptions
from infc.ir.bundle import Bundle
from infc.ir.candidate import DynamicBatching
from infc.ir.engine import PendingEngine
from infc.ir.engine_kind import ENGINE_KINDS, EngineKind
from infc.ir.model_profile import ModelProfile, TensorSpec
from infc.ir.precision import Precision
from infc.validate.gpu import RUNNER_FILE

from . import samples

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

pytest.importorskip("tritonclient.grpc", reason="the extra `triton` is not installed")

CONFIG = "model_repository/lookup/config.pbtxt"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that stands for an engine."""
    path = tmp_path / "engine.bin"
    path.write_bytes(b"engine")
    return path


def bundle_of(
    file: Path,
    *,
    kind: EngineKind = "onnxruntime",
    model: ModelProfile | None = None,
    batching: DynamicBatching | None = None,
    comments: tuple[str, ...] = (),
    precision: Precision = Precision.INT8,
    device: str = "cuda",
) -> Bundle:
    """The bundle of a sample plan; `device` is torch's word for what a package runs on."""
    hardware = "cpu" if kind == "onnxruntime" or device == "cpu" else "l4"
    plan = samples.plan(hardware_id=hardware, batching=batching, comments=comments, precision=precision)
    engine = samples.engine(file, kind=kind, precision=precision, device=device)
    bundle, problems = emit(samples.problem(model), plan, engine, plan_json=b"{}\n")
    assert problems == ()
    assert bundle is not None
    return bundle


def text(bundle: Bundle, path: str = CONFIG) -> str:
    """The content of a text file."""
    content = bundle.files[path]
    assert isinstance(content, bytes)
    return content.decode()


def parsed(bundle: Bundle) -> "ModelConfig":
    """config.pbtxt as Triton reads it."""
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    return text_format.Parse(text(bundle), ModelConfig())


@pytest.mark.parametrize(
    ("kind", "platform", "backend", "engine_file", "group"),
    [
        ("onnxruntime", "onnxruntime_onnx", "", "model.onnx", "KIND_CPU"),
        ("tensorrt", "tensorrt_plan", "", "model.plan", "KIND_GPU"),
        ("tensorrt_rtx", "", "tensorrt_rtx", "model.plan", "KIND_GPU"),
        ("onnxruntime_cuda", "onnxruntime_onnx", "", "model.onnx", "KIND_GPU"),
        ("onnxruntime_tensorrt", "onnxruntime_onnx", "", "model.onnx", "KIND_GPU"),
        ("torch_inductor", "", "torch_inductor", "model.pt2", "KIND_GPU"),
    ],
)
def test_engine_kind_decides_platform_file_and_instances(
    file: Path, kind: EngineKind, platform: str, backend: str, engine_file: str, group: str
) -> None:
    """Each engine kind names its backend and its file, and says how many instances run where."""
    bundle = bundle_of(file, kind=kind)
    config = parsed(bundle)
    assert (config.platform, config.backend, config.default_model_filename) == (platform, backend, engine_file)
    assert bundle.files[f"model_repository/lookup/1/{engine_file}"] == file
    assert [(g.count, g.Kind.Name(g.kind)) for g in config.instance_group] == [(2, group)]
    assert list(config.version_policy.specific.versions) == [1]
    own = [path for path in bundle.files if path.startswith("backends/") and path.endswith("/model.py")]
    assert own == ([f"backends/{backend}/model.py"] if backend else [])
    assert ("Dockerfile" in bundle.files) == bool(backend)
    assert bundle.files["plan.json"] == b"{}\n"
    assert list(bundle.files) == sorted(bundle.files)


def test_scheduler_settings_are_the_plans(file: Path) -> None:
    """Sizes and delay are the plan's; a plan without prefetch gets a queue policy that never fires, with the reason."""
    batching = DynamicBatching(
        max_batch_size=16, max_queue_delay_s=0.0015, preferred_batch_sizes=(8, 16), has_prefetch=False
    )
    bundle = bundle_of(file, batching=batching)
    config = parsed(bundle)
    assert config.max_batch_size == 16
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 16]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1500
    policy = config.dynamic_batching.default_queue_policy
    assert policy.timeout_action == policy.DELAY
    assert policy.default_timeout_microseconds == 10_000_000
    assert policy.max_queue_size == 0
    assert "turns Triton's batch prefetch off" in text(bundle).replace("\n#   ", " ")
    with_prefetch = parsed(bundle_of(file, batching=DynamicBatching(max_batch_size=16)))
    assert not with_prefetch.dynamic_batching.HasField("default_queue_policy")


def test_batch_of_one_has_no_batcher_and_a_fixed_batch_has_no_batch_dimension(file: Path) -> None:
    """max_batch_size 1 needs no dynamic batching; a fixed batch is part of the shape."""
    single = parsed(bundle_of(file, batching=DynamicBatching(max_batch_size=1)))
    assert single.max_batch_size == 1
    assert not single.HasField("dynamic_batching")
    assert list(single.input[0].dims) == [-1]
    model = samples.model_profile(
        fixed_batch=2,
        inputs=(TensorSpec(name="ids", dtype="int64", shape=(2, "sequence")),),
        outputs=(TensorSpec(name="scores", dtype="float32", shape=(2, 4)),),
    )
    fixed = parsed(bundle_of(file, model=model))
    assert fixed.max_batch_size == 0
    assert not fixed.HasField("dynamic_batching")
    assert list(fixed.input[0].dims) == [2, -1]
    assert [(w.batch_size, list(w.inputs["ids"].dims)) for w in fixed.model_warmup] == [(1, [2, 24]), (1, [2, 128])]


def test_warm_up_covers_the_sizes_that_the_scheduler_forms(file: Path) -> None:
    """Batch sizes 1, preferred and largest, at the median and the largest sequence, with data that any model takes."""
    config = parsed(bundle_of(file))
    seen = [(w.batch_size, list(w.inputs["ids"].dims)) for w in config.model_warmup]
    assert seen == [(1, [24]), (4, [24]), (8, [24]), (1, [128]), (4, [128]), (8, [128])]
    assert all(w.inputs["ids"].zero_data for w in config.model_warmup)


def test_tensor_without_dimensions_is_reshaped(file: Path) -> None:
    """One number per row is sent as [1] and reshaped by the server: Triton has no empty shapes."""
    model = samples.model_profile(
        inputs=(samples.IDS, TensorSpec(name="weight", dtype="float16", shape=("batch",))),
        outputs=(samples.SCORES,),
    )
    config = parsed(bundle_of(file, model=model))
    assert list(config.input[1].dims) == [1]
    assert config.input[1].HasField("reshape")
    assert list(config.input[1].reshape.shape) == []
    types = config.input[1].DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
    assert [types[tensor.data_type].name for tensor in config.input] == ["TYPE_INT64", "TYPE_FP16"]


def test_onnx_runtime_runs_quantised_models_without_rewrites(file: Path) -> None:
    """The graph level is the one that the engine was tested with; every instance has one thread."""
    assert parsed(bundle_of(file)).optimization.graph.level == 2
    assert not parsed(bundle_of(file, precision=Precision.FP32)).HasField("optimization")
    assert parsed(bundle_of(file)).parameters["intra_op_thread_count"].string_value == "1"


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (TensorSpec(name="y", dtype="float8_e4m3fn", shape=("batch", 4)), "emit-tensor-type"),
        (TensorSpec(name="y", dtype="float32", shape=()), "emit-not-batched"),
        (TensorSpec(name="y", dtype="float32", shape=(4, "batch")), "emit-not-batched"),
    ],
)
def test_tensor_that_triton_cannot_carry_is_an_error(file: Path, tensor: TensorSpec, problem: str) -> None:
    """Nothing is emitted, and the tensor is named."""
    model = samples.model_profile(outputs=(samples.SCORES, tensor))
    bundle, problems = emit(samples.problem(model), samples.plan(), samples.engine(file))
    assert bundle is None
    assert [p.id for p in problems] == [problem]
    assert "'y'" in problems[0].message


def test_engine_of_another_tensorrt_is_warned_about(file: Path) -> None:
    """TensorRT engines load only in the version that built them; the container's is known."""
    engine = samples.engine(file, kind="tensorrt")
    assert emit(samples.problem(), samples.plan(), engine)[1] == ()
    other = replace(engine, facts=replace(engine.facts, toolchain={"tensorrt": "11.4.1"}))
    (warning,) = emit(samples.problem(), samples.plan(), other)[1]
    assert warning.id == "emit-tensorrt-version"
    assert warning.severity.value == "warning"


def test_a_version_compatible_engine_is_served_as_one(file: Path) -> None:
    """Triton loads it only when it is told to, in its own version or a later one of the same major."""
    problem = replace(samples.problem(), build_options=BuildOptions(is_version_compatible=True))
    engine = samples.engine(file, kind="tensorrt")
    bundle, problems = emit(problem, samples.plan(), engine)
    assert bundle is not None
    assert problems == ()
    assert "--backend-config=tensorrt,version-compatible=true" in text(bundle, "launch.sh")
    assert "brings the TensorRT runtime" in text(bundle, "README.md")
    for version, is_served in (("10.0.1", True), ("10.99.0", False), ("11.4.1", False), ("9.3.0", False)):
        built = replace(engine, facts=replace(engine.facts, toolchain={"tensorrt": version}))
        assert (emit(problem, samples.plan(), built)[1] == ()) is is_served, version


def test_pending_engine_leaves_everything_else(file: Path) -> None:
    """Without an engine the bundle is complete but for that file, refuses to start and says how to go on."""
    pending = PendingEngine(
        kind="tensorrt", key="cd" * 32, precision=Precision.FP16, hardware_id="h100-sxm", reason="no H100 at hand."
    )
    bundle, problems = emit(samples.problem(), samples.plan(precision=Precision.FP16), pending)
    assert bundle is not None
    assert problems == ()
    assert "model_repository/lookup/1/model.plan" not in bundle.files
    assert "no H100 at hand." in text(bundle, "README.md")
    assert "is not built yet" in text(bundle, "launch.sh")


@given(st.lists(st.text(), max_size=4))
def test_no_comment_can_change_the_configuration(comments: list[str]) -> None:
    """Whatever a comment holds, every line of the header starts with # and the configuration stays the same."""
    lines = list(comment_lines(comments))
    assert all(line.startswith("#") and line.endswith("\n") and len(line.splitlines()) == 1 for line in lines)


@pytest.mark.parametrize("name", ["Lookup", "a/b", "..", "a b", "$(reboot)", "a" * 64, ""])
def test_unchecked_name_never_reaches_a_path(file: Path, name: str) -> None:
    """Specs check names; one that slips through is a bug, not a file."""
    with pytest.raises(InternalError):
        emit(samples.problem(name=name), samples.plan(name=name), samples.engine(file))


def test_hostile_tensor_names_stay_data(file: Path) -> None:
    """Names come from the model file: escaped in the protobuf, kept in cell and literal by the README."""
    name = 'ids"\n} instance_group { count: 99 `|'
    model = samples.model_profile(inputs=(TensorSpec(name=name, dtype="int64", shape=("batch", "sequence")),))
    bundle = bundle_of(file, model=model)
    assert parsed(bundle).input[0].name == name
    assert len(parsed(bundle).instance_group) == 1
    readme = text(bundle, "README.md")
    assert "count: 99 ??` | INT64" in readme
    program = ast.parse(readme.partition("```python\n")[2].partition("```")[0])
    literals = [node.value for node in ast.walk(program) if isinstance(node, ast.Constant)]
    assert literals.count(name) == 2


def test_launch_scripts_are_valid_shell(file: Path, tmp_path: Path) -> None:
    """`sh -n` accepts every variant."""
    for kind in ENGINE_KINDS:
        script = tmp_path / f"{kind}.sh"
        script.write_text(text(bundle_of(file, kind=kind), "launch.sh"))
        subprocess.run(["sh", "-n", str(script)], check=True)


def test_emitted_text_is_the_reviewed_one(file: Path, snapshot: SnapshotAssertion) -> None:
    """The exact bytes of every text file, for the reader of a diff."""
    comments = ("a queue delay of 500 us was simulated and made the p99 worse",)
    variants: tuple[tuple[EngineKind, Precision, str], ...] = (
        ("onnxruntime", Precision.INT8, "cuda"),
        ("tensorrt_rtx", Precision.INT8, "cuda"),
        ("onnxruntime_cuda", Precision.FP16, "cuda"),
        ("onnxruntime_tensorrt", Precision.INT8, "cuda"),
        ("torch_inductor", Precision.FP32, "cpu"),
    )
    for kind, precision, device in variants:
        bundle = bundle_of(file, kind=kind, comments=comments, precision=precision, device=device)
        for path in (CONFIG, "README.md", "launch.sh", "Dockerfile"):
            if path in bundle.files:
                assert text(bundle, path) == snapshot(name=f"{kind} {path}")


def test_onnx_runtime_on_a_gpu_says_which_provider_runs_it(file: Path) -> None:
    """CUDA's provider needs no word; TensorRT's is an accelerator with its precision, profile and engine cache."""
    cuda = parsed(bundle_of(file, kind="onnxruntime_cuda", precision=Precision.FP16))
    assert not cuda.HasField("optimization")
    assert set(cuda.parameters) == {"infc-engine"}
    bundle = bundle_of(file, kind="onnxruntime_tensorrt")
    (accelerator,) = parsed(bundle).optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert dict(accelerator.parameters) == {"precision_mode": "INT8", "trt_engine_cache_path": "/engine_cache"}
    assert "--volume infc-engines-lookup:/engine_cache" in text(bundle, "launch.sh")


def test_torch_package_says_what_it_was_compiled_for(file: Path) -> None:
    """Version, device and processor flags are parameters that the backend checks; the plan decides CPU or GPU."""
    for device, group in (("cpu", "KIND_CPU"), ("cuda", "KIND_GPU")):
        config = parsed(bundle_of(file, kind="torch_inductor", precision=Precision.FP32, device=device))
        parameters = {name: value.string_value for name, value in config.parameters.items()}
        assert parameters["torch_version"] == "2.13.0"
        assert parameters["device"] == device
        assert "avx2" in parameters["cpu_flags"].split(",")
        assert [g.Kind.Name(g.kind) for g in config.instance_group] == [group]


def test_bytes_do_not_depend_on_the_environment(file: Path, tmp_path: Path) -> None:
    """Hash seed, time zone and working directory leave no trace."""
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from emit import samples
from infc.emit.triton import emit
for kind in ("onnxruntime", "tensorrt_rtx", "torch_inductor"):
    bundle, _ = emit(samples.problem(), samples.plan(), samples.engine(Path(sys.argv[2]), kind=kind))
    for path, content in bundle.files.items():
        sys.stdout.buffer.write(path.encode() + b"\\n" + (content if isinstance(content, bytes) else b""))
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent.parent), str(file)],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            check=True,
            capture_output=True,
        ).stdout
        for seed, zone, folder in (("0", "UTC", tmp_path), ("7", "Asia/Tokyo", tmp_path.parent))
    ]
    assert outputs[0] == outputs[1]
    assert str(tmp_path).encode() not in outputs[0]


def test_pinned_release_is_the_one_that_is_served_here() -> None:
    """Bundles are emitted for the release that loopback validation runs."""
    from infc.serve.installation import TRITON_VERSION

    assert default_release().server_version == TRITON_VERSION


def attributes_of(tree: ast.AST, root: str) -> set[str]:
    """Dotted names that a module uses of `root` (a name, or an attribute of self)."""
    found = set()
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and parts:
            names = [inner.id, *parts]
            if names[: len(root.split("."))] == root.split("."):
                found.add(".".join(names[len(root.split(".")) :]))
    return found - {""}


def resolves(value: object, dotted: str) -> bool:
    """Whether the attribute exists; what a data descriptor returns cannot be known without a GPU."""
    for part in dotted.split("."):
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


def test_emitted_backend_uses_names_that_the_binding_has() -> None:
    """The runner of engines cannot run without a GPU, but every name it uses of TensorRT-RTX exists."""
    trt = pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")
    tree = ast.parse(RUNNER_FILE.read_text())
    used = {name for root in ("library", "self.library") for name in attributes_of(tree, root)} - {"__name__"}
    assert {"Runtime", "TensorIOMode.INPUT", "IOutputAllocator.__init__"} <= used
    assert [name for name in sorted(used) if not resolves(trt, name)] == []
    for root, kind in (
        ("self.engine", trt.ICudaEngine),
        ("owner.engine", trt.ICudaEngine),
        ("self.context", trt.IExecutionContext),
        ("self.runtime", trt.Runtime),
    ):
        names = {name.split(".")[0] for name in attributes_of(tree, root)}
        assert names, root
        assert [name for name in sorted(names) if not hasattr(kind, name)] == [], root
    types = {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and str(key.value).isupper()
    }
    assert {"FLOAT", "HALF"} <= types
    assert [name for name in sorted(types) if not hasattr(trt.DataType, str(name))] == []


def test_emitted_backend_uses_names_that_cuda_has() -> None:
    """Every name it uses of the CUDA runtime binding exists."""
    cudart = pytest.importorskip("cuda.bindings.runtime", reason="the extra `gpu` is not installed")
    used = attributes_of(ast.parse(RUNNER_FILE.read_text()), "cudart")
    assert {"cudaMemcpyAsync", "cudaEventElapsedTime"} <= set(used)
    assert [name for name in sorted(used) if not resolves(cudart, name)] == []


def test_emitted_backend_groups_and_splits_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pure functions do what their examples say; the module loads with Triton's own Python utilities."""
    package = importlib.util.find_spec("pytriton")
    if package is None or package.origin is None:
        pytest.skip("Triton's Python utilities come with the extra `server`")
    monkeypatch.syspath_prepend(Path(package.origin).parent / "tritonserver" / "backends" / "python")
    path = triton_folder() / "backends" / "tensorrt_rtx" / "model.py"
    spec = importlib.util.spec_from_file_location("tensorrt_rtx_backend", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    results = doctest.testmod(module)
    assert results.attempted >= 2
    assert results.failed == 0
