"""What one bundle for Jetson modules is made of: a settled plan for each kind of module."""

from collections.abc import Sequence
from dataclasses import dataclass

from infc.diag import InternalError
from infc.ir.engine import DeviceEngine, LoweredModel
from infc.ir.hardware import Hardware, PowerMode
from infc.ir.jetson import JetPack, JetsonModule
from infc.ir.plan import Plan
from infc.ir.problem import Problem


@dataclass(frozen=True, kw_only=True)
class JetsonPart:
    """One kind of module: the plan for it, its lowered model, and the JetPack release that its devices run.

    `tensorrt` is the version on the devices: JetPack's own, unless the spec names another.
    """

    problem: Problem
    plan: Plan
    lowered: LoweredModel
    engine: DeviceEngine
    jetpack: JetPack
    module: JetsonModule
    tensorrt: str

    @property
    def hardware(self) -> Hardware:
        """The module's row of the catalogue."""
        return next(o.hardware for o in self.problem.options if o.hardware.id == self.plan.candidate.hardware_id)

    @property
    def power_mode(self) -> PowerMode | None:
        """The mode that the plan counts on; None where the module has no modes."""
        name = self.plan.candidate.power_mode
        return next((mode for mode in self.hardware.power_modes if mode.name == name), None)

    @property
    def tensorrt_major(self) -> int:
        """The first number of the version: what changes how TensorRT is asked to build."""
        return int(self.tensorrt.split(".")[0])


def shared_image(parts: Sequence[JetsonPart]) -> str | None:
    """The server image of a bundle; None where there is none for some module, or the modules need different ones."""
    images = {part.jetpack.triton_image for part in parts}
    return images.pop() if len(images) == 1 else None


def next_major(version: str) -> str:
    """The first version of the next major one.

    >>> next_major("36.4.3")
    '37'
    """
    return str(int(version.split(".")[0]) + 1)


def release_line(version: str) -> str:
    """The first two numbers of a version.

    >>> release_line("36.4.3"), release_line("39.2")
    ('36.4', '39.2')
    """
    numbers = version.split(".")[:2]
    if len(numbers) != 2:
        raise InternalError(f"{version} is no version of two numbers or more")
    return ".".join(numbers)
