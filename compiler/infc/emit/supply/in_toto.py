"""What every in-toto statement has: its type, whose predicate it holds, and what it is about.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md.
"""

import json
from dataclasses import dataclass

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True, kw_only=True)
class InTotoStatement:
    """The parts of a statement as they are in the file, not looked into."""

    subjects: list[object]
    predicate: object


def in_toto_statement(content: bytes, predicate_type: str) -> InTotoStatement | None:
    """The statement in a file; None when it is cut off, is none, or holds a predicate of another type."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"_type": str(kind), "predicateType": str(held), "subject": list(subjects), "predicate": predicate}:
            if (kind, held) == (STATEMENT_TYPE, predicate_type):
                return InTotoStatement(subjects=subjects, predicate=predicate)
    return None
