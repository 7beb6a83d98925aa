"""Names that a cluster would refuse are refused before anything is compiled."""

from pathlib import Path

import pytest

from infc.resolve.object_names import object_name_problems
from infc.resolve.targets import load_catalogue
from infc.spec import load_spec

SPEC = """\
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {{name: {name}}}
model: {model}
slo: {{{slo}: {{p99: 25ms}}}}
workload: {{rate: 300/s{tokens}}}
deploy:
{targets}  kubernetes: {{{options}}}
"""
ONNX = {"model": "{onnx: model.onnx}", "slo": "latency", "tokens": ""}
LLM = {
    "model": "{huggingface: {repo: Qwen/Qwen3-8B, revision: " + "a" * 40 + "}}",
    "slo": "ttft",
    "tokens": ", prompt_tokens: {p50: 512, max: 4096}, output_tokens: {p50: 128, max: 1024}",
}
HPA = ", autoscale: {scaler: hpa}"


@pytest.mark.parametrize(
    ("longest", "model", "targets", "options"),
    [
        (63, ONNX, "", ""),
        (60, ONNX, "  targets: [l4, jetson-orin-nano-8gb]\n", ""),
        (45, ONNX, "", "flavor: kserve"),
        (42, ONNX, "  targets: [l4]\n", "flavor: kserve"),
        (40, ONNX, "", "flavor: kserve, namespace: search-panel"),
        (63, LLM, "", "flavor: kserve"),
        (56, LLM, "", f"flavor: kserve{HPA}"),
    ],
)
def test_a_name_fits_or_is_refused_with_the_length_that_would_do(
    longest: int, model: dict[str, str], targets: str, options: str, tmp_path: Path
) -> None:
    """One character more than what Kubernetes and KServe leave room for is an error, and the fix says how many fit."""
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08")
    for length, count in ((longest, 0), (longest + 1, 1)):
        if length > 63:
            continue  # no spec may have such a name
        path = tmp_path / "long.infc.yaml"
        path.write_text(SPEC.format(name="n" * length, targets=targets, options=options, **model))
        found = list(object_name_problems(load_spec(path), load_catalogue(None)))
        assert [each.id for each in found] == ["kubernetes-name"] * count
        assert all(each.help and f"at most {longest} characters" in each.help for each in found)
        assert all(each.span and each.span.line == 3 for each in found)


def test_a_namespace_that_leaves_no_room_is_said(tmp_path: Path) -> None:
    """No name at all would fit: the fix is another namespace."""
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08")
    path = tmp_path / "a.infc.yaml"
    options = "flavor: kserve, namespace: " + "s" * 60
    path.write_text(SPEC.format(name="a", targets="", options=options, **ONNX))
    (found,) = object_name_problems(load_spec(path), None)
    assert found.help is not None
    assert found.help.startswith("choose a shorter namespace")
