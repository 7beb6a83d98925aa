"""The power mode, by the name that this board's own table gives it: numbers differ between boards and releases."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from .codes import NOT_READY, RESTART_NEEDED, Refusal
from .durable import remove_file, write_durably
from .programs import find_program, output_of, required_program

POWER_TIMEOUT_S = 60.0
_MODE = re.compile(r"^\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)\s*>", re.MULTILINE)
_CURRENT = re.compile(r"NV Power Mode:\s*(\S+)")
_RESTART = re.compile(r"reboot required", re.IGNORECASE)
_STATUS_MODE = re.compile(r"pmode:\d+")
_CLOCKS_NAME = "clocks.before"


def set_power_mode(root: str, name: str) -> dict[str, Any]:
    """Set a mode by its name: names of the mode `before` and `after`, and whether it `is_restart_needed`.

    Where the kernel cannot change to the mode while it runs, nvpmodel asks to restart the device at once. It is never
    told to: the mode is noted for the next start, and `after` is still the old one.

    What jetson_clocks has set is kept for going back.

    Raises:
        Refusal: 30, this board has no mode of that name, or nvpmodel did not set it.
    """
    if power_mode_now(root) != plain_name(name):
        _store_clocks(root)
    return _changed(root, name)


def _changed(root: str, name: str) -> dict[str, Any]:
    """Change to a mode; what `set_power_mode` returns and raises."""
    before = power_mode_now(root)
    modes = power_modes(root)
    number = modes.get(plain_name(name))
    if number is None:
        there = ", ".join(modes) or "none"
        raise Refusal(NOT_READY, f"this device has no power mode {name} (it has {there})", "compile for one of these")
    if before == plain_name(name):
        return {"before": before, "after": before, "is_restart_needed": False}
    said = _set(number)
    after = power_mode_now(root)
    if after == plain_name(name):
        return {"before": before, "after": after, "is_restart_needed": False}
    if _RESTART.search(said):
        note_for_next_start(root, number)
        return {"before": before, "after": after, "is_restart_needed": True}
    words = said.strip().splitlines()[-1] if said.strip() else "it said nothing"
    raise Refusal(NOT_READY, f"nvpmodel did not set power mode {name}: {words}", "run nvpmodel -q; see its messages")


def restore_power(root: str, before: str) -> None:
    """Put back the mode that was set before, and the clocks that jetson_clocks had pinned, if it had.

    Raises Refusal: 51 when the device must be restarted for it, 30 when the mode cannot be set.
    """
    number = power_modes(root).get(plain_name(before))
    if number is not None and power_mode_now(root) == plain_name(before):
        note_for_next_start(root, number)
    else:
        outcome = _changed(root, before)
        if outcome["is_restart_needed"]:
            raise Refusal(RESTART_NEEDED, f"power mode {before} comes back when the device restarts", "restart it")
    clocks, tool = _clocks_file(root), find_program("jetson_clocks")
    if tool is not None and clocks.is_file():
        output_of([tool, "--restore", str(clocks)], POWER_TIMEOUT_S)
        remove_file(clocks)


def power_mode_now(root: str) -> str | None:
    """Name of the mode that is set, as `plain_name` writes it; None where nvpmodel does not tell."""
    tool = find_program("nvpmodel")
    told = output_of([tool, "-q"], POWER_TIMEOUT_S) if tool is not None else None
    match = _CURRENT.search(told or "")
    return plain_name(match[1]) if match else None


def power_modes(root: str) -> dict[str, int]:
    """Numbers of this board's modes by name, in the order of its table. Source: `/etc/nvpmodel.conf`."""
    path = Path(root) / "etc" / "nvpmodel.conf"
    if path.is_symlink() and os.path.isabs(os.readlink(str(path))):
        path = Path(root) / os.readlink(str(path)).lstrip("/")  # on a board it leads to the table of the module
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {plain_name(name): int(number) for number, name in _MODE.findall(text)}


def plain_name(name: str) -> str:
    """A mode's name as the catalogue has it: boards write it with or without a prefix.

    >>> plain_name("MODE_30W"), plain_name("30W"), plain_name("MAXN_SUPER")
    ('30W', '30W', 'MAXN_SUPER')
    """
    upper = name.upper()
    return upper[len("MODE_") :] if upper.startswith("MODE_") else upper


def note_for_next_start(root: str, number: int) -> None:
    """Have nvpmodel's service set a mode when the device starts, which nvpmodel itself notes only when it restarts it.

    Source: the file that nvpmodel keeps the mode in (`pmode:0002`, on some boards with the fan's mode after it).
    """
    path = Path(root) / "var" / "lib" / "nvpmodel" / "status"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    word = f"pmode:{number:04d}"
    noted = _STATUS_MODE.sub(word, text, count=1) if _STATUS_MODE.search(text) else word
    if noted != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, noted.encode())


def _set(number: int) -> str:
    """Ask nvpmodel for a mode, and answer its question with no: all that it said. Raises Refusal 30."""
    tool = required_program("nvpmodel", "it sets the power mode")
    try:
        answer = subprocess.run(
            [tool, "-m", str(number)],
            input="no\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=POWER_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refusal(NOT_READY, f"nvpmodel did not answer: {error}", "run nvpmodel -q by hand") from error
    return answer.stdout


def _store_clocks(root: str) -> None:
    """Keep what jetson_clocks has set, for going back; it asks before it overwrites, so the old file goes first."""
    tool, clocks = find_program("jetson_clocks"), _clocks_file(root)
    if tool is not None and clocks.parent.is_dir():
        remove_file(clocks)
        output_of([tool, "--store", str(clocks)], POWER_TIMEOUT_S)


def _clocks_file(root: str) -> Path:
    return Path(root) / "opt" / "infc" / _CLOCKS_NAME
