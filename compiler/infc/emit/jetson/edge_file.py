"""The program that runs on a device, as one file: modules of `device/` and those they share with infc, merged.

A device gets one plain Python file that its owner can read from top to bottom. Modules stand in it in the order in
which they need each other, each under its own heading, with their comments; imports of the standard library come first.
What merging would change the meaning of is refused: a name that two modules define, an import under another name.
"""

import ast
import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from infc import __version__
from infc.diag import InternalError

PROGRAM_NAME = "edge.py"
MODULES = ("infc.emit.jetson.device", "infc.build.far", "infc.validate.far")
"""Packages that the file is made of: those of the first are all in it, of the others what they import."""
ENTRY = "infc.emit.jetson.device.cli"
_ROOT = Path(__file__).parents[3]
_WIDTH = 120
_BANNER = """\
#!/usr/bin/env python3
# Installs, checks, accepts and rolls back releases of infc's edge bundles on the device that it runs on.
#
# Made by infc {version} from the modules named below; change those, not this file. It needs Python 3.8 or later and
# nothing beside the standard library. `edge.py --help` lists the commands, docs/edge-format.md of infc the formats.
"""


@dataclass(frozen=True, kw_only=True)
class Module:
    """One module, taken apart.

    `needs` are the modules of `MODULES` that it imports, `imports` the names that it takes from elsewhere, each with
    the statement's words (`json` -> `import json`). `names` are those that it defines. `text` is what is left of its
    source, `about` its docstring.
    """

    name: str
    about: str
    needs: tuple[str, ...]
    imports: Mapping[str, str]
    names: frozenset[str]
    text: str


@cache
def edge_file() -> bytes:
    """The program; equal sources, equal bytes. Raises InternalError when the modules cannot be merged."""
    first = Path(__file__).parent / "device"
    roots = sorted(f"{MODULES[0]}.{path.stem}" for path in first.glob("*.py") if path.stem != "__init__")
    return merged({name: _source(name) for name in _closure(roots)})


def merged(sources: Mapping[str, str]) -> bytes:
    """One file of modules, by their dotted names. Raises InternalError.

    >>> b"import json" in merged({"infc.emit.jetson.device.cli": "import json"})
    True
    """
    modules = {name: module_from(name, source) for name, source in sources.items()}
    ordered = _in_order(modules)
    _refuse_clashes(ordered)
    parts = [_BANNER.format(version=__version__), _imports_text(ordered)]
    parts += [_section(module) for module in ordered]
    if ENTRY in modules:
        parts.append('if __name__ == "__main__":\n    sys.exit(main(sys.argv[1:]))\n')
    return "\n\n".join(part.strip("\n") + "\n" for part in parts).encode()


def module_from(name: str, source: str) -> Module:
    """A module taken apart. Raises InternalError for what cannot be merged."""
    tree = ast.parse(source, filename=name, feature_version=(3, 8))
    lines = source.splitlines()
    imports: dict[str, str] = {}
    needs: list[str] = []
    cut: list[ast.stmt] = []
    names: set[str] = set()
    body = list(tree.body)
    about = ast.get_docstring(tree) or ""
    if about:
        cut.append(body.pop(0))
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            cut.append(statement)
            _take_import(name, statement, imports, needs)
        elif _is_entry(statement):
            cut.append(statement)
        else:
            _refuse_inner_imports(name, statement)
            names |= _defined(statement)
    for statement in cut:
        for number in range(statement.lineno - 1, statement.end_lineno or statement.lineno):
            lines[number] = ""
    text = "\n".join(lines).strip("\n")
    needed = tuple(dict.fromkeys(needs))
    return Module(name=name, about=about, needs=needed, imports=imports, names=frozenset(names), text=text)


