"""What a bundle with a language model is made of: a settled plan for one kind of module."""

from dataclasses import dataclass

from infc.ir.checkpoint import Checkpoint
from infc.ir.hardware import Hardware, PowerMode
from infc.ir.jetson import JetPack, JetsonModule
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem


@dataclass(frozen=True, kw_only=True)
class LlmPart:
    """A settled plan for one kind of module, and the JetPack release that its devices run."""

    problem: LlmProblem
    plan: Plan
    checkpoint: Checkpoint
    jetpack: JetPack
    module: JetsonModule

    @property
    def hardware(self) -> Hardware:
        """The module's row of the catalogue."""
        return next(o.hardware for o in self.problem.options if o.hardware.id == self.plan.candidate.hardware_id)

    @property
    def tensorrt(self) -> str:
        """The TensorRT on the devices: JetPack's own, unless the spec names another."""
        return self.problem.tensorrt or self.jetpack.tensorrt

    @property
    def service_memory_bytes(self) -> float:
        """Memory that the service may take: all but what the spec reserves, or the system holds."""
        reserved = self.problem.limits.reserved_bytes
        return self.hardware.memory_bytes - (self.module.os_memory_bytes if reserved is None else reserved)

    @property
    def power_mode(self) -> PowerMode | None:
        """The mode that the plan counts on; None where the module has no modes."""
        name = self.plan.candidate.power_mode
        return next((mode for mode in self.hardware.power_modes if mode.name == name), None)
