"""`deploy.vllm.args`: flags of the user's own, checked against the pinned release, added to what the plan decided."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from infc.diag import Diagnostic, Span, has_errors
from infc.emit.vllm.arguments import check_arguments
from infc.emit.vllm.release import default_release
from infc.emit.vllm.reserved import RESERVED
from infc.emit.vllm.schema import ArgumentSchema, argument_schema
from infc.emit.vllm.settings import Section, ServeSettings
from infc.emit.yaml_text import YamlValue

ARGUMENTS_PATH = "deploy.vllm.args"
SpanOf: TypeAlias = Callable[[str], Span | None]
"""Where a path of the spec stands."""


def with_arguments(
    settings: ServeSettings,
    arguments: Mapping[str, bool | int | float | str],
    schema: ArgumentSchema,
    span_of: SpanOf,
) -> tuple[ServeSettings | None, tuple[Diagnostic, ...]]:
    """The settings with the user's, which take the place of infc's choice of the same; or what is wrong with them."""
    problems = tuple(argument_problems(arguments, span_of, schema))
    if has_errors(problems) or not arguments:
        return (None if problems else settings), problems
    taken = {schema.by_key[key].name for key in arguments}
    kept = tuple(replace(section, settings=_without(section.settings, taken, schema)) for section in settings.sections)
    own = Section(title=f"From {ARGUMENTS_PATH}.", notes=(), settings=dict(arguments))
    return replace(settings, sections=(*(section for section in kept if section.settings), own)), ()


def argument_problems(
    arguments: Mapping[str, bool | int | float | str], span_of: SpanOf, schema: ArgumentSchema | None = None
) -> Iterator[Diagnostic]:
    """Flags that something else decides, and flags that a release would not take as they are written.

    `schema` None is that of the pinned release.
    """
    schema = schema or argument_schema(default_release().version)
    for key in arguments:
        argument = schema.by_key.get(key)
        reason = RESERVED.get(argument.name) if argument is not None else None
        if reason is not None:
            yield Diagnostic(
                id="vllm-argument-reserved",
                message=f"`{key}` cannot be set as a flag",
                span=span_of(f"{ARGUMENTS_PATH}.{key}"),
                notes=(reason,),
                help=f"remove `{key}` from {ARGUMENTS_PATH}",
            )
    for fault in check_arguments(schema, arguments):
        yield Diagnostic(
            id="vllm-argument",
            message=fault.message,
            span=span_of(f"{ARGUMENTS_PATH}.{fault.key}"),
            notes=(f"checked against what vLLM {schema.version} accepts",),
            help=fault.help,
        )


def _without(settings: Mapping[str, YamlValue], taken: set[str], schema: ArgumentSchema) -> dict[str, YamlValue]:
    return {key: value for key, value in settings.items() if schema.by_key[key].name not in taken}