def _take_import(name: str, statement: ast.Import | ast.ImportFrom, imports: dict[str, str], needs: list[str]) -> None:
    """Sort one import: another module of the file, or the standard library."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            if alias.asname is not None or alias.name.partition(".")[0] == "infc":
                raise InternalError(f"{name} imports {alias.name} in a way that cannot be merged")
            imports[alias.name] = f"import {alias.name}"
        return
    package = name.rpartition(".")[0]
    source = f"{package}.{statement.module}" if statement.level == 1 else str(statement.module)
    if statement.level > 1 or statement.module is None or any(alias.asname for alias in statement.names):
        raise InternalError(f"{name} imports from {'.' * statement.level}{statement.module or ''} under other names")
    if source.partition(".")[0] == "infc":
        if source.rpartition(".")[0] not in MODULES:
            raise InternalError(f"{name} imports {source}, which does not go to a device")
        needs.append(source)
        return
    if source != "__future__":
        imports.update({alias.name: f"from {source} import {alias.name}" for alias in statement.names})


def _refuse_inner_imports(name: str, statement: ast.stmt) -> None:
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            raise InternalError(f"{name} has an import inside other code, in line {node.lineno}")


def _is_entry(statement: ast.stmt) -> bool:
    """Whether this is `if __name__ == "__main__":`."""
    return isinstance(statement, ast.If) and "__name__" in {
        node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)
    }


def _defined(statement: ast.stmt) -> set[str]:
    """Names that a statement at the top of a module defines there."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _closure(roots: list[str]) -> Iterator[str]:
    """These modules and all that they import, each once."""
    seen: set[str] = set()
    left = list(roots)
    while left:
        name = left.pop(0)
        if name not in seen:
            seen.add(name)
            yield name
            left += module_from(name, _source(name)).needs


def _source(name: str) -> str:
    return _ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8")


def _in_order(modules: Mapping[str, Module]) -> list[Module]:
    """Modules after those that they import, else by name; the entry point last. Raises InternalError for a circle."""
    ordered: list[Module] = []
    placed: set[str] = set()
    left = sorted(modules, key=lambda name: (name == ENTRY, MODULES.index(name.rpartition(".")[0]) == 0, name))
    while left:
        ready = next((name for name in left if set(modules[name].needs) <= placed), None)
        if ready is None:
            raise InternalError(f"modules of {PROGRAM_NAME} import each other in a circle: {', '.join(left)}")
        ordered.append(modules[ready])
        placed.add(ready)
        left.remove(ready)
    return ordered


def _refuse_clashes(modules: list[Module]) -> None:
    """Raise InternalError for a name that would mean two things in one file."""
    owners: dict[str, str] = dict.fromkeys(dir(builtins), "Python")
    statements: dict[str, tuple[str, str]] = {}
    for module in modules:
        for name, statement in sorted(module.imports.items()):
            bound = name.partition(".")[0]
            other, before = statements.setdefault(bound, (module.name, statement))
            if before != statement and not (before.startswith("import ") and statement.startswith("import ")):
                raise InternalError(f"{bound} is `{before}` in {other} and `{statement}` in {module.name}")
            owners.setdefault(bound, "the standard library")
    for module in modules:
        for name in sorted(module.names - {"__doc__"}):
            other = owners.setdefault(name, module.name)
            if other != module.name:
                raise InternalError(f"{name} of {module.name} is also a name of {other}; {PROGRAM_NAME} merges both")


def _imports_text(modules: list[Module]) -> str:
    """All imports of the standard library, one statement for each module of it."""
    plain: set[str] = {"import sys"}
    members: dict[str, set[str]] = {}
    for module in modules:
        for name, statement in module.imports.items():
            if statement.startswith("import "):
                plain.add(statement)
            else:
                members.setdefault(statement.split(" ")[1], set()).add(name)
    lines = ["from __future__ import annotations", "", *sorted(plain)]
    lines += [f"from {source} import {', '.join(sorted(names))}" for source, names in sorted(members.items())]
    return "\n".join(lines)


def _section(module: Module) -> str:
    """A module under its heading."""
    path = "/".join(module.name.split(".")) + ".py"
    about = [f"# {line}".rstrip() for line in module.about.splitlines()]
    return "\n".join(["#" * _WIDTH, f"# {path}", *about, "#" * _WIDTH, "", "", module.text.strip("\n")])
