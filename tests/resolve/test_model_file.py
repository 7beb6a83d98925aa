"""Model files are data from somewhere: what is refused, and how it is said."""

import os
from pathlib import Path

import pytest

from infc.resolve.model import model_profile
from infc.resolve.model_file import model_digest, open_model
from infc.resolve.onnx_wire import KEPT_PAYLOAD_BYTES, WireError, outline_of_onnx
from infc.resolve.store import ProfileStore

onnx = pytest.importorskip("onnx", reason="the extra `onnx` makes the models of these tests")
import numpy as np  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

RESNET = Path(__file__).parents[2] / "specs" / "fashion-mnist" / "resnet8.onnx"


def external_model(folder: Path, location: str, *, data: bytes | None = b"\0" * 4096, length: int = 4096) -> Path:
    """A product by a weight [32, 32] that lies in `location`."""
    weight = onnx.TensorProto(name="k", data_type=onnx.TensorProto.FLOAT, dims=[32, 32])
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        weight.external_data.add(key=key, value=value)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (float[b, 32] x) => (float[b, 32] y) { y = MatMul(x, k) }'
    )
    model.graph.initializer.append(weight)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    if data is not None:
        (folder / location).write_bytes(data)
    return path


def test_outline_keeps_structure_and_leaves_large_weights_on_disk() -> None:
    """Every node and every small constant is there; tensors above the limit keep name, type and shape only."""
    outline = outline_of_onnx(memoryview(RESNET.read_bytes()))
    full, skeleton = onnx.load(RESNET), onnx.ModelProto.FromString(outline.skeleton)
    assert [node.SerializeToString() for node in skeleton.graph.node] == [
        n.SerializeToString() for n in full.graph.node
    ]
    for tensor, kept in zip(full.graph.initializer, skeleton.graph.initializer, strict=True):
        assert (kept.name, kept.data_type, list(kept.dims)) == (tensor.name, tensor.data_type, list(tensor.dims))
        assert kept.raw_data == (tensor.raw_data if len(tensor.raw_data) <= KEPT_PAYLOAD_BYTES else b"")


@given(end=st.integers(0, 341_000))
@settings(max_examples=60, deadline=None)
def test_a_model_cut_anywhere_is_refused_or_reads_as_a_shorter_model(end: int) -> None:
    """A cut inside a field is an error; the wire format allows a cut between two top-level fields."""
    data = RESNET.read_bytes()
    try:
        outline = outline_of_onnx(memoryview(data[:end]))
    except WireError:
        return
    onnx.ModelProto.FromString(outline.skeleton)


@given(data=st.binary(min_size=8, max_size=400))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_arbitrary_bytes_are_a_diagnostic_and_never_a_crash(tmp_path: Path, data: bytes) -> None:
    """Whatever the file holds, the answer is a diagnostic."""
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    store = ProfileStore(root=tmp_path, cache=tmp_path / ".infc")
    profile, diagnostics = model_profile(path, store, None)
    assert profile is None
    assert {d.id for d in diagnostics} == {"model-corrupt"}


@given(position=st.integers(0, 120_000), value=st.integers(0, 255))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_flipped_byte_never_crashes_the_analysis(tmp_path: Path, position: int, value: int) -> None:
    """A damaged model is analysed or refused, never a traceback."""
    data = bytearray(RESNET.read_bytes())
    for index in (position % 12_000, len(data) - 1 - position % 12_000):
        data[index] = value
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(data))
    profile, diagnostics = model_profile(path, ProfileStore(root=tmp_path, cache=tmp_path / ".infc"), None)
    assert profile is not None or diagnostics


def test_missing_model_says_where_it_was_looked_for(tmp_path: Path) -> None:
    """The path is in the note, the fix in the help."""
    model, (diagnostic,) = open_model(tmp_path / "absent.onnx")
    assert model is None
    assert diagnostic.id == "model-missing"
    assert str(tmp_path / "absent.onnx") in diagnostic.notes[0]
    assert diagnostic.help


