"""The example specs: valid, honest about their data, and as accurate as specs/README.md says."""

import hashlib
import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.pipeline.plan import plan_spec
from infc.resolve.targets import load_catalogue
from infc.spec import check_hardware_names, load_spec

SPECS = Path(__file__).resolve().parents[2] / "specs"
EXAMPLES = sorted(SPECS.glob("*/*.infc.yaml"))
LARGEST_COMMITTED_BYTES = 3_000_000


def fetch_script() -> ModuleType:
    """`specs/fetch_models.py` as a module."""
    location = importlib.util.spec_from_file_location("fetch_models", SPECS / "fetch_models.py")
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    return module


def needs_fetched(folder: str) -> Path:
    """The folder of an example whose model `make models` fetches; skips the test when it has not."""
    if not list((SPECS / folder).glob("*.onnx")):
        pytest.skip("`make models` has not been run")
    return SPECS / folder


def fed(data: "np.lib.npyio.NpzFile[np.float32]", name: str, input_name: str) -> np.ndarray:
    """A stored input as the model takes it: integers scaled by mean and standard deviation."""
    stored = data[name]
    if f"{input_name}__mean" not in data:
        return stored
    return ((stored.astype(np.float32) - data[f"{input_name}__mean"]) / data[f"{input_name}__std"]).astype(np.float32)


def outputs(model: Path, inputs: dict[str, np.ndarray], batch: int = 64) -> np.ndarray:
    """The first output of the model for all samples, by ONNX Runtime on the CPU."""
    ort = pytest.importorskip("onnxruntime", reason="the extra `onnx`")
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    count = len(next(iter(inputs.values())))
    parts = ({name: array[i : i + batch] for name, array in inputs.items()} for i in range(0, count, batch))
    return np.concatenate([session.run(None, part)[0] for part in parts])


def samples(array: np.ndarray) -> set[bytes]:
    """A digest of each sample."""
    return {hashlib.sha256(np.ascontiguousarray(sample).tobytes()).digest() for sample in array}


