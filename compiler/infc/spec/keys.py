"""Which keys the language has, and where: for near misses and for keys that stand at the wrong level."""

from collections.abc import Iterator
from typing import get_args

from infc.ir.spec.base import SpecModel
from infc.ir.spec.spec import Spec


def known_keys(path: str) -> tuple[str, ...]:
    """The keys that the mapping at `path` may hold; empty where the user chooses them (axes, labels).

    >>> known_keys("slo")
    ('latency', 'ttft', 'tpot', 'e2e', 'availability')
    >>> known_keys("model.candidates[0].huggingface")
    ('repo', 'revision')
    """
    models: list[type[SpecModel]] = [Spec]
    for segment in path.split(".") if path else ():
        models = [child for model in models for child in _children(model, segment.partition("[")[0])]
    own = () if path else ("extends",)
    return tuple(dict.fromkeys((*own, *(key for model in models for key in _keys(model)))))


def homes_of(key: str) -> tuple[str, ...]:
    """The paths of the mappings that may hold `key`.

    >>> homes_of("rate"), homes_of("max_cost")
    (('workload',), ('constraints',))
    """
    return tuple(dict.fromkeys(path for path, name in _walk(Spec, "") if name == key))


def _walk(model: type[SpecModel], path: str) -> Iterator[tuple[str, str]]:
    for key in _keys(model):
        yield path, key
        for child in _children(model, key):
            yield from _walk(child, f"{path}.{key}" if path else key)


def _keys(model: type[SpecModel]) -> Iterator[str]:
    if model.__name__ == "SizeDistribution":
        yield "max"
        return
    for name, field in model.model_fields.items():
        yield field.alias or name


def _children(model: type[SpecModel], key: str) -> tuple[type[SpecModel], ...]:
    for name, field in model.model_fields.items():
        if (field.alias or name) == key:
            return tuple(_models_in(field.annotation))
    return ()


def _models_in(annotation: object) -> Iterator[type[SpecModel]]:
    if isinstance(annotation, type) and issubclass(annotation, SpecModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
