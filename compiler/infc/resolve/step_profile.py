"""Measured step times as people write them: {"steps": [{"prefill_tokens", "decode_seqs", "context_tokens", "ms"}]}."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from infc.ir.step_time import StepTimePoint
from infc.resolve.json_reader import ProfileFormatError
from infc.resolve.llm_json import step_times_from_text

KEYS = ("prefill_tokens", "decode_seqs", "context_tokens", "ms")
_MORE_KEYS = ("samples", "prefill_seqs")
_AROUND = ("step_overhead_ms", "sequence_overhead_ms", "request_overhead_ms")
_MAX_PROBLEMS = 10


@dataclass(frozen=True, kw_only=True)
class StepProfile:
    """Measured steps, and what the server does around them where the file says so (None: it does not).

    `overhead_s` comes with every step, `sequence_overhead_s` with every sequence of a step, and `request_s` with every
    request before its first token.
    """

    points: tuple[StepTimePoint, ...]
    overhead_s: float | None = None
    sequence_overhead_s: float | None = None
    request_s: float | None = None


def step_profile_from_text(text: str) -> tuple[StepProfile | None, tuple[str, ...]]:
    """The steps of a profile, or what is wrong with it. A stored profile of `infc-profiles/` is one, too.

    Counts may be left out (0) or fractional (means over steps). Further keys are ignored in a row that has all four of
    the documented ones; in any other they are taken for slips of the pen.

    >>> profile, _ = step_profile_from_text('{"steps": [{"decode_seqs": 4, "ms": 8.5}]}')
    >>> profile.points[0].decode_seqs, profile.points[0].seconds
    (4, 0.0085)
    >>> step_profile_from_text('{"steps": [{"decode_seqs": 4}]}')[1]
    ('steps[0].ms is not a number of milliseconds above 0',)
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return None, (f"not JSON: {error}",)
    match document:
        case {"kind": "step-time"}:
            try:
                stored = step_times_from_text(text)
            except ProfileFormatError as error:
                return None, (str(error),)
            profile = StepProfile(
                points=stored.points,
                overhead_s=stored.overhead_s,
                sequence_overhead_s=stored.sequence_overhead_s,
                request_s=stored.request_s,
            )
            return profile, ()
        case {"steps": [*rows]} | [*rows]:
            return _profile(rows, document if isinstance(document, dict) else {})
        case _:
            return None, (
                'no list `steps`; write {"steps": [{"prefill_tokens", "decode_seqs", "context_tokens", "ms"}]}',
            )


def _profile(rows: list[object], document: Mapping[str, object]) -> tuple[StepProfile | None, tuple[str, ...]]:
    problems: list[str] = []
    points = [point for index, row in enumerate(rows) if (point := _point(row, f"steps[{index}]", problems))]
    overhead_s, sequence_overhead_s, request_s = (_milliseconds(document, key, problems) for key in _AROUND)
    if not rows:
        problems.append("`steps` is empty")
    if problems:
        more = len(problems) - _MAX_PROBLEMS
        return None, tuple(problems[:_MAX_PROBLEMS]) + ((f"and {more} more",) if more > 0 else ())
    profile = StepProfile(
        points=tuple(points), overhead_s=overhead_s, sequence_overhead_s=sequence_overhead_s, request_s=request_s
    )
    return profile, ()


def _point(row: object, where: str, problems: list[str]) -> StepTimePoint | None:
    if not isinstance(row, dict):
        problems.append(f"{where} is not an object")
        return None
    unknown = [key for key in row if key not in (*KEYS, *_MORE_KEYS)]
    if unknown and not all(key in row for key in KEYS):
        problems.append(f"{where} has an unknown key `{unknown[0]}` (keys: {', '.join((*KEYS, *_MORE_KEYS))})")
        return None
    counts = [_count(row.get(key, 0)) for key in KEYS[:3]]
    wrong = [key for key, each in zip(KEYS, counts, strict=False) if each is None]
    if wrong:
        problems.append(f"{where}.{wrong[0]} is not a number from 0 on")
        return None
    milliseconds, samples = row.get("ms"), row.get("samples", 1)
    if not isinstance(milliseconds, int | float) or not 0 < milliseconds < math.inf:
        problems.append(f"{where}.ms is not a number of milliseconds above 0")
        return None
    if not isinstance(samples, int) or samples < 1:
        problems.append(f"{where}.samples is not a whole number from 1 on")
        return None
    prompts = row.get("prefill_seqs", 1)
    if not isinstance(prompts, int) or prompts < 0:
        problems.append(f"{where}.prefill_seqs is not a whole number from 0 on")
        return None
    prefill, decode, context = (each or 0 for each in counts)
    if prefill + decode == 0:
        problems.append(f"{where} computes nothing: it has neither prefill_tokens nor decode_seqs")
        return None
    return StepTimePoint(
        prefill_tokens=prefill,
        decode_seqs=decode,
        context_tokens=context,
        seconds=milliseconds * 1e-3,
        samples=samples,
        prefill_seqs=prompts,
    )


def _count(value: object) -> int | None:
    """A count, rounded where it is a mean over steps; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        return None
    return round(value)


def _milliseconds(document: Mapping[str, object], key: str, problems: list[str]) -> float | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        problems.append(f"{key} is not a number of milliseconds from 0 on")
        return None
    return value * 1e-3
