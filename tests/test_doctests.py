"""Every doctest of the package holds."""

import doctest
import importlib
import pkgutil

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


@pytest.mark.parametrize("name", _modules())
def test_doctests(name: str) -> None:
    """The examples in the docstrings of a module are true."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in _OPTIONAL:
            pytest.skip(f"{name} needs {error.name}")
        raise
    failures, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failures == 0
