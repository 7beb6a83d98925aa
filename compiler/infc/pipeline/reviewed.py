"""What a saved plan holds of each deployment: the digest of every input and the decision, to be compared later."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from infc.lock import LockEntry
from infc.lock.blocks import LockBlock
from infc.lock.diff import cells
from infc.lock.inputs import digest_of

_DECISION = ("choice.", "predicted.")


@dataclass(frozen=True, kw_only=True)
class ReviewedDeployment:
    """A deployment as it was reviewed.

    `spec` is its path in the repository. `inputs` maps each input to its digest or text, `decision` each part of the
    choice and the prediction to its text. Both are empty for one that was not planned, because nothing of it differed
    from the base: `locked` then is the digest of its lock entry, else None.
    """

    name: str
    target: str
    spec: str
    inputs: Mapping[str, str | None]
    decision: Mapping[str, str]
    locked: str | None = None

    @property
    def label(self) -> str:
        """`name @ target`."""
        return f"{self.name} @ {self.target}"


def reviewed_of(entry: LockEntry, spec: str) -> ReviewedDeployment:
    """What a plan of the spec at this path in the repository came to, as the entry that it would lock."""
    inputs = {field.name: _text(getattr(entry.inputs, field.name)) for field in fields(entry.inputs)}
    decision = {path: str(value) for path, value in cells(entry) if path.startswith(_DECISION)}
    return ReviewedDeployment(name=entry.name, target=entry.target, spec=spec, inputs=inputs, decision=decision)


def unplanned(block: LockBlock, spec: str) -> ReviewedDeployment:
    """A deployment that stays as it is locked."""
    return ReviewedDeployment(
        name=block.name, target=block.target, spec=spec, inputs={}, decision={}, locked=digest_of(block.text)
    )


def reviewed_digest(deployments: Iterable[ReviewedDeployment]) -> str:
    """The digest of all of them, in any order: `sha256:<hex>`."""
    rows = [reviewed_to_json(each) for each in deployments]
    return digest_of(sorted(rows, key=lambda row: (row["spec"], row["name"], row["target"])))


def reviewed_to_json(deployment: ReviewedDeployment) -> dict[str, Any]:
    """The deployment as JSON values."""
    return {
        "name": deployment.name,
        "target": deployment.target,
        "spec": deployment.spec,
        "inputs": dict(deployment.inputs),
        "decision": dict(deployment.decision),
        "locked": deployment.locked,
    }


def reviewed_from_json(document: Mapping[str, Any]) -> ReviewedDeployment:
    """The deployment that was written.

    Raises:
        KeyError, TypeError, ValueError: it is not what this version writes.
    """
    locked = document["locked"]
    return ReviewedDeployment(
        name=str(document["name"]),
        target=str(document["target"]),
        spec=str(document["spec"]),
        inputs={str(k): None if v is None else str(v) for k, v in dict(document["inputs"]).items()},
        decision={str(k): str(v) for k, v in dict(document["decision"]).items()},
        locked=None if locked is None else str(locked),
    )


def _text(value: str | tuple[str, ...] | None) -> str | None:
    return ", ".join(value) if isinstance(value, tuple) else value
