"""`infc predict config.json` as its users run it."""

import json
from pathlib import Path

import jsonschema
import pytest

from infc.cli import app
from infc.cli.edge import guarded
from infc.ir.hardware import Hardware
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel, StepTimePoint, StepTimeProfile
from infc.perf.llm import step_time
from infc.report.predict_schema import predict_schema
from infc.resolve.hf_config import llm_profile
from infc.resolve.store import ProfileStore
from infc.resolve.targets import load_catalogue
from infc.sim.continuous_batching import step_s

CONFIGS = Path(__file__).parents[1] / "resolve" / "hf_config" / "configs"
LOAD = ("--concurrency", "8", "--isl", "512", "--osl", "64")
QWEN = str(CONFIGS / "qwen3-8b.json")


def device(id: str) -> Hardware:
    """A device of the catalogue."""
    found = load_catalogue(None).find(id)
    assert found is not None
    return found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Runs the command line: exit code, stdout, stderr."""

    def go(*arguments: str) -> tuple[int, str, str]:
        code = guarded(app, args=["predict", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return go


def document(run, *arguments: str) -> dict[str, dict[str, float]]:  # type: ignore[no-untyped-def]
    """The JSON of a prediction, which must be one."""
    code, out, err = run(*arguments, "--format", "json")
    assert code == 0, err
    parsed = json.loads(out)
    jsonschema.validate(parsed, predict_schema())
    assert isinstance(parsed, dict)
    return parsed


def test_a_language_model_is_predicted_with_intervals(run) -> None:  # type: ignore[no-untyped-def]
    """Latency is TTFT and the tokens after it; throughput follows from the concurrency."""
    found = document(run, QWEN, "--hardware", "h100-sxm", *LOAD)
    for name in ("latency_ms", "ttft_ms", "tpot_ms", "throughput_per_s", "memory_gib", "power_w"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
        assert found[name]["value"] > 0
    latency = found["ttft_ms"]["value"] + 63 * found["tpot_ms"]["value"]
    assert found["latency_ms"]["value"] == pytest.approx(latency, rel=0.02)
    assert found["throughput_per_s"]["value"] == pytest.approx(8 * 64e3 / found["latency_ms"]["value"], rel=0.01)


def test_the_checkpoints_own_precision_is_the_default(run) -> None:  # type: ignore[no-untyped-def]
    """A BF16 checkpoint in BF16 where the device has it and in FP16 where not; a quantised one as it is."""
    for name, hardware, devices, expected in (
        ("qwen3-8b", "h100-sxm", "1", "bf16"),
        ("qwen3-0.6b", "t4", "1", "fp16"),
        ("deepseek-v3", "h200-sxm", "8", "fp8"),
        ("gpt-oss-20b", "h100-sxm", "1", "fp4"),
        ("kimi-k2.5", "h200-sxm", "8", "int4"),
    ):
        code, out, err = run(str(CONFIGS / f"{name}.json"), "--hardware", hardware, "--tp", devices, *LOAD)
        assert code == 0, err
        assert f", {expected}" in out.splitlines()[0]


def test_more_load_is_slower_for_each_and_faster_for_all(run) -> None:  # type: ignore[no-untyped-def]
    """Concurrency raises TPOT and throughput."""
    few = document(run, QWEN, "--hardware", "l40s", "--concurrency", "1", "--isl", "512", "--osl", "64")
    many = document(run, QWEN, "--hardware", "l40s", "--concurrency", "32", "--isl", "512", "--osl", "64")
    assert many["tpot_ms"]["value"] > few["tpot_ms"]["value"]
    assert many["throughput_per_s"]["value"] > 4 * few["throughput_per_s"]["value"]
    assert many["memory_gib"]["value"] > few["memory_gib"]["value"]


def test_a_server_that_is_full_makes_requests_wait(run) -> None:  # type: ignore[no-untyped-def]
    """Beyond max-num-seqs, requests add to TTFT and not to throughput."""
    sizes = ("--isl", "256", "--osl", "64", "--max-num-seqs", "8")
    full = document(run, QWEN, "--hardware", "h100-sxm", "--concurrency", "64", *sizes)
    fuller = document(run, QWEN, "--hardware", "h100-sxm", "--concurrency", "640", *sizes)
    assert fuller["throughput_per_s"]["value"] == pytest.approx(full["throughput_per_s"]["value"], rel=0.1)
    assert fuller["ttft_ms"]["value"] > 5 * full["ttft_ms"]["value"]
    assert fuller["tpot_ms"]["value"] == pytest.approx(full["tpot_ms"]["value"], rel=0.1)


def test_one_output_token_has_no_tpot(run) -> None:  # type: ignore[no-untyped-def]
    """The latency is the time to the only token."""
    found = document(run, QWEN, "--hardware", "h100-sxm", "--concurrency", "2", "--isl", "128", "--osl", "1")
    assert found["tpot_ms"] is None
    assert found["latency_ms"] == found["ttft_ms"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--hardware", "h101", *LOAD), 5, "no hardware is named h101"),
        (("--hardware", "t4", "--precision", "fp4", *LOAD), 1, "predict-unsupported"),
        (("--hardware", "h100-sxm", "--tp", "3", *LOAD), 1, "predict-unsupported"),
        (("--hardware", "h100-sxm", "--kv-precision", "fp4", *LOAD), 1, "FP4 cache"),
        (("--hardware", "h100-sxm", "--power-mode", "25W", *LOAD), 5, "predict-power-mode"),
        (("--hardware", "t4", "--precision", "fp16", *LOAD), 1, "--tp 2 holds it"),
        (("--hardware", "h100-sxm", "--concurrency", "1", "--isl", "40000", "--osl", "1000"), 5, "predict-context"),
        (("--hardware", "mi300x", *LOAD), 1, "AMD"),
        (("--hardware", "h100-sxm", "--concurrency", "8"), 64, "--isl, --osl"),
        (("--hardware", "h100-sxm", "--batch", "8", *LOAD), 64, "--batch is for ONNX models"),
        (("--hardware", "h100-sxm", "--axes", "seq=8", *LOAD), 64, "--axes is for ONNX models"),
        (("--hardware", "h100-sxm", "--max-num-seqs", "9", "--max-num-batched-tokens", "8", *LOAD), 64, "at least"),
        (("--hardware", "h100-sxm", "--concurrency", "0", "--isl", "1", "--osl", "1"), 64, "concurrency"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_why_there_is_no_number(run, arguments: tuple[str, ...], code: int, words: str) -> None:  # type: ignore[no-untyped-def]
    """Exit 1 when devices cannot do it, 5 when a name or size is wrong, 64 when the command is."""
    exit_code, out, err = run(QWEN, *arguments)
    assert (exit_code, out) == (code, "")
    assert words in err
    assert "Traceback" not in err


def test_options_of_language_models_are_refused_for_onnx(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """And an ONNX model needs its precision."""
    model = str(tmp_path / "model.onnx")
    code, _, err = run(model, "--hardware", "l4", "--precision", "fp16", "--tp", "2")
    assert (code, "--tp is for language models" in err) == (64, True)
    code, _, err = run(model, "--hardware", "l4")
    assert (code, "needs --precision" in err) == (64, True)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"model_type": "bert"}', '{"hidden_size": -1}', '{"vocab_size": "x"}']
)
def test_a_hostile_config_exits_5_with_a_message(run, text: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """No traceback, whatever the file holds."""
    path = tmp_path / "config.json"
    path.write_text(text)
    code, out, err = run(str(path), "--hardware", "h100-sxm", *LOAD)
    assert (code, out) == (5, "")
    assert "error[" in err
    assert "Traceback" not in err


def test_the_folder_of_a_checkpoint_is_enough(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Its config.json is found, and the folder names the model."""
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(Path(QWEN).read_text())
    code, out, err = run(str(folder), "--hardware", "h100-sxm", *LOAD)
    assert code == 0, err
    assert out.startswith("my-model (8.191B parameters) on h100-sxm, bf16")


