"""What a bundle for servers says of itself: its SBOM and its provenance, from a settled decision."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import assert_never

import infc
from infc.emit.manifest import content_digest
from infc.emit.supply.bundle import Contents, supply_files
from infc.emit.supply.provenance import Dependency, Json, build_time
from infc.emit.supply.sbom import BundledModel, ContainerImage, Dataset, Metric, image_of
from infc.emit.vllm.settings import MODEL_FOLDER
from infc.ir.accuracy import AccuracyEvidence
from infc.ir.bundle import Bundle
from infc.ir.candidate import Candidate
from infc.ir.engine import Engine
from infc.ir.engine_kind import ENGINE_NAMES
from infc.ir.hardware import Hardware
from infc.ir.interval import Interval
from infc.ir.model_profile import TensorSpec
from infc.ir.problem import AnyProblem
from infc.ir.shadow import reference_name
from infc.ir.spec import OnnxModel, Spec
from infc.lock.inputs import digest_of
from infc.lock.values import InputDigests
from infc.pipeline.dependencies import dependencies_of
from infc.pipeline.plan import spec_path_in_workspace
from infc.pipeline.settled import Settled, SettledLlm, SettledOnnx
from infc.spec import LoadedSpec

_TASKS: Mapping[str, str] = {
    **dict.fromkeys(("top1", "top5", "f1", "map"), "classification"),
    **dict.fromkeys(("cosine", "spearman", "pearson"), "feature-extraction"),
}


def with_supply(bundle: Bundle, loaded: LoadedSpec, settled: Settled, inputs: InputDigests) -> Bundle:
    """The bundle with `sbom.cdx.json` and `provenance.json`.

    `inputs` are those that the lock holds of it: their digest is among what the bundle was made from.
    """
    spec = loaded.spec
    assert spec is not None  # noqa: S101 - only valid specs are compiled
    candidate = settled.plan.candidate
    contents = Contents(
        name=bundle.name,
        target=bundle.target,
        infc_version=infc.__version__,
        models=_models(bundle, loaded, spec, settled),
        images=(_image(settled, spec),),
        libraries=_libraries(settled),
        external={"spec": spec_path_in_workspace(loaded), "target": bundle.target},
        internal=_decision(settled, candidate),
        dependencies=(
            *dependencies_of(loaded),
            *_checkpoint(settled),
            *_profiles(loaded, inputs),
            lock_dependency(bundle, inputs),
        ),
        programs=[path for path in bundle.files if path.endswith(".py") and not path.startswith(f"{MODEL_FOLDER}/")],
        timestamp=build_time(os.environ),
    )
    files = supply_files(contents, bundle.files, _known_digests(bundle, settled))
    return replace(bundle, files=dict(sorted({**bundle.files, **files}.items())))


def lock_dependency(bundle: Bundle, inputs: InputDigests) -> Dependency:
    """The inputs of a lock entry as something that the bundle was made from."""
    return Dependency(name=lock_dependency_name(bundle.name, bundle.target), digest=inputs_digest(inputs))


def inputs_digest(inputs: InputDigests) -> str:
    """`sha256:<hex>` of a lock entry's inputs; inputs that it does not have, and later versions add, do not count."""
    return digest_of({name: value for name, value in asdict(inputs).items() if value is not None})


def lock_dependency_name(name: str, target: str) -> str:
    """What it is called.

    >>> lock_dependency_name("encoder", "l4")
    'infc.lock#encoder@l4'
    """
    return f"infc.lock#{name}@{target}"


def _checkpoint(settled: Settled) -> list[Dependency]:
    """The unquantised checkpoint of a language model, as the spec names it."""
    if not isinstance(settled, SettledLlm):
        return []
    return [Dependency(name=_origin(settled), digest=settled.checkpoint.source_digest)]


def _origin(settled: SettledLlm) -> str:
    source = settled.problem.source
    if source.checkpoint is not None:
        return source.checkpoint
    return f"{source.repo}@{source.revision}" if source.revision else f"{source.repo}"


def _profiles(loaded: LoadedSpec, inputs: InputDigests) -> list[Dependency]:
    """The stored measurements that the plan rests on; those that are not here are known by their names alone."""
    folder = loaded.workspace.profiles
    found = [folder / name for name in inputs.profiles]
    return [
        Dependency(name=f"{folder.name}/{path.name}", digest=content_digest(path)) for path in found if path.is_file()
    ]


def _decision(settled: Settled, candidate: Candidate) -> dict[str, Json]:
    made: dict[str, Json]
    match settled:
        case SettledOnnx():
            made = {"engine": settled.engine.kind, "engineKey": settled.engine.key}
        case SettledLlm():
            made = {"checkpoint": settled.checkpoint.digest}
        case _:
            assert_never(settled)
    return {
        "hardware": candidate.hardware_id,
        "server": candidate.server,
        "precision": candidate.precision.value,
        **made,
    }


def _libraries(settled: Settled) -> dict[str, str]:
    match settled:
        case SettledOnnx():
            toolchain = settled.engine.facts.toolchain if isinstance(settled.engine, Engine) else {}
            return {name: version for name, version in toolchain.items() if name != "machine" and version}
        case SettledLlm():
            from infc.emit.vllm.release import default_release

            return {"vllm": default_release().version, **settled.checkpoint.toolchain}
        case _:
            assert_never(settled)


def _image(settled: Settled, spec: Spec) -> ContainerImage:
    """The server's image: the one that the spec names for its cluster, else the pinned one."""
    kubernetes = spec.deploy.kubernetes
    if kubernetes is not None and kubernetes.image is not None:
        return image_of(kubernetes.image)
    match settled:
        case SettledOnnx():
            from infc.emit.release import default_release

            return image_of(default_release().container)
        case SettledLlm():
            from infc.emit.vllm.release import default_release as vllm_release

            release = vllm_release()
            is_cpu = _hardware(settled.problem, settled.plan.candidate.hardware_id).kind == "cpu"
            return image_of(release.cpu_image if is_cpu else release.image)
        case _:
            assert_never(settled)


