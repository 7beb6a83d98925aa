"""serve.yaml: the settings through a YAML library, in sections under comments that say what they rest on."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from infc.diag import InternalError
from infc.emit.comment import comment_lines
from infc.emit.vllm.arguments import check_arguments
from infc.emit.vllm.schema import ArgumentSchema
from infc.emit.vllm.settings import ServeSettings
from infc.emit.yaml_text import yaml_text
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem

SERVE_FILE = "serve.yaml"


def serve_yaml(problem: LlmProblem, plan: Plan, settings: ServeSettings, schema: ArgumentSchema) -> bytes:
    """The file's bytes; same values, same bytes.

    Raises:
        InternalError: the pinned vLLM would not read it as it is meant.
    """
    text = "".join(_lines(problem, plan, settings, schema.version))
    _verify(text, settings, schema)
    return text.encode()


def _lines(problem: LlmProblem, plan: Plan, settings: ServeSettings, version: str) -> Iterator[str]:
    yield from comment_lines(
        [
            f"{problem.name} on {plan.candidate.target}: {plan.candidate.label}, one replica of"
            f" {plan.candidate.replicas}.",
            f"Compiled by infc from {PurePosixPath(problem.spec_path).name} for vLLM {version}: change the spec and"
            " compile again.",
            f"Start it in this folder: vllm serve --config {SERVE_FILE}",
        ]
    )
    for section in settings.sections:
        yield "\n"
        yield from comment_lines([section.title, *(f"- {note}" for note in section.notes)])
        yield yaml_text(section.settings)


def _verify(text: str, settings: ServeSettings, schema: ArgumentSchema) -> None:
    import yaml

    expected = settings.all
    if sum(len(section.settings) for section in settings.sections) != len(expected):
        raise InternalError(f"{SERVE_FILE} would set something twice")
    if yaml.safe_load(text) != expected:
        raise InternalError(f"{SERVE_FILE} does not read as what it was written from")
    faults = check_arguments(schema, expected)
    if faults:
        told = "; ".join(fault.message for fault in faults)
        raise InternalError(f"vLLM {schema.version} would not take the emitted {SERVE_FILE}: {told}")
