"""`infc-policy.yaml` -> the thresholds it sets, or every problem of the file at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infc.diag import Diagnostic, has_errors
from infc.diag.nearest import did_you_mean
from infc.diag.order import in_text_order
from infc.ir.policy import Threshold
from infc.ir.spec.policy import THRESHOLDS, Policy
from infc.spec.document import YamlValue, parse_document
from infc.spec.schema_errors import diagnostic_from_error
from infc.spec.source_map import SourceMap
from infc.spec.source_text import read_source
from infc.spec.workspace import Workspace

POLICY_NAME = "infc-policy.yaml"
_ROOT_KEYS = ("apiVersion", "kind", "rules")
_RULE_KEYS = ("action", "specs", "because", *THRESHOLDS)


@dataclass(frozen=True, kw_only=True)
class LoadedPolicy:
    """A policy file as read; `thresholds` are empty when any diagnostic is an error."""

    path: Path
    thresholds: tuple[Threshold, ...]
    diagnostics: tuple[Diagnostic, ...]


def load_policy(workspace: Workspace, shown: Path | None = None) -> LoadedPolicy | None:
    """The policy of a workspace, None where it has none. `shown` is the file's path in messages."""
    path = workspace.root / POLICY_NAME
    if not path.is_file():
        return None
    name = (shown or path).as_posix()
    text, problems = read_source(path, name)
    if text is None:
        return LoadedPolicy(path=path, thresholds=(), diagnostics=problems)
    document = parse_document(text, name)
    is_unread = document.value is None and has_errors(document.diagnostics)
    policy, found = (None, []) if is_unread else _validated(document.value, document.source)
    diagnostics = in_text_order((*document.diagnostics, *found))
    if policy is None or has_errors(diagnostics):
        return LoadedPolicy(path=path, thresholds=(), diagnostics=diagnostics)
    thresholds = tuple(_thresholds(policy, document.value, document.source))
    return LoadedPolicy(path=path, thresholds=thresholds, diagnostics=diagnostics)


def _validated(value: YamlValue, source: SourceMap) -> tuple[Policy | None, list[Diagnostic]]:
    if not isinstance(value, dict):
        what = "is empty" if value is None else "is not a mapping"
        help = "start with `rules:` and one rule, such as `- {max_cost: $5000/month, action: fail}`"
        problem = Diagnostic(id="spec-type", message=f"the policy {what}", span=source.span(""), help=help)
        return None, [problem]
    found = list(_without_threshold(value, source))
    try:
        policy = Policy.model_validate(value)
    except ValidationError as error:
        return None, [*found, *(_problem(each, source) for each in error.errors(include_url=False))]
    return policy, [*found, *_contradictions(policy, source)]


def _problem(error: ErrorDetails, source: SourceMap) -> Diagnostic:
    path = source.locate(segment for segment in error["loc"] if segment != "[key]")
    key = str(error["loc"][-1])
    is_root = len(error["loc"]) == 1
    known = _ROOT_KEYS if is_root else _RULE_KEYS
    match error["type"]:
        case "extra_forbidden":
            other = "`rules` holds it" if is_root and key in _RULE_KEYS else f"known keys: {', '.join(known)}"
            help = did_you_mean(key, known) or other
            message = f"unknown key `{key[:60]}` in {'the policy' if is_root else 'a rule'}"
            return Diagnostic(
                id="spec-unknown-key", message=message, span=source.key_span(path), label="unknown key", help=help
            )
        case "missing":
            help = "add `rules:` with one rule, such as `- {max_cost: $5000/month, action: fail}`"
            return Diagnostic(
                id="spec-missing-key", message=f"`{key}` is missing in the policy", span=source.span(path), help=help
            )
        case "model_type" | "model_attributes_type":
            help = "write a mapping, such as {max_cost: $5000/month, action: fail}"
            return Diagnostic(id="spec-type", message="a rule is a mapping", span=source.span(path), help=help)
        case _:
            return diagnostic_from_error(error, source)[1]


def _without_threshold(value: dict[str, YamlValue], source: SourceMap) -> Iterator[Diagnostic]:
    """Rules that say who and what, but no limit; one with an unknown key probably means that."""
    rules = value.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict) and set(rule) <= {"action", "specs", "because"}:
            yield Diagnostic(
                id="policy-rule",
                message="the rule sets no threshold",
                span=source.span(f"rules[{index}]"),
                help=f"add one of: {', '.join(THRESHOLDS)}",
            )


def _contradictions(policy: Policy, source: SourceMap) -> Iterator[Diagnostic]:
    for index, rule in enumerate(policy.rules):
        low, high = rule.min_utilization, rule.max_utilization
        if low is not None and high is not None and low > high:
            yield Diagnostic(
                id="policy-rule",
                message="min_utilization is above max_utilization: no plan can hold both",
                span=source.span(f"rules[{index}].min_utilization"),
                help=f"set it to at most {high:.0%}",
            )


def _thresholds(policy: Policy, value: YamlValue, source: SourceMap) -> Iterator[Threshold]:
    for index, rule in enumerate(policy.rules):
        for name in THRESHOLDS:
            limit = getattr(rule, name)
            if limit is not None:
                yield Threshold(
                    rule=name,
                    limit=limit,
                    written=_written(value, index, name),
                    action=rule.action,
                    specs=rule.specs,
                    because=rule.because,
                    span=source.span(f"rules[{index}].{name}"),
                )


def _written(value: YamlValue, index: int, name: str) -> str:
    """The value as the file has it."""
    rules = value.get("rules") if isinstance(value, dict) else None
    rule = rules[index] if isinstance(rules, list) else None
    return str(rule.get(name)) if isinstance(rule, dict) else ""


def policy_schema() -> dict[str, object]:
    """The JSON Schema of `infc-policy.yaml`, for editors."""
    from infc.spec.schema import editor_schema

    return editor_schema(Policy)


__all__ = ["POLICY_NAME", "LoadedPolicy", "load_policy", "policy_schema"]
