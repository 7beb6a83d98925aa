"""JetPack releases and Jetson modules: `targets/servers/jetson/jetpacks.yaml` and `modules.yaml` as values."""

import re
from collections.abc import Mapping
from functools import cache

from infc.diag import InternalError
from infc.ir.jetson import JetPack, JetsonModule
from infc.resolve.targets.fields import Field, FieldKind
from infc.resolve.targets.location import data_directory
from infc.resolve.targets.records import Record, read_record

_MEGA = 1e6
_T, _TS = FieldKind.TEXT, FieldKind.TEXTS
_SOURCES = (
    Field(key="sources", kind=_TS, description="Who says so.", is_required=True),
    Field(key="recalled_fields", kind=_TS, description="Keys whose values rest on recall alone."),
)
_DLA_FIELDS = (
    Field(key="families", kind=_TS, description="Modules, by family.", is_required=True),
    Field(key="tensorrt", kind=_TS, description="Versions with which the accelerators work.", is_required=True),
)
_JETPACK_FIELDS = (
    Field(key="version", kind=_T, description="JetPack's version.", is_required=True),
    Field(key="l4t", kind=_T, description="Release of Jetson Linux.", is_required=True),
    Field(key="cuda", kind=_T, description="CUDA toolkit.", is_required=True),
    Field(key="tensorrt", kind=_T, description="TensorRT that it installs.", is_required=True),
    Field(key="tensorrt_also", kind=_TS, description="TensorRT versions that can be installed beside it."),
    Field(key="ubuntu", kind=_T, description="Ubuntu's version.", is_required=True),
    Field(key="python", kind=_T, description="Python's version.", is_required=True),
    Field(key="families", kind=_TS, description="Modules that it runs on, by family.", is_required=True),
    Field(key="dla", kind=FieldKind.RECORDS, description="Accelerators that can be used.", fields=_DLA_FIELDS),
    Field(key="has_super_modes", kind=FieldKind.FLAG, description="Whether it has Super modes.", is_required=True),
    Field(key="triton_image", kind=_T, description="Container of a Triton with the same TensorRT release."),
    *_SOURCES,
)
_FILES: Mapping[str, tuple[Field, ...]] = {
    "jetpacks": (
        Field(
            key="families",
            kind=FieldKind.RECORDS,
            description="Modules that go together.",
            is_required=True,
            fields=(
                Field(key="name", kind=_T, description="Name of the family.", is_required=True),
                Field(key="hardware", kind=_TS, description="Ids in the catalogue.", is_required=True),
            ),
        ),
        Field(
            key="jetpacks",
            kind=FieldKind.RECORDS,
            description="Releases, oldest first.",
            is_required=True,
            fields=_JETPACK_FIELDS,
        ),
    ),
    "modules": (
        Field(
            key="modules",
            kind=FieldKind.RECORDS,
            description="Modules by their id in the catalogue.",
            is_required=True,
            fields=(
                Field(key="hardware", kind=_T, description="Id in the catalogue.", is_required=True),
                Field(key="modules", kind=_TS, description="Part numbers.", is_required=True),
                Field(key="soc", kind=_T, description="Name of the chip.", is_required=True),
                Field(key="dla_cores", kind=FieldKind.INDEX, description="Accelerators.", is_required=True),
                Field(key="throttle_c", kind=FieldKind.NUMBER, description="Temperature from which it slows down."),
                Field(
                    key="os_memory_mb",
                    kind=FieldKind.NUMBER,
                    description="What a headless system holds, in 10^6 bytes.",
                    is_required=True,
                ),
                *_SOURCES,
            ),
        ),
    ),
}
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}")
_PART_NUMBER = re.compile(r"p[0-9]{4}-[0-9]{4}")


OLDEST_BUILT_MAJOR = 10
"""The first major version of TensorRT that infc builds engines with: JetPack 5 and 6.0 have an older one."""


@cache
def jetpacks() -> tuple[JetPack, ...]:
    """Every JetPack release that infc knows, oldest first."""
    document = _read("jetpacks")
    families = {row.required_text("name"): row.texts("hardware") for row in document.records("families")}
    found = tuple(_jetpack(record, families) for record in document.records("jetpacks"))
    if [p.version for p in found] != sorted({p.version for p in found}, key=_number):
        raise InternalError("built-in jetpacks.yaml: releases are not in ascending order, each once")
    return found


@cache
def modules() -> Mapping[str, JetsonModule]:
    """Every Jetson module that infc knows, by its id in the catalogue."""
    found: dict[str, JetsonModule] = {}
    for record in _read("modules").records("modules"):
        id, parts = record.required_text("hardware"), record.texts("modules")
        wrong = [part for part in parts if not _PART_NUMBER.fullmatch(part)]
        if id in found or wrong or not parts:
            raise InternalError(
                f"built-in modules.yaml: {id} is listed twice, or its part numbers {parts} are not such"
            )
        found[id] = JetsonModule(
            hardware_id=id,
            modules=parts,
            soc=record.required_text("soc"),
            dla_cores=record.count("dla_cores") or 0,
            throttle_c=record.number("throttle_c"),
            os_memory_bytes=record.required_number("os_memory_mb", _MEGA),
            sources=record.texts("sources"),
            recalled_fields=record.texts("recalled_fields"),
        )
    return found


