"""What a spec says of a Jetson module, joined with what infc knows of it: JetPack, TensorRT, accelerators, memory."""

from collections.abc import Iterator

from infc.diag import Diagnostic, Severity
from infc.diag.nearest import did_you_mean
from infc.ir.hardware import Hardware
from infc.ir.jetson import JetPack, JetsonSetup
from infc.ir.spec import Jetson, Spec
from infc.resolve.jetson import dla_refusal, has_tensorrt, is_release, jetpack_for, jetpacks, modules
from infc.spec import LoadedSpec


def jetson_setup(spec: Spec, hardware: Hardware) -> JetsonSetup | None:
    """The module as `deploy.jetson` has it; None for a device that is no Jetson module."""
    if hardware.kind != "jetson":
        return None
    asked = spec.deploy.jetson or Jetson()
    module = modules().get(hardware.id)
    if module is None:
        return JetsonSetup(
            jetpack=None,
            tensorrt=asked.tensorrt,
            module=None,
            is_dla_wanted=asked.dla,
            dla_refusal=f"infc does not know the accelerators of {hardware.id}" if asked.dla else None,
            residents_bytes=asked.reserved_bytes,
            max_temperature_c=asked.max_temperature_c,
        )
    jetpack = _jetpack(hardware.id, asked)
    tensorrt = asked.tensorrt or (None if jetpack is None else jetpack.tensorrt)
    refused = dla_refusal(hardware.id, jetpack, tensorrt) if asked.dla and jetpack is not None else None
    return JetsonSetup(
        jetpack=jetpack,
        tensorrt=tensorrt,
        module=module,
        refusal=None if jetpack is not None else _no_jetpack(hardware.id, asked.jetpack or ""),
        is_dla_wanted=asked.dla,
        dla_refusal=refused,
        residents_bytes=asked.reserved_bytes,
        max_temperature_c=asked.max_temperature_c,
    )


def jetson_problems(loaded: LoadedSpec, spec: Spec) -> Iterator[Diagnostic]:
    """A JetPack release that infc does not know, and a TensorRT that is not known to run on the one that is named."""
    asked = spec.deploy.jetson
    if asked is None:
        return
    known = [jetpack.version for jetpack in jetpacks()]
    named = next((j for j in jetpacks() if asked.jetpack is not None and is_release(j, asked.jetpack)), None)
    if asked.jetpack is not None and named is None:
        yield Diagnostic(
            id="jetson-jetpack",
            message=f"infc knows no JetPack {asked.jetpack}",
            span=loaded.span("deploy.jetson.jetpack"),
            notes=(f"it knows {', '.join(known)}",),
            help=did_you_mean(asked.jetpack, known) or f"write one of them, such as {known[-1]}",
        )
    elif asked.tensorrt is not None and not any(
        has_tensorrt(jetpack, asked.tensorrt) for jetpack in (jetpacks() if named is None else (named,))
    ):
        where = "any JetPack" if named is None else f"JetPack {named.version}"
        has = "" if named is None else f", which has {' and '.join((named.tensorrt, *named.tensorrt_also))}"
        yield Diagnostic(
            id="jetson-tensorrt",
            severity=Severity.WARNING,
            message=f"TensorRT {asked.tensorrt} is not known to run on {where}{has}",
            span=loaded.span("deploy.jetson.tensorrt"),
            help="check what the device has: dpkg -l 'libnvinfer[0-9]*', or trtexec --help",
        )


def _jetpack(hardware_id: str, asked: Jetson) -> JetPack | None:
    """The named release; else the newest of the module that has the named TensorRT, else the newest of the module."""
    if asked.jetpack is None and asked.tensorrt is not None:
        fitting = [j for j in jetpacks() if hardware_id in j.hardware_ids and has_tensorrt(j, asked.tensorrt)]
        if fitting:
            return fitting[-1]
    return jetpack_for(hardware_id, asked.jetpack)


def _no_jetpack(hardware_id: str, wanted: str) -> str:
    runs = [jetpack for jetpack in jetpacks() if hardware_id in jetpack.hardware_ids]
    supers = ": Super mode came with JetPack 6.2" if hardware_id.endswith("-super") else ""
    return f"JetPack {wanted} does not run on it{supers}; {', '.join(jetpack.version for jetpack in runs)} do"
