"""README.md beside the archive: what it is for, and how it gets onto a device, for whoever carries it there."""

from collections.abc import Sequence

from infc.emit.jetson.deepstream import no_deepstream
from infc.emit.jetson.llm_part import LlmPart
from infc.emit.jetson.numbered import Numbered
from infc.emit.jetson.parts import JetsonPart
from infc.emit.templates import TemplateValue, render
from infc.ir.arrival import BurstyArrival, ConstantArrival, PoissonArrival
from infc.ir.edge_release import EdgeArrival, EdgeRelease, EdgeTarget, VersionRange
from infc.ir.model_profile import ModelProfile
from infc.ir.spec.deploy import Jetson
from infc.resolve.jetson_llm import edge_llm
from infc.resolve.targets.location import data_directory


def readme(
    full: Numbered,
    parts: Sequence[JetsonPart | LlmPart],
    jetson: Jetson,
    image: str | None,
    model_folder: str | None = None,
) -> bytes:
    """The file's bytes. `model_folder` is where devices have a language model that does not travel in the bundle."""
    release, model = full.release, parts[0].problem.model
    label = release.slo.latency[0].label if release.slo.latency else "p99"
    values: dict[str, TemplateValue] = {
        "name": release.name,
        "version": release.version,
        "archive": full.archive,
        "folder": full.folder,
        "image": image,
        "serves_itself": release.service.kind == "none",
        "has_engines": bool(release.engines),
        "model_folder": model_folder,
        "edge_llm": _edge_llm() if release.service.kind == "edge-llm" else None,
        "runtime": jetson.runtime,
        "targets": tuple(_target(target, part, label) for target, part in zip(release.targets, parts, strict=True)),
        "objective": tuple(_objective(release)),
        "load": f"{release.load.rate_rps:g} requests a second, {_arrival(release.load.arrival)}",
        "seconds": f"{release.load.seconds_at_most:g}",
        "is_rolled_back": release.is_rolled_back,
        "kept": release.releases_kept,
        "samples": release.verify is not None,
        "no_deepstream": no_deepstream(model) if isinstance(model, ModelProfile) else None,
        "ota": ", ".join(jetson.ota) or None,
    }
    return render(data_directory("targets") / "servers" / "jetson" / "templates", "README.md.j2", values)


def _edge_llm() -> dict[str, TemplateValue]:
    release = edge_llm()
    return {
        "version": release.version,
        "package": release.package,
        "extra": release.extra,
        "python": release.python,
        "wheel_platform": release.wheel_platform,
        "build_minutes": round(release.build_s / 60),
    }


def _target(target: EdgeTarget, part: JetsonPart | LlmPart, latency: str) -> dict[str, TemplateValue]:
    predicted = target.predicted.latency_s.get(latency)
    power = target.predicted.power_w
    cap = f" ({target.power_cap_w:g} W)" if target.power_cap_w else ""
    return {
        "title": target.title,
        "modules": ", ".join(target.modules),
        "jetpack": f"{part.jetpack.version} (L4T {_range(target.l4t)})",
        "tensorrt": _range(target.tensorrt),
        "mode": f"{target.power_mode or 'as it is'}{cap}",
        "latency": f"{latency} {predicted.value * 1e3:.1f} ms" if predicted else "not said",
        "power": f"{power.value:.0f} W" if power else "not said",
        "memory": f"{target.min_memory_bytes / 2**30:.1f} GiB",
        "disk": f"{target.min_free_bytes / 1e6:.0f} MB",
        "precision": part.plan.candidate.precision.value,
    }


def _range(versions: VersionRange) -> str:
    return f"{versions.at_least} or later, before {versions.below}"


def _objective(release: EdgeRelease) -> list[str]:
    slo = release.slo
    kinds = (("", slo.latency), ("time to first token ", slo.ttft), ("time per output token ", slo.tpot))
    limits = [
        f"{words}{target.label} at most {target.limit_s * 1e3:g} ms" for words, targets in kinds for target in targets
    ]
    limits += [f"at most {slo.max_power_w:g} W"] if slo.max_power_w is not None else []
    limits += [f"below {slo.max_temperature_c:g} C"] if slo.max_temperature_c is not None else []
    return limits


def _arrival(arrival: EdgeArrival) -> str:
    match arrival:
        case ConstantArrival(streams=1):
            return "evenly spaced"
        case ConstantArrival(streams=streams):
            return f"from {streams} evenly spaced streams"
        case PoissonArrival():
            return "at random (Poisson)"
        case BurstyArrival(cv=cv):
            return f"in bursts (coefficient of variation {cv:g})"