def test_stored_steps_of_the_model_correct_the_prediction(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A few measured steps on this device: the basis is calibrated, the interval narrower."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "config.json").write_text(Path(QWEN).read_text())
    asked = (str(tmp_path), "--hardware", "l40s", *LOAD)
    before = document(run, *asked)
    profile, _ = llm_profile(tmp_path)
    assert profile is not None
    steps = step_time(profile, device("l40s"), Precision.BF16)
    assert isinstance(steps, StepTimeModel)
    points = [
        StepTimePoint(
            prefill_tokens=0,
            decode_seqs=count,
            context_tokens=count * 600,
            seconds=1.2 * step_s(steps, decode_seqs=count, context_tokens=count * 600),
            samples=50,
        )
        for count in (1, 4, 8, 16)
    ]
    ProfileStore(root=tmp_path, cache=tmp_path / ".infc").add_step_times(
        StepTimeProfile(
            model_digest=profile.digest,
            precision=Precision.BF16,
            hardware_id="l40s",
            tensor_parallel=1,
            points=tuple(points),
            environment={},
        )
    )
    after = document(run, *asked)
    assert (before["basis"], after["basis"]) == ("analytic", "calibrated")
    assert after["tpot_ms"]["value"] == pytest.approx(1.2 * before["tpot_ms"]["value"], rel=0.05)
    assert after["tpot_ms"]["high"] / after["tpot_ms"]["low"] < before["tpot_ms"]["high"] / before["tpot_ms"]["low"]


def test_tables_that_are_not_installed_say_how_to_get_them(run) -> None:  # type: ignore[no-untyped-def]
    """`--step-times aic` needs the extra."""
    try:
        import aiconfigurator_core  # noqa: F401
    except ImportError:
        code, _, err = run(QWEN, "--hardware", "h100-sxm", "--step-times", "aic", *LOAD)
        assert (code, "pip install 'infc[aic]'" in err) == (1, True)


def test_stored_profiles_are_left_alone(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A prediction writes nothing."""
    (tmp_path / "config.json").write_text(Path(QWEN).read_text())
    run(str(tmp_path), "--hardware", "h100-sxm", *LOAD)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert ProfileStore(root=tmp_path, cache=tmp_path).llm("0" * 64) is None
