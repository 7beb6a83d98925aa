"""Paths that another file wrote, as seen from the spec's folder.

Which keys hold paths is read off the language itself, so that a new one cannot be forgotten.
"""

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, get_args, get_origin

from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from infc.ir.spec.base import RelativePath, SpecModel
from infc.ir.spec.names import path_problem
from infc.ir.spec.spec import Spec
from infc.spec.document import YamlValue

_IS_PATH = next(m for m in get_args(RelativePath)[1:] if isinstance(m, AfterValidator))
_FOLDER_OR_REPOSITORY = "deploy.vllm.speculative.model"
"""Names a folder where there is one, else a repository of the hub."""


@lru_cache(maxsize=1)
def path_keys() -> frozenset[str]:
    """Every key of the language that holds a path; an item of a list is written `[]`.

    >>> sorted(path_keys())[:2]
    ['accuracy.dataset', 'deploy.vllm.chat_template']
    """
    return frozenset(_paths_of(Spec, ""))


def rebased(value: YamlValue, writer: Path, reader: Path) -> YamlValue:
    """The value of a file in the folder `writer` with its paths as a spec in the folder `reader` would write them.

    What is no path that a spec may hold is left as it is: it gets its own diagnostic.
    """
    if os.path.realpath(writer) == os.path.realpath(reader):
        return value
    step = Path(os.path.relpath(os.path.realpath(writer), os.path.realpath(reader))).as_posix()

    def moved(path: str, written: str) -> str:
        is_path = path in path_keys() or (path == _FOLDER_OR_REPOSITORY and (writer / written).is_dir())
        return os.path.normpath(f"{step}/{written}") if is_path and path_problem(written) is None else written

    return _mapped(value, "", moved)


def _mapped(value: YamlValue, path: str, change: Callable[[str, str], str]) -> YamlValue:
    match value:
        case dict():
            return {key: _mapped(child, f"{path}.{key}" if path else key, change) for key, child in value.items()}
        case list():
            return [_mapped(child, f"{path}[]", change) for child in value]
        case str():
            return change(path, value)
    return value


def _paths_of(model: type[SpecModel], path: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}.{field.alias or name}" if path else (field.alias or name)
        yield from _paths_in(field.annotation, here, is_path=_has_mark(field))


def _has_mark(field: FieldInfo) -> bool:
    return _IS_PATH in field.metadata


def _paths_in(annotation: object, path: str, *, is_path: bool) -> Iterator[str]:
    if is_path:
        yield path
        return
    if isinstance(annotation, type) and issubclass(annotation, SpecModel):
        yield from _paths_of(annotation, path)
        return
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from _paths_in(arguments[0], path, is_path=_IS_PATH in arguments[1:])
        return
    inner = f"{path}[]" if get_origin(annotation) in (tuple, list) else path
    for argument in arguments:
        yield from _paths_in(argument, inner, is_path=False)
