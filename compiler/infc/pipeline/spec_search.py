"""Which spec files a folder holds, or a pattern names that no shell has expanded.

Hidden folders, node_modules and what git ignores (build output, environments) are not searched; a file that is named
itself is always taken.
"""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from infc.pipeline.git import ignored_paths
from infc.spec import SPEC_SUFFIX

_WILD = re.compile(r"[*?\[]")


def specs_under(folder: Path) -> tuple[Path, ...]:
    """Every spec below a folder, sorted by path; links to folders are not followed, links to such specs left out."""
    return _each_once(sorted(_walk(folder, ignored_paths(folder))))


def is_pattern(argument: Path) -> bool:
    """Whether an argument is a glob pattern: there is no such file, and it holds `*`, `?` or `[`."""
    return not os.path.lexists(argument) and _WILD.search(str(argument)) is not None


def specs_matching(pattern: Path) -> tuple[Path, ...]:
    """The specs that a pattern matches, and those below folders that it matches; `**` is any number of folders."""
    matches = [Path(match) for match in sorted(glob.glob(str(pattern), recursive=True))]
    start = _fixed_part(pattern)
    ignored = ignored_paths(start) if matches else frozenset()
    found: dict[Path, None] = {}
    for match in matches:
        if _is_skipped(match, start, ignored):
            continue
        if match.is_dir():
            found |= dict.fromkeys(sorted(_walk(match, ignored)))
        elif _is_spec(match):
            found[match] = None
    return _each_once(found)


def _each_once(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths without links to a file that is among them, or that another link before them names."""
    found = tuple(paths)
    files = {os.path.realpath(path) for path in found if not path.is_symlink()}
    kept: dict[str, Path] = {}
    for path in found:
        real = os.path.realpath(path)
        if not path.is_symlink() or real not in files:
            kept.setdefault(real, path)
    return tuple(kept.values())


def _walk(root: Path, ignored: frozenset[str]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        real = os.path.realpath(folder)
        folders[:] = [name for name in folders if not _is_unsearched(name) and os.path.join(real, name) not in ignored]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and os.path.join(real, name) not in ignored and _is_spec(path):
                yield path


def _is_spec(path: Path) -> bool:
    return path.name.endswith(SPEC_SUFFIX) and path.is_file()


def _is_unsearched(name: str) -> bool:
    return name.startswith(".") or name == "node_modules"


def _fixed_part(pattern: Path) -> Path:
    """The folder before the first part that holds a wildcard."""
    parts = pattern.parts
    first = next(index for index, part in enumerate(parts) if _WILD.search(part))
    return Path(*parts[:first])


def _is_skipped(match: Path, start: Path, ignored: frozenset[str]) -> bool:
    """Whether a match lies where a search would not have come, below what the pattern spells out."""
    folder = os.path.realpath(start)
    for part in match.parts[len(start.parts) :]:
        folder = os.path.join(folder, part)
        if folder in ignored or part == "node_modules":
            return True
    return False