def rank(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, ties averaged."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[place]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    """Every example loads without a diagnostic, names known hardware, and tells editors its schema."""
    assert path.read_text().startswith("# yaml-language-server: $schema=../../schemas/spec.schema.json\n")
    named = re.search(r"^  onnx: (\S+)", path.read_text(), re.MULTILINE)
    if named is not None and not (path.parent / named[1]).is_file():
        pytest.skip("`make models` has not been run")
    loaded = load_spec(path)
    assert loaded.diagnostics == ()
    assert loaded.spec is not None
    assert loaded.name == path.name.removesuffix(".infc.yaml")
    assert check_hardware_names(loaded, load_catalogue(None)) == ()


def test_there_is_an_example_for_each_kind_of_model() -> None:
    """The promised examples are there: vision, encoder, bytes, two language models; one for Jetson, one overlay."""
    names = [path.name.removesuffix(".infc.yaml") for path in EXAMPLES]
    models = ["efficientnet-lite0", "fashion-mnist", "magika", "minilm", "qwen3-8b", "tiny-llama"]
    assert sorted(names) == sorted(["dock-camera", "storefront", *models])


def test_the_language_model_plans_over_the_whole_catalogue() -> None:
    """It needs no weights: config.json is enough for a plan that holds every target."""
    planned = plan_spec(SPECS / "qwen3-8b/qwen3-8b.infc.yaml")
    assert planned.diagnostics == ()
    (decided,) = planned.decisions
    assert isinstance(decided.problem, LlmProblem)
    assert isinstance(decided.decision, Plan)
    tokens = decided.decision.estimate.tokens
    assert tokens is not None
    for targets, predicted in ((decided.problem.ttft, tokens.ttft_s), (decided.problem.tpot, tokens.tpot_s)):
        assert all(predicted[target.label].value <= target.limit_s for target in targets)
    assert decided.decision.search.considered > 40


def test_committed_files_are_small() -> None:
    """No blob over 3 MB is tracked under specs/; the largest are the weights of the tiny Llama."""
    listed = subprocess.run(["git", "ls-files", "."], cwd=SPECS, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    sizes = {name: (SPECS / name).stat().st_size for name in listed.stdout.split() if (SPECS / name).is_file()}
    assert sizes
    assert max(sizes.values()) <= LARGEST_COMMITTED_BYTES


def test_fashion_mnist_is_complete_and_as_accurate_as_stated() -> None:
    """2,000 labelled test images, 256 others to calibrate with, and the accuracy that the README states."""
    folder = SPECS / "fashion-mnist"
    test, calibration = np.load(folder / "test-2000.npz"), np.load(folder / "calibration-256.npz")
    assert test["input"].shape == (2000, 1, 28, 28)
    assert calibration["input"].shape == (256, 1, 28, 28)
    assert samples(test["input"]).isdisjoint(samples(calibration["input"]))
    logits = outputs(folder / "resnet8.onnx", {"input": fed(test, "input", "input")})
    assert float((logits.argmax(axis=1) == test["labels"]).mean()) == pytest.approx(0.929, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["efficientnet-lite0", "magika", "minilm"])
def test_fetched_files_are_the_recorded_ones(folder: str) -> None:
    """What `make models` made is byte for byte what the committed profiles were made with."""
    needs_fetched(folder)
    (example,) = (example for example in fetch_script().EXAMPLES if example.name == folder)
    digests = {name: hashlib.sha256((SPECS / folder / name).read_bytes()).hexdigest() for name in example.outputs}
    assert digests == example.outputs


@pytest.mark.slow
def test_minilm_ranks_word_pairs_as_stated() -> None:
    """Spearman correlation 0.729 of cosine similarities with people's ratings."""
    folder = needs_fetched("minilm")
    data = np.load(folder / "wordsim353.npz")
    names = ("input_ids", "attention_mask", "token_type_ids")
    first, second = (
        outputs(folder / "minilm-l6-v2.onnx", {name: data[f"{name}__{side}"] for name in names}) for side in "ab"
    )
    correlation = np.corrcoef(rank((first * second).sum(axis=1)), rank(data["scores"]))[0, 1]
    assert float(correlation) == pytest.approx(0.729, abs=0.001)


@pytest.mark.slow
def test_magika_recognises_files_as_stated() -> None:
    """Top-1 93.3% over 792 real files, none of which calibrates."""
    folder = needs_fetched("magika")
    data, calibration = np.load(folder / "files.npz"), np.load(folder / "calibration-256.npz")
    assert samples(data["bytes"]).isdisjoint(samples(calibration["bytes"]))
    scores = outputs(folder / "magika-v3-3.onnx", {"bytes": data["bytes"]})
    assert float((scores.argmax(axis=1) == data["labels"]).mean()) == pytest.approx(0.933, abs=0.001)


@pytest.mark.slow
def test_efficientnet_tags_photos_as_stated() -> None:
    """Top-1 83.7% over 147 photos with sets of right classes, none of which calibrates."""
    folder = needs_fetched("efficientnet-lite0")
    data, calibration = np.load(folder / "photos-147.npz"), np.load(folder / "calibration-128.npz")
    assert samples(data["input"]).isdisjoint(samples(calibration["input"]))
    scores = outputs(folder / "efficientnet-lite0.onnx", {"input": fed(data, "input", "input")}, batch=16)
    right = [guess in set(classes) for guess, classes in zip(scores.argmax(axis=1), data["labels"], strict=True)]
    assert float(np.mean(right)) == pytest.approx(0.837, abs=0.005)


def test_the_committed_lock_is_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`infc lock --check` accepts the examples' lock, with or without the models that are not committed."""
    from infc.cli import app
    from infc.cli.edge import guarded

    monkeypatch.chdir(SPECS)
    assert guarded(app, usage_error=64, args=["lock", "--check"]) == 0, capsys.readouterr()
