"""What a bundle with a language model is made of: a settled plan for one kind of module."""

from dataclasses import dataclass

from infc.ir.checkpoint import Checkpoint
from infc.ir.hardware import Hardware, PowerMode
from infc.ir.jetson import JetPack, JetsonModule
from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem


@dataclass(frozen=True, kw_only=True)
class LlmPart:
    """A settled plan for one kind of module, and what is installed on its devices."""

    problem: LlmProblem
    plan: Plan
    checkpoint: Checkpoint
    jetpack: JetPack
    tensorrt: str
    module: JetsonModule

    @property
    def hardware(self) -> Hardware:
        """The module's row of the catalogue."""
        return next(o.hardware for o in self.problem.options if o.hardware.id == self.plan.candidate.hardware_id)

    @property
    def service_memory_bytes(self) -> float:
        """Memory that the service may take: all but what other programs and the system need."""
        reserved = self.problem.reserved_bytes(self.hardware.id)
        return self.hardware.memory_bytes - (self.module.os_memory_bytes if reserved is None else reserved)

    @property
    def power_mode(self) -> PowerMode | None:
        """The mode that the plan counts on; None where the module has no modes."""
        name = self.plan.candidate.power_mode
        return next((mode for mode in self.hardware.power_modes if mode.name == name), None)