def test_git_lfs_pointer_is_named_as_such(tmp_path: Path) -> None:
    """The commonest broken model in a repository gets its own words."""
    path = tmp_path / "encoder.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90307062\n")
    _, (diagnostic,) = open_model(path)
    assert "Git LFS pointer" in diagnostic.message
    assert diagnostic.help == "run: git lfs pull --include encoder.onnx"


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>not found</html>", b"PK\x03\x04" + b"\0" * 60])
def test_other_files_are_not_models(tmp_path: Path, content: bytes) -> None:
    """An empty file, a web page and a zip archive are refused before anything is parsed."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    model, diagnostics = open_model(path)
    assert model is None
    assert [d.id for d in diagnostics] == ["model-corrupt"]


def test_tensor_whose_data_does_not_match_its_shape_is_refused(tmp_path: Path) -> None:
    """The tensor is named with both sizes."""
    model = onnx.load(RESNET)
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    _, (diagnostic,) = open_model(path)
    assert diagnostic.id == "model-corrupt"
    assert model.graph.initializer[0].name in diagnostic.notes[0]


def test_graphs_nested_without_end_are_refused() -> None:
    """Thirty subgraphs inside each other are an attack, not a model."""
    graph = onnx.GraphProto(name="inner")
    for depth in range(30):
        node = onnx.NodeProto(op_type="If", name=str(depth))
        node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(graph)
        graph = onnx.GraphProto(name="outer", node=[node])
    data = onnx.ModelProto(graph=graph).SerializeToString()
    with pytest.raises(WireError, match="deep"):
        outline_of_onnx(memoryview(data))


@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../weights.bin", "a/../../weights.bin", "C:\\weights.bin", "..\\weights.bin", "", "weights\0.bin"],
)
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    """No location of a model file makes infc read elsewhere."""
    (tmp_path / "weights.bin").write_bytes(b"\0" * 4096)
    model, (diagnostic,) = open_model(external_model(tmp_path / "models", location, data=None))
    assert model is None
    assert diagnostic.id == "model-external-data"


def test_external_data_behind_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A link inside the folder that points out of it is no way out."""
    (tmp_path / "secret.bin").write_bytes(b"\0" * 4096)
    path = external_model(tmp_path / "models", "weights.bin", data=None)
    os.symlink(tmp_path / "secret.bin", tmp_path / "models" / "weights.bin")
    model, (diagnostic,) = open_model(path)
    assert model is None
    assert "link" in diagnostic.notes[0]


@pytest.mark.parametrize(("data", "reason"), [(None, "no such file"), (b"\0" * 100, "100 bytes")])
def test_external_data_that_is_missing_or_short_is_refused(tmp_path: Path, data: bytes | None, reason: str) -> None:
    """The note says what is wrong with the file, and which tensor needs it."""
    model, (diagnostic,) = open_model(external_model(tmp_path, "weights.bin", data=data))
    assert model is None
    assert reason in diagnostic.notes[0]
    assert "'k'" in diagnostic.notes[1]


def test_model_with_external_data_is_analysed_and_its_digest_covers_the_data(tmp_path: Path) -> None:
    """The same model file with other weights is another model."""
    path = external_model(tmp_path / "one", "weights.bin")
    other = external_model(tmp_path / "two", "weights.bin", data=b"\1" * 4096)
    assert path.read_bytes() == other.read_bytes()
    first, second = (open_model(p)[0] for p in (path, other))
    assert first is not None
    assert second is not None
    assert model_digest(first) != model_digest(second)
    profile, _ = model_profile(path, ProfileStore(root=tmp_path, cache=tmp_path / ".infc"), None)
    assert profile is not None
    assert (profile.digest, profile.parameter_elements, profile.weight_bytes) == (model_digest(first), 1024, 4096)


def test_small_external_constants_are_read(tmp_path: Path) -> None:
    """A Reshape whose target lies in external data still has a known shape."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (float[b, 32] x) => (float[c, 8] y) { y = Reshape(x, to) }'
    )
    to = onnx.numpy_helper.from_array(np.array([-1, 8], dtype=np.int64), "to")
    onnx.external_data_helper.set_external_data(to, "weights.bin", offset=0, length=16)
    (tmp_path / "weights.bin").write_bytes(to.raw_data)
    to.ClearField("raw_data")
    model.graph.initializer.append(to)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    profile, _ = model_profile(path, ProfileStore(root=tmp_path, cache=tmp_path / ".infc"), None)
    assert profile is not None
    assert profile.outputs[0].shape == ("4*b", 8)
