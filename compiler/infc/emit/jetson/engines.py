"""The engines that devices build, as recipes: which lowered model, for which shapes, with which options.

A recipe is the same for TensorRT 10 and 11, for every JetPack and every chip: the precision is in the network (strongly
typed), so no precision is asked of the builder. What differs between versions (flags of the network, how an option is
called, what a version lacks) is data that travels with the bundle, `bin/libraries.json`, and the device looks up the
row of its own TensorRT when it builds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infc.build.shapes import shape_ranges
from infc.emit.jetson.parts import JetsonPart
from infc.ir.build_options import BuildOptions
from infc.ir.candidate import DynamicBatching
from infc.ir.edge_release import EdgeEngine
from infc.ir.engine import ShapeRange

BUILD_TIMEOUT_S = 3600.0
"""How long a device may take to build: minutes for a vision model at the default level, an hour for the slowest."""
MOST_GPU_FALLBACK = 0.2
"""The largest share of layers that may run on the GPU where the plan counts on a deep learning accelerator.

TensorRT moves what an accelerator cannot run to the GPU without an error. The planner's accelerator times come from
networks whose ends stay on the GPU (`perf.dla`); with more than a fifth of the layers there, they say nothing.
"""


@dataclass(frozen=True, kw_only=True)
class EngineRecipes:
    """The engines of a bundle, with the model files that they are built from, and which module builds which."""

    engines: tuple[EdgeEngine, ...]
    models: Mapping[str, Path]
    of_part: tuple[EdgeEngine, ...]


def engine_recipes(name: str, parts: Sequence[JetsonPart]) -> EngineRecipes:
    """The engines of the parts, in their order; modules that build the same share an engine, and a model file.

    An engine is called after the spec and its precision (`dock-camera-int8`), with a number behind it where several
    have one precision.
    """
    models: dict[str, Path] = {}
    file_of: dict[str, str] = {}
    known: dict[tuple[str, tuple[ShapeRange, ...], BuildOptions], EdgeEngine] = {}
    of_part = []
    for part in parts:
        stem = f"{name}-{part.lowered.precision.value}"
        shapes, options = _shapes(part), _options(part)
        identity = (part.lowered.digest, shapes, options)
        if part.lowered.digest not in file_of:
            file_of[part.lowered.digest] = f"models/{_free(stem, {Path(path).stem for path in models})}.onnx"
            models[file_of[part.lowered.digest]] = part.lowered.path
        if identity not in known:
            known[identity] = EdgeEngine(
                name=_free(stem, {engine.name for engine in known.values()}),
                model=file_of[part.lowered.digest],
                model_digest=f"sha256:{part.lowered.digest}",
                precision=part.lowered.precision,
                shapes=shapes,
                options=options,
                most_gpu_fallback=0.0 if options.dla_core is None else MOST_GPU_FALLBACK,
                source_digest=f"sha256:{part.lowered.source_digest}",
                recipe_digest=f"sha256:{part.lowered.recipe_digest}",
                timeout_s=BUILD_TIMEOUT_S,
            )
        of_part.append(known[identity])
    return EngineRecipes(engines=tuple(known.values()), models=models, of_part=tuple(of_part))


def _shapes(part: JetsonPart) -> tuple[ShapeRange, ...]:
    batching = part.plan.candidate.batching
    assert isinstance(batching, DynamicBatching)  # noqa: S101 - ONNX models are served by Triton's batcher or one by one
    return shape_ranges(part.problem.model, batching.max_batch_size, part.problem.traffic.axes)


def _options(part: JetsonPart) -> BuildOptions:
    return replace(part.problem.build_options, dla_core=part.plan.candidate.dla_core)


def _free(stem: str, taken: set[str]) -> str:
    return stem if stem not in taken else next(n for i in range(2, 1000) if (n := f"{stem}-{i}") not in taken)
