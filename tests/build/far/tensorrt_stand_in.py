"""A stand-in for the `tensorrt` module of one version, with exactly the names that the real binding has.

Names come from tests/build/data (the real bindings, see benchmarks/tensorrt_names.py): an attribute or a value that the
version lacks is an error here as it is there. What is set on it can be read back from `Settings`.
"""

import json
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

DATA = Path(__file__).parents[1] / "data"


@dataclass
class Settings:
    """What a build did with the library."""

    network_flags: int = 0
    parser_flags: list[str] = field(default_factory=list)
    builder_flags: list[str] = field(default_factory=lambda: ["TF32"])
    attributes: dict[str, Any] = field(default_factory=dict)
    pools: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, Any] = field(default_factory=dict)
    combined: int = 0


class Named:
    """An object of a class whose attributes are those of the real one."""

    def __init__(self, names: list[str], settings: Settings, **methods: Any) -> None:
        self.__dict__.update(names={*names}, settings=settings, methods=methods)
        unknown = methods.keys() - {*names}
        assert not unknown, f"this version has no {unknown}"

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.names:
            raise AttributeError(name)
        self.settings.attributes[name] = getattr(value, "name", value)

    def __getattr__(self, name: str) -> Any:
        if name not in self.names:
            raise AttributeError(name)
        return self.methods[name]


def tensor(name: str, dtype: str, *, is_shape: bool = False) -> SimpleNamespace:
    """A network tensor."""
    return SimpleNamespace(name=name, dtype=SimpleNamespace(name=dtype), is_shape_tensor=is_shape)


def layer(name: str, kind: str, inputs: list[SimpleNamespace], output: SimpleNamespace) -> SimpleNamespace:
    """A network layer with one output."""
    return SimpleNamespace(
        name=name,
        type=SimpleNamespace(name=kind),
        num_inputs=len(inputs),
        get_input=lambda index: inputs[index],
        num_outputs=1,
        get_output=lambda _index: output,
    )


def network(settings: Settings, dtype: str, *, is_shape: bool) -> SimpleNamespace:
    """An input, a convolution in one type, and a layer after it."""
    x = tensor("input", dtype, is_shape=is_shape)
    y, z = tensor("y", dtype), tensor("z", dtype)
    layers = [
        layer("conv", "CONVOLUTION", [x, tensor("w", dtype)], y),
        layer("tail", "SHUFFLE", [y], z),
    ]
    return SimpleNamespace(
        num_layers=2, get_layer=lambda index: layers[index], num_inputs=1, get_input=lambda _index: x, settings=settings
    )


def tensorrt(
    version: str, *, dtype: str = "HALF", ran: str = "Half", is_shape: bool = False
) -> tuple[ModuleType, Settings]:
    """The module of `major.minor`, whose model has matrix operators in `dtype` and whose engine runs them in `ran`."""
    stored = json.loads((DATA / f"tensorrt_names_{version}.json").read_text())
    classes, settings = stored["classes"], Settings()
    module = ModuleType("tensorrt")
    members: dict[str, Any] = {"__version__": stored["version"], "ILogger": _Base, "IProgressMonitor": _Base}
    for name, values in stored["enumerations"].items():
        members[name] = IntEnum(name, {value: index for index, value in enumerate(values)})
    module.__dict__.update(members)

    def config() -> Named:
        return Named(
            classes["IBuilderConfig"],
            settings,
            set_flag=lambda flag: settings.builder_flags.append(flag.name),
            clear_flag=lambda flag: settings.builder_flags.remove(flag.name),
            set_memory_pool_limit=lambda pool, size: settings.pools.update({pool.name: size}),
            can_run_on_DLA=lambda asked: asked.name == "conv",
            add_optimization_profile=lambda _profile: 0,
            create_timing_cache=lambda content: _cache(classes, settings, content),
            set_timing_cache=lambda _cache, ignore_mismatch: not ignore_mismatch,
        )

    def create_network(flags: int) -> SimpleNamespace:
        settings.network_flags = flags
        return network(settings, dtype, is_shape=is_shape)

    def profile() -> Named:
        return Named(
            classes["IOptimizationProfile"],
            settings,
            set_shape=lambda name, low, best, high: settings.shapes.update({name: (low, best, high)}),
        )

    members["Builder"] = lambda _logger: Named(
        classes["Builder"],
        settings,
        create_network=create_network,
        create_builder_config=config,
        create_optimization_profile=profile,
        build_serialized_network=lambda _network, _config: b"ptrt",
    )
    members["OnnxParser"] = lambda _network, _logger: Named(
        classes["OnnxParser"],
        settings,
        set_flag=lambda flag: settings.parser_flags.append(flag.name),
        parse_from_file=lambda _path: True,
    )
    described = {
        "Name": "conv",
        "LayerType": "conv",
        "Inputs": [{"Format/Datatype": ran}],
        "Metadata": "[ONNX Layer: conv]",
    }
    inspector = Named(
        classes["EngineInspector"], settings, get_engine_information=lambda _format: json.dumps({"Layers": [described]})
    )
    sizes = {name: 4096 for name in ("device_memory_size", "device_memory_size_v2") if name in classes["ICudaEngine"]}
    engine = Named(classes["ICudaEngine"], settings, create_engine_inspector=lambda: inspector, **sizes)
    members["Runtime"] = lambda _logger: Named(
        classes["Runtime"], settings, deserialize_cuda_engine=lambda _plan: engine
    )
    module.__dict__.update(members)
    return module, settings


class _Base:
    """A class that users of the library derive from."""


def _cache(classes: dict[str, list[str]], settings: Settings, content: bytes) -> Named | None:
    """A timing cache; None for bytes that are none, as the real library answers."""
    if content and not content.startswith(b"timing"):
        return None

    def combine(_other: Named, ignore_mismatch: bool) -> bool:
        settings.combined += 1
        return not ignore_mismatch

    return Named(classes["ITimingCache"], settings, combine=combine, serialize=lambda: b"timing" + content)
