"""Which of several changed inputs leads to another decision: a plan with each of them changed alone."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from infc.ir.change import ChangedInput
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.lock import Lock, LockEntry
from infc.lock.diff import cells
from infc.pipeline.changed_paths import Segments, changed_keys, path_of, with_key
from infc.pipeline.locking import decided_entries
from infc.pipeline.plan import PlannedSpec, PlannedTarget
from infc.resolve.store import PROFILES_FOLDER
from infc.spec import LoadedSpec, load_spec_bytes

PlanAgain: TypeAlias = Callable[[LoadedSpec, frozenset[str] | None], PlannedSpec]
"""Plans a spec, with only these stored measurements if any are named."""

_MOST = 4
_MOST_OF_LANGUAGE_MODELS = 2
_PROFILES = "the new measurements"


@dataclass(frozen=True, kw_only=True)
class Sides:
    """A deployment whose decision changed: its spec and its entry on both sides."""

    old: LoadedSpec
    new: LoadedSpec
    before: LockEntry
    after: LockEntry
    decided: PlannedTarget


def cause_words(sides: Sides, inputs: tuple[ChangedInput, ...], plan: PlanAgain) -> Iterator[str]:
    """A sentence that says which input leads to the new decision.

    None where only one changed, where others than the spec and the stored measurements did, where the decision is the
    same, or where there are too many to plan with each.
    """
    if any(each.kind not in ("spec", "profiles") for each in inputs) or _choice(sides.before) == _choice(sides.after):
        return
    keys = changed_keys(sides.old, sides.new)
    has_profiles = any(each.kind == "profiles" for each in inputs)
    most = _MOST_OF_LANGUAGE_MODELS if isinstance(sides.decided.problem, LlmProblem) else _MOST
    if not 2 <= len(keys) + has_profiles <= most:
        return
    known = _before(sides) if has_profiles else None
    alone = {path_of(key): _decision(plan(_with(sides.old, sides.new, key), known), sides) for key in keys}
    if has_profiles:
        alone[_PROFILES] = _decision(plan(sides.old, None), sides)
    decisive = [name for name, choice in alone.items() if choice == _choice(sides.after)]
    idle = [name for name, choice in alone.items() if choice == _choice(sides.before)]
    if decisive:
        lead = f"{_listed(decisive)} alone lead{'s' if len(decisive) == 1 else ''} to this decision"
        yield lead + (f"; {_listed(idle)} alone would have changed nothing" if idle else "")
        return
    without = {path_of(key): _decision(plan(_with(sides.new, sides.old, key), None), sides) for key in keys}
    if has_profiles:
        without[_PROFILES] = _decision(plan(sides.new, known), sides)
    needed = [name for name, choice in without.items() if choice != _choice(sides.after)]
    others = [name for name in without if name not in needed]
    if needed:
        lead = f"without {_listed(needed, 'or')} the decision would be another"
        yield lead + (f"; {_listed(others)} ha{'s' if len(others) == 1 else 've'} no part in it" if others else "")


def _listed(names: list[str], word: str = "and") -> str:
    """The names as a list.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def _with(spec: LoadedSpec, other: LoadedSpec, key: Segments) -> LoadedSpec:
    """A spec with the value of another one at one key."""
    value = with_key(spec.merged, other.merged, key)
    return load_spec_bytes(json.dumps(value).encode(), spec.path, lambda _path: None)


def _before(sides: Sides) -> frozenset[str]:
    """The stored measurements that were known before."""
    folder: Path = sides.new.workspace.root / PROFILES_FOLDER
    added = set(sides.after.inputs.profiles) - set(sides.before.inputs.profiles)
    return frozenset(path.stem for path in folder.glob("*.json")) - added


def _decision(planned: PlannedSpec, sides: Sides) -> dict[str, object] | None:
    """What was decided for the same target; None where nothing was."""
    found = {d.target: e for d, e in decided_entries(planned, Lock()) if isinstance(d.decision, Plan)}
    entry = found.get(sides.decided.target)
    return None if entry is None else _choice(entry)


def _choice(entry: LockEntry) -> dict[str, object]:
    return {path: value for path, value in cells(entry) if path.startswith("choice.")}
