"""infc: a declarative compiler from a service-level objective to an inference deployment.

`infc.load`, `infc.plan`, `infc.compile` and `infc.validate` are the Python API; what they take, return and raise is
documented in `infc.pipeline.api`, which defines them. Nothing is imported before the first of them is used.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infc.pipeline.api import compile, load, plan, validate  # noqa: A004 - the verb of the stage

__version__ = "0.1.0"
__all__ = ["compile", "load", "plan", "validate"]
_PACKAGES = frozenset({"plan", "validate"})
"""Of the API, what a package of a stage is called, too."""


class _Stage(ModuleType):
    """A package of a stage that can be called by its verb: `infc.plan(path)` beside `infc.plan.search`."""

    def __call__(self, *arguments: object, **options: object) -> object:
        """What `infc.pipeline.api` has under this name."""
        return _function(self.__name__.rpartition(".")[2])(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """For help texts and editors."""
        return inspect.signature(_function(self.__name__.rpartition(".")[2]))


class _Api(ModuleType):
    """This package: what Python's import sets on it as `plan` and `validate` can be called from then on."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _PACKAGES and isinstance(value, ModuleType):
            value.__class__ = _Stage
        super().__setattr__(name, value)


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return importlib.import_module(f"infc.{name}")
    if name in __all__:
        return _function(name)
    raise AttributeError(f"module 'infc' has no attribute {name!r}")


def _function(name: str) -> Callable[..., object]:
    found: Callable[..., object] = getattr(importlib.import_module("infc.pipeline.api"), name)
    return found


sys.modules[__name__].__class__ = _Api
