"""`infc validate` before any server starts: which bundle is meant, and what is told when it cannot be tested."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from infc.cli.validate import command
from infc.validate.session import grpc_target, has_gpu

from .bundles import contract, write_bundle

EASY = {99.0: 1.0}
SPEC = "model: {onnx: m.onnx}\nmetadata: {name: encoder}\nslo: {latency: {p99: 1s}}\nworkload: {rate: 10/s}\n"


def run(*arguments: str) -> tuple[int | None, str]:
    """Exit code and output, or the message of the error that the command line edge would show."""
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    said = result.output + (f"{result.exception}" if result.exception else "")
    if result.exception is not None and hasattr(result.exception, "format_message"):
        said += result.exception.format_message()
    help_text = getattr(result.exception, "help", None)
    return result.return_value, said + (help_text or "")


def test_a_folder_that_is_no_bundle_names_the_bundles_inside(tmp_path: Path) -> None:
    """`infc validate dist` is a likely slip."""
    write_bundle(tmp_path / "encoder", contract(limits_s=EASY, rate_rps=10))
    _, said = run(str(tmp_path))
    assert "is not a bundle" in said
    assert str(tmp_path / "encoder") in said


def test_a_path_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    """Neither bundle nor spec."""
    _, said = run(str(tmp_path / "nowhere"))
    assert "neither a bundle nor a spec" in said


def test_a_spec_without_a_bundle_says_compile_first(tmp_path: Path) -> None:
    """The bundle of a spec is looked for in the output folder."""
    spec = tmp_path / "encoder.infc.yaml"
    (tmp_path / "m.onnx").write_bytes(b"")
    spec.write_text(f"apiVersion: infc.dev/v1\nkind: InferenceSpec\n{SPEC}")
    _, said = run(str(spec), "-o", str(tmp_path / "dist"))
    assert "infc compile" in said


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_spec_finds_its_bundle(tmp_path: Path) -> None:
    """The one with the spec's name, though other targets lie beside it."""
    spec = tmp_path / "encoder.infc.yaml"
    (tmp_path / "m.onnx").write_bytes(b"")
    spec.write_text(f"apiVersion: infc.dev/v1\nkind: InferenceSpec\n{SPEC}")
    write_bundle(tmp_path / "dist" / "encoder", contract(limits_s=EASY, rate_rps=10))
    write_bundle(tmp_path / "dist" / "encoder@cpu", contract(limits_s=EASY, rate_rps=10, is_gpu=False))
    _, said = run(str(spec), "-o", str(tmp_path / "dist"))
    assert "dist/encoder is for l4, and this machine has no NVIDIA GPU" in said
    assert "--rehearse" in said


def test_a_spec_with_errors_is_refused(tmp_path: Path) -> None:
    """Its diagnostics are told; nothing is served."""
    spec = tmp_path / "broken.infc.yaml"
    spec.write_text("apiVersion: infc.dev/v1\nkind: InferenceSpec\n")
    _, said = run(str(spec))
    assert "model" in said


def test_a_contract_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A bundle of a later version of infc, for one."""
    bundle = write_bundle(tmp_path / "encoder", contract(limits_s=EASY, rate_rps=10))
    document = json.loads((bundle / "validation.json").read_text()) | {"format_version": "9.0"}
    (bundle / "validation.json").write_text(json.dumps(document))
    _, said = run(str(bundle), "--rehearse")
    assert "format version 9.0" in said
    assert "compile the spec again" in said


def test_a_cpu_bundle_needs_no_rehearsal(tmp_path: Path) -> None:
    """It runs as it is."""
    bundle = write_bundle(tmp_path / "encoder", contract(limits_s=EASY, rate_rps=10, is_gpu=False))
    _, said = run(str(bundle), "--rehearse")
    assert "needs no rehearsal" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--budget", "1s"), "between 5s and 24h"),
        (("--budget", "soon"), "soon"),
        (("--rate", "0/s"), "rate"),
        (("--rehearse", "--endpoint", "grpc://h:1"), "leave out --endpoint"),
        (("--endpoint", "http://h:8000"), "gRPC address"),
        (("--endpoint", "grpc://"), "gRPC address"),
        (("--endpoint", "grpc://h:port"), "gRPC address"),
    ],
)
def test_wrong_options_say_what_is_right(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Each before a server is started."""
    bundle = write_bundle(tmp_path / "encoder", contract(limits_s=EASY, rate_rps=10))
    assert said in run(str(bundle), *arguments)[1]


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("grpc://h:9", "h:9"),
        ("h:9", "h:9"),
        ("grpc://h", "h:8001"),
        ("grpc://h/", "h:8001"),
        ("grpc://[::1]:9", "[::1]:9"),
    ],
)
def test_endpoints_are_grpc_addresses(endpoint: str, target: str) -> None:
    """Triton's gRPC port is the default."""
    assert grpc_target(endpoint) == target
