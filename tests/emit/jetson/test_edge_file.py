"""One file for the device: merged from modules, the same bytes every time, for Python 3.8 and nothing beside it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from infc.diag import InternalError
from infc.emit.jetson.edge_file import edge_file, merged
from tests.emit.jetson.python_3_8 import python_3_8

DEVICE = "infc.emit.jetson.device"


def test_the_file_is_the_same_bytes_every_time() -> None:
    """Equal sources, equal bytes."""
    assert edge_file() == edge_file()


def test_it_takes_nothing_but_the_standard_library() -> None:
    """Every import is at the top, once, and of the standard library."""
    tree = ast.parse(edge_file(), feature_version=(3, 8))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in imported if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in imported if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    statements = [ast.unparse(node) for node in imported]
    assert len(statements) == len(set(statements))
    assert all(node in tree.body for node in imported)


def test_it_runs_under_python_3_8(tmp_path: Path) -> None:
    """The oldest Python that it says it needs."""
    interpreter = python_3_8()
    program = tmp_path / "edge.py"
    program.write_bytes(edge_file())
    subprocess.run([interpreter, "-W", "error", "-m", "py_compile", str(program)], check=True)
    answer = subprocess.run([interpreter, str(program), "--help"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_modules_come_after_what_they_import() -> None:
    """Constants of one may use those of another; comments and docstrings stay."""
    sources = {
        f"{DEVICE}.cli": '"""Commands."""\n\nimport sys\nfrom .limits import LIMIT\n\nTWICE = 2 * LIMIT  # of it\n',
        f"{DEVICE}.limits": 'from __future__ import annotations\n\nLIMIT = 4\n"""How many."""\n',
    }
    text = merged(sources).decode()
    assert text.index("LIMIT = 4") < text.index("TWICE = 2 * LIMIT  # of it")
    assert "# Commands." in text
    assert '"""How many."""' in text
    assert text.count("import annotations") == 1
    assert "from .limits" not in text


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("def read():\n    pass\n", "read = 1\n", "read of infc.emit.jetson.device.b is also a name of"),
        ("import json\n", "json = 1\n", "json of infc.emit.jetson.device.b is also a name of the standard library"),
        ("print = 1\n", "", "print of infc.emit.jetson.device.a is also a name of Python"),
        ("from os import path\n", "from sys import path\n", "path is `from os import path` in"),
        ("import json as j\n", "", "imports json in a way that cannot be merged"),
        ("from . import b\n", "", "under other names"),
        ("from infc.plan import plan\n", "", "imports infc.plan, which does not go to a device"),
        ("def f():\n    import json\n", "", "has an import inside other code, in line 2"),
        ("from .b import x\n", "from .a import y\n", "import each other in a circle"),
    ],
)
def test_what_would_change_its_meaning_is_refused(first: str, second: str, said: str) -> None:
    """A bug of ours, not of a user: it names both modules."""
    with pytest.raises(InternalError, match=said.replace(".", r"\.")):
        merged({f"{DEVICE}.a": first, f"{DEVICE}.b": second})
