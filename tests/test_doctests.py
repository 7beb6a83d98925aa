"""Every doctest of the package holds."""

import doctest
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import infc

_OPTIONAL = (
    "onnx",
    "onnxruntime",
    "torch",
    "cuda",
    "onnx_ir",
    "onnx_shape_inference",
    "tritonclient",
    "tensorrt_rtx",
    "google",
    "grpc",
)
_NOT_MODULES = ("infc.serve.backends", "infc.__main__")


def _modules() -> list[str]:
    found = [m.name for m in pkgutil.walk_packages(infc.__path__, "infc.")]
    return sorted(name for name in found if not name.startswith(_NOT_MODULES))


def _imported(name: str) -> ModuleType | None:
    """A module of the package; None where it needs an extra that is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in _OPTIONAL:
            return None
        raise


def _has_examples(name: str) -> bool:
    """Whether the source of a module holds a doctest: looking for one in the module itself takes 30 times as long."""
    path = Path(*infc.__path__, *name.split(".")[1:])
    source = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    return ">>> " in source.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in _modules() if _has_examples(name)])
def test_doctests(name: str) -> None:
    """The examples in the docstrings of a module are true."""
    module = _imported(name)
    if module is None:
        pytest.skip(f"{name} needs an extra that is not installed")
    failures, tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failures == 0
    assert tried > 0


def test_every_module_can_be_imported() -> None:
    """All that is installed is all that they need, but for the extras."""
    for name in _modules():
        _imported(name)
