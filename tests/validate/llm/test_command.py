"""`infc validate` of a language model's bundle before any server starts."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from infc.cli.validate import command
from infc.validate.contract import CONTRACT_NAME
from infc.validate.llm.contract_json import to_json
from infc.validate.session import has_gpu
from tests.validate.bundles import contract as engine_contract
from tests.validate.bundles import write_bundle
from tests.validate.llm_import.contracts import contract, target

GPU = contract({"ttft": (target(99, 2.0),)})
GPU = replace(GPU, target="h100-sxm", model=replace(GPU.model, is_cpu=False))
RESULTS = Path(__file__).parents[1] / "llm_import" / "data"


def run(*arguments: str) -> tuple[int | None, str]:
    """Exit code and output, or the message of the error that the command line edge would show."""
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    said = result.output + (f"{result.exception}" if result.exception else "")
    if result.exception is not None and hasattr(result.exception, "format_message"):
        said += result.exception.format_message()
    return result.return_value, said + (getattr(result.exception, "help", None) or "")


def bundle(folder: Path) -> Path:
    """A GPU bundle's contract and configuration."""
    folder.mkdir(parents=True)
    (folder / CONTRACT_NAME).write_bytes(to_json(GPU))
    (folder / "serve.yaml").write_text("model: model\n")
    return folder


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_gpu_bundle_says_what_can_be_done_here(tmp_path: Path) -> None:
    """The spec's bundle is found by its name, and the error names both ways out."""
    spec = tmp_path / "demo.infc.yaml"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    spec.write_text(
        "apiVersion: infc.dev/v1\nkind: InferenceSpec\nmodel: {checkpoint: model}\nmetadata: {name: demo}\n"
        "slo: {ttft: {p99: 2s}}\nworkload: {rate: 1/s, prompt_tokens: {max: 8}, output_tokens: {max: 8}}\n"
    )
    bundle(tmp_path / "dist" / "demo")
    write_bundle(tmp_path / "dist" / "encoder", engine_contract(limits_s={99.0: 1.0}, rate_rps=10))
    _, said = run(str(spec), "-o", str(tmp_path / "dist"))
    assert "dist/demo is for h100-sxm, and this machine has no NVIDIA GPU" in said
    assert "--rehearse" in said
    assert "--endpoint http://host:8000" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--axes", "drawn"), "a language model has token lengths"),
        (("--import", "FILE", "--rehearse"), "leave out --endpoint and --rehearse"),
        (("--import", "FILE", "--endpoint", "http://h:1"), "leave out --endpoint"),
        (("--endpoint", "http://h:1", "--rehearse"), "leave out --endpoint"),
        (("--endpoint", "ftp://h"), "is not the HTTP address"),
        (("--budget", "1s"), "not between"),
        (("--load-generator", "wrk"), "wrk"),
    ],
)
def test_options_that_do_not_go_together(options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """Each with its own sentence."""
    file = tmp_path / "result.json"
    file.write_text("{}")
    each = [str(file) if option == "FILE" else option for option in options]
    _, said = run(str(bundle(tmp_path / "b")), *each)
    assert words in said


@pytest.mark.parametrize("option", [("--load-generator", "aiperf"), ("--import", "FILE")])
def test_options_of_language_models_are_refused_for_others(option: tuple[str, str], tmp_path: Path) -> None:
    """Rather than passed over."""
    folder = write_bundle(tmp_path / "encoder", engine_contract(limits_s={99.0: 1.0}, rate_rps=10))
    file = tmp_path / "result.json"
    file.write_text("{}")
    _, said = run(str(folder), *[str(file) if each == "FILE" else each for each in option])
    assert "is for bundles of language models" in said


def test_a_result_of_another_tool_is_judged_and_nothing_is_started(tmp_path: Path) -> None:
    """An imported result is printed like a measured one."""
    [result] = sorted(RESULTS.glob("*bench*.json"))[:1]
    code, said = run(str(bundle(tmp_path / "b")), "--import", str(result))
    assert code in (0, 3, 6), said
    assert "demo on h100-sxm:" in said
    assert "measured by another tool" in said
