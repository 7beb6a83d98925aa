"""`infc worker` as text."""

from collections.abc import Iterable

from infc.build.local_machine import BuildAbility
from infc.build.run_job import JobOutcome
from infc.ir.job import BuildEnvironment

MB = 1e6


def render_outcome_text(outcome: JobOutcome, out: str) -> str:
    """What was built, in a few lines; empty when nothing was."""
    attestation, job = outcome.attestation, outcome.job
    if attestation is None or job is None or attestation.engine is None:
        return ""
    tools = ", ".join(f"{name} {version}" for name, version in sorted(job.toolchain.items()))
    verb = "is there already" if outcome.status == "present" else f"built in {attestation.seconds:.1f} s"
    return "\n".join(
        (
            f"{job.kind} engine for {job.hardware_id} in {job.precision.value} {verb}",
            f"  key     {job.key}",
            f"  engine  {out}/{attestation.engine.name}, {attestation.engine.size_bytes / MB:.1f} MB",
            f"  with    {tools}",
            f"  on      {machine_words(attestation.environment)}",
        )
    )


def render_probe_text(environment: BuildEnvironment, abilities: Iterable[BuildAbility]) -> str:
    """What a machine can build, one kind a line."""
    rows = [f"this machine: {machine_words(environment)}"]
    for ability in abilities:
        if ability.missing is not None:
            what = f"no   {ability.missing}"
        elif ability.compute_capabilities:
            what = f"yes  {ability.version}, for compute capability {', '.join(ability.compute_capabilities)}"
        elif ability.kind in ("onnxruntime_cuda", "onnxruntime_tensorrt"):
            what = f"yes  {ability.version}, for any GPU of the server: nothing is compiled before it loads"
        else:
            what = f"yes  {ability.version}, for the CPU"
        rows.append(f"  {ability.kind:<21} {what}")
    return "\n".join(rows)


def machine_words(environment: BuildEnvironment) -> str:
    """A machine in one line."""
    gpu = "no NVIDIA GPU"
    if environment.gpu is not None:
        details = (
            f"compute capability {environment.compute_capability}" if environment.compute_capability else None,
            f"driver {environment.driver}" if environment.driver else None,
            f"CUDA {environment.cuda}" if environment.cuda else None,
        )
        gpu = f"{environment.gpu} ({', '.join(detail for detail in details if detail)})"
    return f"{gpu}, {environment.machine}, {environment.system}, Python {environment.python}"
