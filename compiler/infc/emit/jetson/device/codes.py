"""Exit codes of the program on the device, and the one exception that carries them."""

from __future__ import annotations

from typing import Any

OK = 0
FAILED = 1
BAD_SIGNATURE = 10
DAMAGED = 11
UNSIGNED_FILE = 12
NO_BASE = 13
DOWNGRADE = 14
WRONG_DEVICE = 20
NOT_READY = 30
NO_ENGINE = 31
WRONG_OUTPUTS = 32
ROLLED_BACK = 40
NOTHING_IN_SERVICE = 41
INCONCLUSIVE = 42
BUSY = 50
RESTART_NEEDED = 51
USAGE = 64


class Refusal(Exception):  # noqa: N818 - a result that has a code, not a bug
    """The program stops with a code: what was found (`message`) and what to do about it (`help`)."""

    def __init__(self, code: int, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help
        self.result: dict[str, Any] = {}
        """What `--format json` prints beside them, once an install has begun."""
