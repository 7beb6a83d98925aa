"""The program of a quality shadow, outside the server: what it reads from captures, and which answers agree.

The captures are as tritonserver 2.51 wrote them; `test_shadow_server.py` reads live ones.
"""

import doctest
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from infc.emit.release import triton_folder


def program(name: str) -> ModuleType:
    """A module of the program, which is no package: it is copied into bundles."""
    path = triton_folder() / "shadow" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"infc_shadow_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


captures = program("captures")
agreement = program("agreement")


def entry(activity: str, name: str, data: bytes, shape: str, dtype: str, id: int = 1) -> bytes:
    """One tensor as the trace writes it."""
    head = f'{{"id":{id},"activity":"TENSOR_{activity}","tensor":{{"name":"{name}","data":"'
    return head.encode() + data + f'","shape":"{shape}","dtype":"{dtype}"}}}}'.encode()


def capture(*entries: bytes, model: str = "encoder") -> bytes:
    """A file of the trace around entries."""
    head = (b'{"id":1,"timestamps":[{"name":"HTTP_RECV_START","ns":57}]}', f'{{"id":1,"model_name":"{model}"'.encode())
    return b"[" + b",".join([head[0], head[1] + b',"model_version":1}', *entries]) + b"]"


def test_floats_integers_and_booleans_are_read_as_they_were() -> None:
    """Six digits of a float, whole integers to the last digit, values that are no numbers."""
    content = capture(
        entry("QUEUE_INPUT", "ids", b"-9223372036854775808,9223372036854775807", "1,2", "INT64"),
        entry("QUEUE_INPUT", "mask", b"0,1", "1,2", "BOOL"),
        entry("BACKEND_INPUT", "ids", b"1,2", "1,2", "INT64"),
        entry("BACKEND_OUTPUT", "y", b"0.333333,-nan,inf,1e-07", "1,4", "FP32"),
    )
    (read,) = captures.read_captures(content)
    assert read.model == "encoder"
    assert read.inputs["ids"].tolist() == [[-(2**63), 2**63 - 1]]
    assert read.inputs["mask"].dtype == np.bool_
    assert read.inputs["mask"].tolist() == [[False, True]]
    np.testing.assert_array_equal(read.outputs["y"], np.array([[0.333333, np.nan, np.inf, 1e-07]], dtype=np.float32))


@pytest.mark.parametrize("seed", range(20))
def test_bytes_are_read_by_their_number_whatever_they_spell(seed: int) -> None:
    """The trace writes a byte as itself, so that an image may spell quotes, commas and the end of an entry."""
    values = np.random.default_rng(seed).integers(0, 256, 60, dtype=np.uint8)
    spelled = b'","shape":"1,1","dtype":"UINT8"}}'
    values[: len(spelled)] = np.frombuffer(spelled, dtype=np.uint8)
    data = b",".join(bytes([value]) for value in values)
    (read,) = captures.read_captures(
        capture(entry("QUEUE_INPUT", "image", data, "1,60", "UINT8"), entry("BACKEND_OUTPUT", "y", b"1", "1", "INT32"))
    )
    assert (read.inputs["image"] == values).all()
    assert read.outputs["y"].tolist() == [1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        capture(entry("BACKEND_OUTPUT", "y", b"1,2,3", "1,4", "FP32")),
        capture(entry("BACKEND_OUTPUT", "y", b"1,x", "1,2", "FP32")),
        capture(entry("BACKEND_OUTPUT", "y", b"", "1,2", "FP16")),
        capture(entry("BACKEND_OUTPUT", "y", b"300", "1", "UINT8")),
        capture(b'{"id":1,"activity":"TENSOR_BACKEND_OUTPUT","tensor":{"name":"y","data":"1,2'),
    ],
)
def test_what_is_cut_off_or_of_another_kind_is_refused(content: bytes) -> None:
    """A half-written file is looked at again later; a wrong one is dropped and counted."""
    with pytest.raises(captures.UnreadableError):
        captures.read_captures(content)


