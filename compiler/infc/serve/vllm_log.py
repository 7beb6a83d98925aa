"""What a vLLM log says about a failure: the root cause among the tracebacks of three processes."""

import re

_PREFIX = re.compile(r"^\((?:APIServer|EngineCore|Worker)[^)]*\) (?:[A-Z]+ \d\d-\d\d [\d:]+ \[[^]]*\] ?)?")
_REASON = re.compile(r"^(?:[\w.]+\.)?(?P<kind>\w+(?:Error|Exception|Interrupt|Exit))\b:? ?(?P<text>.*)$")
_ARGUMENT = re.compile(r"^(?:vllm|usage: vllm|\w+\.py)[^:]*: error: (?P<text>.*)$")
_FOLLOW_ON = (
    "validation error for",
    "See root cause above",
    "EngineDeadError",
    "Failed core proc",
    "WorkerProc initialization failed",
)
_DETAIL = re.compile(r"^  (?P<text>(?:Value error|Assertion failed|Input should|Extra inputs).*?)(?: \[type=.*)?$")
MOST_REASONS = 2
_MOST_TEXT = 300


def failure_reasons(log: str) -> tuple[str, ...]:
    r"""Why a server ended, in order, each once, without what only follows from it; empty where the log does not say.

    >>> failure_reasons('''(EngineCore pid=7) ERROR 11-21 21:00:00 [core.py:9] ValueError: no room for the cache
    ... (APIServer pid=5) RuntimeError: Engine core initialization failed. See root cause above.''')
    ('ValueError: no room for the cache',)
    >>> failure_reasons("vllm serve: error: unrecognized arguments: --swap-space 4")
    ('unrecognized arguments: --swap-space 4',)
    """
    found: list[str] = []
    for line in log.splitlines():
        text = _PREFIX.sub("", line).rstrip()
        if (match := _ARGUMENT.match(text)) or (match := _DETAIL.match(text)):
            found.append(match["text"])
        elif (match := _REASON.match(text)) and not any(word in text for word in _FOLLOW_ON):
            found.append(f"{match['kind']}: {match['text']}" if match["text"] else match["kind"])
    return tuple(dict.fromkeys(text[:_MOST_TEXT] for text in found))[-MOST_REASONS:]
