"""What serves language models on Jetson modules, as data, and why it does not."""

from dataclasses import replace
from pathlib import Path

import pytest

from infc.emit.vllm.schema import argument_schema
from infc.ir.jetson import JetsonSetup
from infc.ir.llm_profile import CheckpointQuantization, LlmProfile
from infc.ir.precision import Precision
from infc.ir.problem import LlmRuntime
from infc.resolve.hf_config import llm_profile
from infc.resolve.jetson import jetpack_for, modules
from infc.resolve.jetson_llm import edge_llm, serving_refusal, vllm_image_for, vllm_images
from infc.resolve.served_models import served_models
from tests.llm_edge import catalogue

ORIN, NANO, THOR, XAVIER = (
    "jetson-agx-orin-64gb",
    "jetson-orin-nano-8gb",
    "jetson-agx-thor-t5000",
    "jetson-xavier-nx-8gb",
)


@pytest.fixture(scope="module")
def model() -> LlmProfile:
    """Qwen3-8B."""
    found, problems = llm_profile(Path(__file__).parents[2] / "specs/qwen3-8b/model", "qwen3-8b")
    assert found is not None, problems
    return found


def refusal(
    model: LlmProfile,
    hardware_id: str,
    runtime: LlmRuntime,
    jetpack: str | None = None,
    precision: Precision = Precision.FP16,
    tensorrt: str | None = None,
) -> str:
    """The reason in words, empty where there is none."""
    hardware, installed = catalogue().find(hardware_id), jetpack_for(hardware_id, jetpack)
    assert hardware is not None
    setup = JetsonSetup(
        jetpack=installed,
        tensorrt=tensorrt or (installed.tensorrt if installed else None),
        module=modules().get(hardware_id),
    )
    return serving_refusal(model, hardware, precision, runtime, setup) or ""


def test_what_every_image_accepts_and_serves_is_known() -> None:
    """serve.yaml is checked against the vLLM that the image holds, and so are architectures."""
    assert vllm_images()
    for image in vllm_images():
        assert argument_schema(image.vllm).by_key
        assert served_models(image.vllm).architectures["LlamaForCausalLM"].kind == "text"


@pytest.mark.parametrize(
    ("hardware_id", "jetpack", "version"),
    [(ORIN, "6.2.1", "0.19.0"), (NANO, "6.1", "0.19.0"), (ORIN, "7.2", "0.32.0"), (THOR, "7.0", "0.32.0")],
)
def test_the_image_follows_from_module_and_jetpack(hardware_id: str, jetpack: str, version: str) -> None:
    """JetPack 6 has NVIDIA's image with an older vLLM; from JetPack 7 on it is vLLM's own, on Orin from 7.2."""
    hardware, installed = catalogue().find(hardware_id), jetpack_for(hardware_id, jetpack)
    assert hardware is not None
    assert installed is not None
    image = vllm_image_for(hardware, installed)
    assert image is not None
    assert image.vllm == version


@pytest.mark.parametrize(
    ("hardware_id", "runtime", "jetpack", "precision", "tensorrt", "words"),
    [
        (ORIN, "vllm", "5.1.2", Precision.FP16, None, "no image with vLLM is known for Jetson AGX Orin 64GB"),
        (ORIN, "vllm", "6.0", Precision.FP16, None, "there is for 6.1, 6.2"),
        (XAVIER, "vllm", None, Precision.FP16, None, "and none for another"),
        (ORIN, "edge-llm", "6.2", Precision.FP16, None, "it has for JetPack 7.2"),
        (ORIN, "edge-llm", "7.2", Precision.FP8, None, "runs no FP8 weights on Jetson AGX Orin 64GB"),
        (ORIN, "edge-llm", "7.2", Precision.FP4, None, "runs no FP4 weights"),
        (ORIN, "edge-llm", "7.2.2", Precision.FP16, "11.4.1", "runs with TensorRT 10, not 11.4.1"),
        (THOR, "edge-llm", "7.2", Precision.INT4, None, "from checkpoints of compressed-tensors, which is what infc"),
        (XAVIER, "edge-llm", None, Precision.FP16, None, "has no code for Jetson Xavier NX 8GB"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    model: LlmProfile,
    hardware_id: str,
    runtime: LlmRuntime,
    jetpack: str | None,
    precision: Precision,
    tensorrt: str | None,
    words: str,
) -> None:
    """JetPack, chip, precision, TensorRT: the reason names what is there, and what would do."""
    assert words in refusal(model, hardware_id, runtime, jetpack, precision, tensorrt)


@pytest.mark.parametrize(
    ("method", "precision", "is_read"),
    [
        ("awq", Precision.INT4, True),
        ("gptq", Precision.INT4, True),
        ("modelopt", Precision.FP4, True),
        ("compressed-tensors", Precision.FP4, True),
        ("compressed-tensors", Precision.INT4, False),
        ("fp8", Precision.FP8, False),
    ],
)
def test_edge_llm_reads_some_quantised_checkpoints(
    model: LlmProfile, method: str, precision: Precision, is_read: bool
) -> None:
    """What its builder reads depends on the library that quantised them, and on the precision."""
    stored = CheckpointQuantization(method=method, weight_precision=precision, activation_precision=None)
    said = refusal(replace(model, quantization=stored), THOR, "edge-llm", "7.2", precision)
    assert (not said) is is_read, said


def test_an_architecture_is_asked_of_the_runtime_that_is_used(model: LlmProfile) -> None:
    """The older vLLM of JetPack 6 serves fewer models, TensorRT Edge-LLM few families."""
    newer = set(served_models("0.32.0").architectures) - set(served_models("0.19.0").architectures)
    name = min(n for n in newer if served_models("0.32.0").architectures[n].kind == "text")
    other = replace(model, architecture=name)
    assert "vLLM 0.19.0" in refusal(other, ORIN, "vllm", "6.2")
    assert refusal(other, ORIN, "vllm", "7.2") == ""
    assert "does not build PhiForCausalLM" in refusal(
        replace(model, architecture="PhiForCausalLM"), ORIN, "edge-llm", "7.2"
    )


def test_options_of_edge_llm_are_listed_once() -> None:
    """What its server takes, in order."""
    options = edge_llm().options
    assert list(options) == sorted(set(options))
