"""What the terminal can show."""

import os
import sys


def has_color(*, stderr: bool = False) -> bool:
    """Whether output may be colored: a terminal that is not dumb, and no NO_COLOR (https://no-color.org)."""
    stream = sys.stderr if stderr else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