def _hardware(problem: AnyProblem, hardware_id: str) -> Hardware:
    return next(option.hardware for option in problem.options if option.hardware.id == hardware_id)


def _known_digests(bundle: Bundle, settled: Settled) -> dict[str, str]:
    match settled:
        case SettledOnnx():
            engine = _engine_path(bundle, settled)
            is_there = isinstance(settled.engine, Engine) and engine in bundle.files
            return {engine: settled.engine.digest} if is_there and isinstance(settled.engine, Engine) else {}
        case SettledLlm():
            files = {f"{MODEL_FOLDER}/{name}": digest for name, digest in settled.checkpoint.files.items()}
            return {path: digest for path, digest in files.items() if isinstance(bundle.files.get(path), Path)}
        case _:
            assert_never(settled)


def _engine_path(bundle: Bundle, settled: SettledOnnx) -> str:
    return f"model_repository/{bundle.name}/1/{ENGINE_NAMES[settled.engine.kind]}"


def _models(bundle: Bundle, loaded: LoadedSpec, spec: Spec, settled: Settled) -> list[BundledModel]:
    """The served model with its card, and the reference of a quality shadow."""
    evidence = settled.evidence
    base = BundledModel(
        name=bundle.name,
        files=(),
        precision=settled.plan.candidate.precision.value,
        metrics=() if evidence is None else _metrics(evidence),
        datasets=tuple(_datasets(loaded, spec)),
        properties=() if evidence is None else tuple(_evidence_words(evidence)),
    )
    match settled:
        case SettledOnnx():
            assert isinstance(spec.model, OnnxModel)  # noqa: S101 - only those are built
            task = None if spec.accuracy is None else _TASKS.get(spec.accuracy.metric)
            return list(_onnx_models(bundle, settled, replace(base, task=task, origin=spec.model.onnx)))
        case SettledLlm():
            return [_language_model(bundle, settled, replace(base, task="text-generation"))]
        case _:
            assert_never(settled)


def _onnx_models(bundle: Bundle, settled: SettledOnnx, base: BundledModel) -> Iterator[BundledModel]:
    profile, engine = settled.problem.model, _engine_path(bundle, settled)
    base = replace(
        base,
        source_digest=_prefixed(profile.digest),
        inputs=tuple(map(_tensor, profile.inputs)),
        outputs=tuple(map(_tensor, profile.outputs)),
    )
    quantised = (("infc:quantization", f"recipe {settled.lowered.recipe_digest}"),)
    built = (("infc:engine", settled.engine.kind), ("infc:engine_key", settled.engine.key))
    properties = (*base.properties, *quantised, *built)
    yield replace(base, files=(engine,) if engine in bundle.files else (), properties=properties)
    reference = f"model_repository/{reference_name(bundle.name)}/1/model.onnx"
    if reference in bundle.files:
        name = reference_name(bundle.name)
        yield replace(base, name=name, files=(reference,), precision="fp32", metrics=(), datasets=(), properties=())


def _language_model(bundle: Bundle, settled: SettledLlm, base: BundledModel) -> BundledModel:
    checkpoint = settled.checkpoint
    recipe = checkpoint.recipe_digest or None
    known = {
        "infc:checkpoint": _prefixed(checkpoint.digest),
        "infc:quantization": checkpoint.quantization or (f"recipe {recipe}" if recipe else None),
    }
    return replace(
        base,
        files=tuple(path for path in sorted(bundle.files) if path.startswith(f"{MODEL_FOLDER}/")),
        origin=_origin(settled),
        source_digest=_prefixed(checkpoint.source_digest),
        properties=(*base.properties, *((name, value) for name, value in known.items() if value)),
    )


def _prefixed(digest: str) -> str:
    return f"sha256:{digest.removeprefix('sha256:')}"


def _tensor(tensor: TensorSpec) -> str:
    return f"{tensor.name} {tensor.dtype}[{', '.join(map(str, tensor.shape))}]"


def _metrics(evidence: AccuracyEvidence) -> tuple[Metric, ...]:
    """The figure that the model was accepted with and what it lost, with their bounds, and the reference's."""
    return (
        _metric(evidence.metric, evidence.value),
        _metric(f"{evidence.metric} relative drop", evidence.drop),
        Metric(name=f"{evidence.metric} of the unquantised reference", value=f"{evidence.reference:.6g}"),
    )


def _metric(name: str, figure: Interval) -> Metric:
    return Metric(name=name, value=f"{figure.value:.6g}", low=f"{figure.low:.6g}", high=f"{figure.high:.6g}")


def _evidence_words(evidence: AccuracyEvidence) -> Iterator[tuple[str, str]]:
    yield "infc:accuracy_verdict", evidence.verdict.value
    yield "infc:accuracy_subject", evidence.subject
    yield "infc:accuracy_samples", str(evidence.samples)
    yield "infc:accuracy_confidence", f"{evidence.confidence:g}"


def _datasets(loaded: LoadedSpec, spec: Spec) -> Iterator[Dataset]:
    """Data of the accuracy test and of the calibration, where they are here."""
    used = {
        "judged with": None if spec.accuracy is None else spec.accuracy.dataset,
        "calibrated on": spec.quantization.calibration,
    }
    for use, written in used.items():
        if written is not None and loaded.file(written).is_file():
            yield Dataset(name=written, digest=content_digest(loaded.file(written)), use=use)
