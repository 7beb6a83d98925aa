"""`infc calibrate` of language models: what it refuses, and a real vLLM server measured for the next plan."""

import json
import shutil
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result

from infc.cli.calibrate import command
from infc.cli.plan import command as plan_command
from infc.cli.simulate import command as simulate_command
from infc.diag import DiagnosticError, ToolError
from infc.emit.yaml_text import YamlValue, yaml_text
from infc.report.step_time_schema import step_calibration_schema
from infc.resolve.llm_json import step_times_from_text
from infc.serve.vllm import VllmServer
from infc.serve.vllm_installation import VLLM_VARIABLE, find_vllm

EXAMPLE = Path(__file__).parents[2] / "specs" / "tiny-llama"
ONNX = Path(__file__).parents[2] / "specs" / "fashion-mnist" / "resnet8.onnx"


def has_vllm() -> bool:
    """Whether a vLLM for processors is installed."""
    try:
        return find_vllm().is_cpu
    except ToolError:
        return False


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The example in a workspace of its own."""
    (tmp_path / ".git").mkdir()
    shutil.copytree(EXAMPLE, tmp_path / "tiny-llama", ignore=shutil.ignore_patterns(".infc", "dist"))
    return tmp_path / "tiny-llama" / "tiny-llama.infc.yaml"


def invoke(*arguments: object, of: click.Command = command) -> Result:
    """The command as the program calls it; what it raises goes to the caller."""
    return CliRunner().invoke(of, [str(a) for a in arguments], standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--batches", "1,2"), "--batches is for ONNX models"),
        (("--through", "triton"), "--through is for ONNX models"),
        (("--endpoint", "http://localhost:1"), "--endpoint and --log go together"),
        (("--precision", "bf16,fp8"), "a server has one precision"),
        (("--budget", "soon"), "soon"),
    ],
)
def test_options_that_do_not_fit(spec: Path, arguments: tuple[str, ...], problem: str) -> None:
    """Options of the other kind of model, and halves of what belongs together."""
    with pytest.raises(click.UsageError, match=problem):
        invoke(spec, *arguments)


def test_a_log_is_for_language_models(tmp_path: Path) -> None:
    """An ONNX model has no server that logs steps."""
    (tmp_path / "vllm.log").touch()
    with pytest.raises(click.UsageError, match="--log is for language models"):
        invoke(ONNX, "--log", tmp_path / "vllm.log")


@pytest.mark.parametrize(
    ("hardware", "diagnostic"),
    [("h100-sxm", "calibrate-other-machine"), ("h100-smx", "target-unknown")],
)
def test_another_device_is_refused(spec: Path, hardware: str, diagnostic: str) -> None:
    """A measurement is of this machine; nothing is stored."""
    with pytest.raises(DiagnosticError) as caught:
        invoke(spec, "--hardware", hardware)
    assert [d.id for d in caught.value.diagnostics][-1] == diagnostic
    assert caught.value.exit_code == 1
    assert not (spec.parents[1] / "infc-profiles").exists()


def test_a_server_that_does_not_answer(spec: Path, tmp_path: Path) -> None:
    """No profile comes of it."""
    log = tmp_path / "vllm.log"
    log.touch()
    with pytest.raises(ToolError, match="no answer"):
        invoke(spec, "--endpoint", "http://127.0.0.1:9", "--log", log)
    assert not (spec.parents[1] / "infc-profiles").exists()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.skipif(not has_vllm(), reason=f"{VLLM_VARIABLE} names no vLLM built for CPUs")
def test_a_real_server_is_measured_for_the_next_plan(spec: Path) -> None:
    """The profile is stored, printed as JSON with its fit, taken by the next plan and by the simulator."""
    first = json.loads(invoke(spec, "--budget", "15s", "--format", "json").stdout)
    jsonschema.validate(first, step_calibration_schema())
    [stored] = sorted((spec.parents[1] / "infc-profiles").glob("step-time-*.json"))
    assert first["profile"] == stored.name
    profile = step_times_from_text(stored.read_text(encoding="utf-8"))
    assert len(profile.points) == len(first["steps"]) >= 10
    assert profile.overhead_s is not None
    assert profile.request_s is not None
    assert first["environment"]["server"].startswith("vllm ")
    planned = json.loads(invoke(spec, "--format", "json", of=plan_command).stdout)
    assert '"basis": "measured"' in json.dumps(planned)
    simulated = invoke(
        *("vllm", "--step-profile", stored, "--rate", "2/s", "--prompt-tokens", "64", "--output-tokens", "32"),
        *("--requests", "500"),
        of=simulate_command,
    )
    assert "tpot" in simulated.stdout


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.skipif(not has_vllm(), reason=f"{VLLM_VARIABLE} names no vLLM built for CPUs")
def test_a_running_server_is_measured_through_its_log(spec: Path, tmp_path: Path) -> None:
    """The steps of a server that somebody else started; one that logs none is told how to."""
    config = tmp_path / "serve.yaml"
    settings: dict[str, YamlValue] = {
        "model": str(spec.parent / "model"),
        "served-model-name": "tiny-llama",
        "max-model-len": 352,
        "max-num-seqs": 32,
        "kv-cache-memory-bytes": "64M",
        "enforce-eager": True,
    }
    config.write_text(yaml_text(settings), encoding="utf-8")
    logging = {"enable-logging-iteration-details": True}
    with VllmServer(config, workdir=tmp_path / "log", overrides=logging) as server:
        arguments = (spec, "--endpoint", server.url, "--budget", "15s", "--format", "json")
        document = json.loads(invoke(*arguments, "--log", server.log_path).stdout)
        jsonschema.validate(document, step_calibration_schema())
        assert len(document["steps"]) >= 4
        silent = tmp_path / "other.log"
        silent.touch()
        with pytest.raises(DiagnosticError) as caught:
            invoke(*arguments, "--log", silent)
    assert caught.value.diagnostics[-1].id == "calibrate-no-steps"