def jetpack_for(hardware_id: str, wanted: str | None) -> JetPack | None:
    """The wanted JetPack release where it runs on the module, else the newest that does; None when none does.

    >>> jetpack_for("jetson-agx-xavier-32gb", None).version, jetpack_for("jetson-orin-nano-8gb-super", "6.1")
    ('5.1.5', None)
    """
    fitting = [p for p in jetpacks() if hardware_id in p.hardware_ids and (wanted is None or is_release(p, wanted))]
    return fitting[-1] if fitting else None


def is_release(jetpack: JetPack, wanted: str) -> bool:
    """Whether a text names this release: `6.2` and `6.2.0` are one; a text that is no version names none."""
    return bool(_VERSION.fullmatch(wanted)) and _number(jetpack.version) == _number(wanted)


def has_tensorrt(jetpack: JetPack, version: str) -> bool:
    """Whether a TensorRT is what a JetPack release brings, or can be installed beside that: `10.3` is 10.3.0, too.

    >>> orin = jetpack_for("jetson-orin-nx-16gb", "6.2")
    >>> has_tensorrt(orin, "10.7.0.23"), has_tensorrt(orin, "10.3"), has_tensorrt(orin, "10.9.0")
    (True, True, False)
    """
    return any(
        _is_within(version, own) or _is_within(own, version) for own in (jetpack.tensorrt, *jetpack.tensorrt_also)
    )


def dla_refusal(hardware_id: str, jetpack: JetPack, tensorrt: str | None = None) -> str | None:
    """Why the deep learning accelerators of a module cannot be used; None when they can.

    `tensorrt` is the version on the device, None for the one that JetPack installs.

    >>> orin = jetpack_for("jetson-orin-nx-16gb", "6.2")
    >>> dla_refusal("jetson-orin-nx-16gb", orin), dla_refusal("jetson-orin-nx-16gb", orin, "10.7.0")
    (None, None)
    >>> dla_refusal("jetson-agx-thor-t5000", jetpack_for("jetson-agx-thor-t5000", None))
    'jetson-agx-thor-t5000 has no deep learning accelerator'
    """
    module = modules().get(hardware_id)
    if module is None or not module.dla_cores:
        return f"{hardware_id} has no deep learning accelerator"
    version = tensorrt or jetpack.tensorrt
    if any(_is_within(version, usable) for usable in jetpack.dla.get(hardware_id, ())):
        return None
    refused = f"its accelerators cannot be used with TensorRT {version} on JetPack {jetpack.version}"
    ways = _ways_to_dla(hardware_id)
    return f"{refused}, but with {', or '.join(ways)}" if ways else refused


def _ways_to_dla(hardware_id: str) -> tuple[str, ...]:
    """Pairs of TensorRT and JetPack with which the accelerators can be used: the newest release for each version."""
    newest: dict[tuple[str, ...], str] = {}
    for jetpack in jetpacks():
        if jetpack.dla.get(hardware_id):
            newest[jetpack.dla[hardware_id]] = jetpack.version
    ways = [f"{' or '.join(versions)} on JetPack {jetpack}" for versions, jetpack in newest.items()]
    return tuple(reversed(ways))[:2]


def _is_within(version: str, usable: str) -> bool:
    """Whether a version is the usable one or a build of it: 10.3.0.30 is within 10.3, and 10.3 within 10.3."""
    wanted = _number(usable)
    return _number(version)[: len(wanted)] == wanted


def _jetpack(record: Record, families: Mapping[str, tuple[str, ...]]) -> JetPack:
    version = record.required_text("version")
    for key in ("version", "l4t", "cuda", "tensorrt", "ubuntu", "python"):
        if not _VERSION.fullmatch(record.required_text(key)):
            raise InternalError(f"built-in jetpacks.yaml: {key} of {version} is not a version")
    dla = {id: row.texts("tensorrt") for row in record.records("dla") for id in _hardware(row, families, version)}
    return JetPack(
        version=version,
        l4t=record.required_text("l4t"),
        cuda=record.required_text("cuda"),
        tensorrt=record.required_text("tensorrt"),
        tensorrt_also=record.texts("tensorrt_also"),
        ubuntu=record.required_text("ubuntu"),
        python=record.required_text("python"),
        hardware_ids=_hardware(record, families, version),
        dla=dla,
        has_super_modes=bool(record.flag("has_super_modes")),
        triton_image=record.text("triton_image"),
        sources=record.texts("sources"),
        recalled_fields=record.texts("recalled_fields"),
    )


def _hardware(record: Record, families: Mapping[str, tuple[str, ...]], version: str) -> tuple[str, ...]:
    unknown = [name for name in record.texts("families") if name not in families]
    if unknown:
        raise InternalError(f"built-in jetpacks.yaml: {version} names families that are not listed: {unknown}")
    return tuple(id for name in record.texts("families") for id in families[name])


def _read(name: str) -> Record:
    path = data_directory("targets") / "servers" / "jetson" / f"{name}.yaml"
    record, problems = read_record(path.read_text("utf-8"), path.name, _FILES[name], is_untrusted=False)
    if record is None:
        raise InternalError(f"built-in {path.name}: {problems[0].message}")
    return record


def _number(version: str) -> tuple[int, ...]:
    """A version as numbers, zeros at its end left out: by these, versions compare."""
    parts = [int(part) for part in version.split(".")]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)