def test_requests_of_one_file_are_kept_apart() -> None:
    """A traced request may have others inside it."""
    content = capture(
        entry("BACKEND_OUTPUT", "y", b"1", "1", "FP32"), entry("BACKEND_OUTPUT", "y", b"2", "1", "FP32", id=2)
    )
    first, second = captures.read_captures(content)
    assert (first.model, second.model) == ("encoder", "")
    assert (first.outputs["y"].tolist(), second.outputs["y"].tolist()) == ([1], [2])


SCORES = np.array([[0.1, 0.5, 0.4], [2.0, 1.0, 0.0]], dtype=np.float32)


@pytest.mark.parametrize("kind", ["argmax", "close", "equal"])
def test_the_same_answer_agrees(kind: str) -> None:
    """At no distance, whatever the kind."""
    assert agreement.compare(kind, 1e-3, SCORES, SCORES.copy(), True) == (True, 0.0)


def test_one_row_that_disagrees_is_enough() -> None:
    """A request agrees when all of its rows do."""
    other = SCORES.copy()
    other[1] = [1.0, 2.0, 0.0]
    agrees, distance = agreement.compare("argmax", 0.01, other, SCORES, True)
    assert not agrees
    assert distance == pytest.approx(np.sqrt(2) / np.sqrt(5))


def test_classes_that_the_reference_holds_for_equal_agree() -> None:
    """A tie within the tolerance is no disagreement; a clear win of another class is."""
    answer, reference = np.array([[1.0, 1.001]]), np.array([[1.001, 1.0]])
    assert agreement.compare("argmax", 0.01, answer, reference, True)[0]
    assert not agreement.compare("argmax", 1e-4, answer, reference, True)[0]


@pytest.mark.parametrize("kind", ["argmax", "close"])
@pytest.mark.parametrize(
    ("answer", "agrees"),
    [
        (np.array([[np.nan, 1.0]]), True),
        (np.array([[1.0, 1.0]]), False),
        (np.array([[np.nan, np.nan]]), False),
        (np.array([[np.nan, np.inf]]), False),
    ],
)
def test_values_that_are_no_numbers_agree_only_with_the_same(kind: str, answer: np.ndarray, agrees: bool) -> None:  # type: ignore[type-arg]
    """NaN where the reference has NaN is its answer; anywhere else it is damage."""
    found, distance = agreement.compare(kind, 0.1, answer, np.array([[np.nan, 1.0]]), True)
    assert found is agrees
    assert np.isfinite(distance)


def test_shapes_that_differ_and_empty_answers() -> None:
    """Another shape never agrees; nothing agrees with nothing; a reference of zeros agrees with zeros alone."""
    assert agreement.compare("close", 1.0, np.zeros((1, 2)), np.zeros((1, 3)), True) == (False, agreement.FARTHEST)
    assert agreement.compare("equal", 0.0, np.zeros((0, 3)), np.zeros((0, 3)), True) == (True, 0.0)
    assert agreement.compare("close", 0.1, np.zeros((0, 3)), np.zeros((0, 3)), True) == (True, 0.0)
    assert agreement.compare("close", 0.1, np.zeros((1, 3)), np.zeros((1, 3)), True) == (True, 0.0)
    assert agreement.compare("close", 0.1, np.ones((1, 3)), np.zeros((1, 3)), True) == (False, agreement.FARTHEST)


def test_its_doctests_hold() -> None:
    """Examples in the program's own texts."""
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for module in (captures, agreement):
        assert doctest.testmod(module, optionflags=options, extraglobs={"np": np}).failed == 0


def test_it_runs_where_triton_runs() -> None:
    """Triton 24.10 has Python 3.10 and numpy: nothing else is imported, and the grammar is no younger."""
    import ast

    allowed = {"json", "os", "queue", "threading", "time", "re", "numpy"}
    own = {"triton_python_backend_utils", "agreement", "captures"}
    for path in sorted((triton_folder() / "shadow").glob("*.py")):
        tree = ast.parse(Path(path).read_text(encoding="utf-8"), feature_version=(3, 10))
        imported = {
            name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        }
        assert imported <= allowed | own, path
