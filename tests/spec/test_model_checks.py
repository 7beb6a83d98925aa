"""What is said of a `model` block that is wrong: that, and nothing that follows from it."""

from pathlib import Path

import pytest

from infc.spec import load_spec

REST = (
    "slo: {ttft: {p99: 500ms}, tpot: {p99: 40ms}}\n"
    "workload: {rate: 6/s, prompt_tokens: {p50: 512, max: 4096}, output_tokens: 128}\n"
)


@pytest.mark.parametrize(
    ("candidates", "ids"),
    [
        ("{}", {"spec-type"}),
        ("qwen", {"spec-type"}),
        ("[a, b]", {"spec-candidate-source"}),
        ("[]", {"spec-empty-value"}),
        ("[{name: X Y, checkpoint: a}, {name: b, checkpoint: b}]", {"spec-name"}),
        ("[{name: a, checkpoint: a, acuracy: 1}, {name: b, chekpoint: b}]", {"spec-unknown-key"}),
        ("[{name: a, checkpoint: ../../../../etc}, {name: b, checkpoint: b}]", {"spec-path", "spec-file-missing"}),
        ("[{name: a, huggingface: {repo: x}}, {name: b, checkpoint: b}]", {"spec-format"}),
        ("[{checkpoint: a}, {name: b, checkpoint: b}]", {"spec-missing-key"}),
    ],
)
def test_what_is_wrong_with_a_list_of_models_is_all_that_is_said(
    candidates: str, ids: set[str], tmp_path: Path
) -> None:
    """Nothing about a model that the user did not write, whatever was put in its place to go on checking."""
    path = tmp_path / "fleet.infc.yaml"
    path.write_text(f"model: {{candidates: {candidates}}}\n" + REST)
    loaded = load_spec(path)
    assert loaded.spec is None
    assert {diagnostic.id for diagnostic in loaded.diagnostics} == ids
