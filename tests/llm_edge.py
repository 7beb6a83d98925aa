"""Specs of language models for Jetson modules, their plans and what is emitted, for the tests that need one."""

import shutil
from functools import cache
from pathlib import Path

import infc.emit.jetson.llm as llm
from infc.diag import Diagnostic
from infc.emit.jetson.emit import Drafted
from infc.emit.jetson.llm_part import LlmPart
from infc.ir.checkpoint import Checkpoint
from infc.ir.plan import Infeasible, Plan
from infc.ir.problem import LlmProblem
from infc.lower.llm import hub_checkpoint, local_checkpoint
from infc.plan.llm.solve import solve_llm
from infc.resolve.problem import resolve_problem
from infc.resolve.store import ProfileStore
from infc.resolve.targets import Catalogue, load_catalogue
from infc.spec import LoadedSpec, load_spec

ROOT = Path(__file__).parents[1]
TINY, LARGE = ROOT / "specs/tiny-llama/model", ROOT / "specs/qwen3-8b/model"
_SCALE = 0.03
_SPEC = """\
apiVersion: infc.dev/v1
kind: InferenceSpec
metadata: {{name: helper}}
model: {{checkpoint: model}}
slo: {{ttft: {{p95: 3s}}, tpot: {{p95: 150ms}}}}
workload:
  arrival: poisson
  rate: 0.05/s
  prompt_tokens: {{p50: 64, p90: 160, max: 256}}
  output_tokens: {{p50: 32, p90: 64, max: 96}}
constraints: {{hardware: [{hardware}]{constraints}}}
deploy: {{server: {server}{deploy}}}
"""


@cache
def catalogue() -> Catalogue:
    """Every device, read once."""
    return load_catalogue(None)


def load(
    folder: Path,
    hardware: str,
    *,
    model: Path = TINY,
    deploy: str = "",
    constraints: str = "",
    server: str = "jetson",
) -> LoadedSpec:
    """A valid spec in `folder` beside the model's files; `deploy` is what `jetson:` holds, as YAML."""
    shutil.copytree(model, folder / "model", dirs_exist_ok=True)
    text = _SPEC.format(
        hardware=hardware,
        constraints=f", {constraints}" if constraints else "",
        server=server,
        deploy=f", jetson: {{{deploy}}}" if deploy else "",
    )
    (folder / "helper.infc.yaml").write_text(text)
    loaded = load_spec(folder / "helper.infc.yaml")
    assert loaded.spec is not None, loaded.diagnostics
    return loaded


def problem_of(loaded: LoadedSpec) -> LlmProblem:
    """What it asks for."""
    store = ProfileStore(root=loaded.path.parent / "profiles", cache=loaded.path.parent / "cache")
    resolved, problems = resolve_problem(loaded, catalogue(), store)
    assert resolved is not None, problems
    assert isinstance(resolved.problem, LlmProblem)
    return resolved.problem


def decided(problem: LlmProblem) -> Plan | Infeasible:
    """The decision, from short simulations."""
    return solve_llm(problem, scale=_SCALE)


def part_of(loaded: LoadedSpec) -> LlmPart:
    """The plan for a feasible spec with its checkpoint: the folder's, or the repository's."""
    problem = problem_of(loaded)
    plan = decided(problem)
    assert isinstance(plan, Plan), plan
    setup = problem.jetson_of(plan.candidate.hardware_id)
    assert setup is not None
    assert setup.jetpack is not None
    assert setup.tensorrt is not None
    assert setup.module is not None
    checkpoint: Checkpoint | None = hub_checkpoint(problem)
    if problem.source.checkpoint is not None:
        checkpoint, _ = local_checkpoint(loaded.path.parent / problem.source.checkpoint, problem)
    assert checkpoint is not None
    return LlmPart(
        problem=problem,
        plan=plan,
        checkpoint=checkpoint,
        jetpack=setup.jetpack,
        tensorrt=setup.tensorrt,
        module=setup.module,
    )


def emitted(loaded: LoadedSpec) -> tuple[Drafted | None, tuple[Diagnostic, ...]]:
    """What is emitted of a feasible spec, or what stands in the way."""
    assert loaded.spec is not None
    return llm.emit_jetson_llm(part_of(loaded), loaded.spec.deploy)
