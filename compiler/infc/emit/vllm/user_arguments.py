"""`deploy.vllm.args`: flags of the user's own, checked against the pinned release, added to what the plan decided."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from infc.diag import Diagnostic, Span, has_errors
from infc.emit.vllm.arguments import check_arguments
from infc.emit.vllm.reserved import RESERVED
from infc.emit.vllm.schema import ArgumentSchema
from infc.emit.vllm.settings import Section, ServeSettings
from infc.emit.yaml_text import YamlValue

ARGUMENTS_PATH = "deploy.vllm.args"


def with_arguments(
    settings: ServeSettings,
    arguments: Mapping[str, bool | int | float | str],
    schema: ArgumentSchema,
    spans: Mapping[str, Span],
) -> tuple[ServeSettings | None, tuple[Diagnostic, ...]]:
    """The settings with the user's, which take the place of infc's own choice of the same; or what is wrong with them.

    `spans` may say where `deploy.vllm.args.<flag>` stands.
    """
    problems = tuple(argument_problems(arguments, schema, spans))
    if has_errors(problems) or not arguments:
        return (None if problems else settings), problems
    taken = {schema.by_key[key].name for key in arguments}
    kept = tuple(replace(section, settings=_without(section.settings, taken, schema)) for section in settings.sections)
    own = Section(title=f"From {ARGUMENTS_PATH}.", notes=(), settings=dict(arguments))
    return replace(settings, sections=(*(section for section in kept if section.settings), own)), ()


def argument_problems(
    arguments: Mapping[str, bool | int | float | str], schema: ArgumentSchema, spans: Mapping[str, Span]
) -> Iterator[Diagnostic]:
    """Flags that something else decides, and flags that this release would not take as they are written."""
    for key in arguments:
        argument = schema.by_key.get(key)
        reason = RESERVED.get(argument.name) if argument is not None else None
        if reason is not None:
            yield Diagnostic(
                id="vllm-argument-reserved",
                message=f"`{key}` cannot be set as a flag",
                span=_span(spans, key),
                notes=(reason,),
                help=f"remove `{key}` from {ARGUMENTS_PATH}",
            )
    for fault in check_arguments(schema, arguments):
        yield Diagnostic(
            id="vllm-argument",
            message=fault.message,
            span=_span(spans, fault.key),
            notes=(f"checked against what vLLM {schema.version} accepts",),
            help=fault.help,
        )


def _span(spans: Mapping[str, Span], key: str) -> Span | None:
    return spans.get(f"{ARGUMENTS_PATH}.{key}")


def _without(settings: Mapping[str, YamlValue], taken: set[str], schema: ArgumentSchema) -> dict[str, YamlValue]:
    return {key: value for key, value in settings.items() if schema.by_key[key].name not in taken}
