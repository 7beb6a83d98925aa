"""Adds a release of TensorRT to the lists of trtexec's options, `10.yaml` and `11.yaml` beside this file.

Run it with a checkout of github.com/NVIDIA/TensorRT at the tag of the release; nothing is compiled or downloaded:

    python extract_options.py TensorRT

An option is a name that one of the tool's parsers takes out of the command line; whatever is left there is an unknown
option, which the tool refuses. Only names are kept. A release with `commit: null` was read where no commit was told.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).parent
SOURCE = "samples/common/sampleOptions.cpp"
WIDTH = 118
HEADER = """\
# Options of trtexec, release by release: exact names, in alphabetical order. A test holds every command line that infc
# gives the tool against them, and so does the stand-in that bundles are installed with here.
# Source: samples/common/sampleOptions.cpp of NVIDIA/TensorRT (Apache 2.0) at the commit of each release, as far as it
# is public; `version` is what the VERSION file says there. Names alone are kept: facts, not text.
# Rewritten by extract_options.py. `added` and `removed` are against the release before in this list.
"""
_PARSER = re.compile(r"^(void (?P<owner>\w+)::parse|bool parseHelp)\(Arguments& arguments\)\s*\{", re.MULTILINE)
_OTHER_TOOLS = ("SafeBuilderOptions", "TaskInferenceOptions")
_NOT_COMPILED = re.compile(r"^#if ENABLE_\w+$.*?^#endif[^\n]*$", re.MULTILINE | re.DOTALL)
"""Parts that NVIDIA's published builds leave out."""
_LITERAL = re.compile(r'[(,]\s*"(--[A-Za-z][A-Za-z0-9]*|-[a-z])"\s*[,)]')


@dataclass(frozen=True, kw_only=True)
class Release:
    """The options of one release."""

    version: str
    commit: str | None
    options: frozenset[str]


def options_of(source: str) -> frozenset[str]:
    r"""Names that trtexec's parsers take.

    >>> options_of('bool parseHelp(Arguments& arguments)\n{\n    get(arguments, "-h", isShort);\n}\n')
    frozenset({'-h'})
    """
    found: set[str] = set()
    compiled = _NOT_COMPILED.sub("", source)
    for match in _PARSER.finditer(compiled):
        if match["owner"] in _OTHER_TOOLS:
            continue
        end = compiled.index("\n}", match.end() - 1)
        found |= set(_LITERAL.findall(compiled[match.end() : end]))
    return frozenset(found)


def read_releases(path: Path) -> list[Release]:
    """The releases of a list, oldest first."""
    releases: list[Release] = []
    options: frozenset[str] = frozenset()
    for entry in yaml.safe_load(path.read_text())["releases"] if path.is_file() else ():
        options = (options | set(entry["added"])) - set(entry.get("removed", ()))
        releases.append(Release(version=entry["version"], commit=entry["commit"], options=options))
    return releases


def releases_text(releases: Iterable[Release]) -> str:
    """The content of a list."""
    parts = [HEADER, "releases:\n"]
    before: frozenset[str] | None = None
    for release in sorted(releases, key=lambda release: numbers(release.version)):
        parts.append(f'  - version: "{release.version}"\n    commit: {release.commit or "null"}\n')
        parts.append(_names("added", release.options - (before or frozenset())))
        if before is not None:
            parts.append(_names("removed", before - release.options))
        before = release.options
    return "".join(parts)


def _names(key: str, names: frozenset[str]) -> str:
    """A list in YAML's flow form, wrapped."""
    lines, line = [f"    {key}:\n"], "      ["
    ordered = sorted(names, key=lambda name: (name.lstrip("-").lower(), name))
    for index, name in enumerate(ordered):
        word = name + (", " if index + 1 < len(ordered) else "]")
        if len(line) + len(word.rstrip()) > WIDTH:
            lines.append(line.rstrip() + "\n")
            line = "       "
        line += word
    return "".join([*lines, line, "\n"]) if names else f"    {key}: []\n"


def options_at(releases: Iterable[Release], version: str) -> frozenset[str]:
    """Options that a version certainly has: those of the releases on either side of it, of the same major version."""
    wanted = numbers(version)
    listed = {numbers(release.version): release.options for release in releases}
    same: Mapping[tuple[int, ...], frozenset[str]] = {
        number: options for number, options in listed.items() if number[0] == wanted[0]
    }
    older = [number for number in same if number <= wanted]
    newer = [number for number in same if number >= wanted]
    sides = [same[number] for number in [*([max(older)] if older else []), *([min(newer)] if newer else [])]]
    return frozenset.intersection(*sides) if sides else frozenset()


def numbers(version: str) -> tuple[int, ...]:
    """A version to compare: its first three numbers."""
    return tuple(int(part) for part in version.split(".")[:3])


def main(arguments: list[str]) -> int:
    """Read a checkout and rewrite the list of its major version."""
    if len(arguments) != 1:
        print("usage: extract_options.py CHECKOUT-OF-NVIDIA-TENSORRT", file=sys.stderr)
        return 64
    checkout = Path(arguments[0])
    version = ".".join((checkout / "VERSION").read_text().strip().split(".")[:3])
    head = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    options = options_of((checkout / SOURCE).read_text(encoding="utf-8"))
    path = HERE / f"{version.split('.')[0]}.yaml"
    others = [release for release in read_releases(path) if release.version != version]
    path.write_text(releases_text([*others, Release(version=version, commit=commit, options=options)]))
    print(f"{path.name}: {version} has {len(options)} options")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
