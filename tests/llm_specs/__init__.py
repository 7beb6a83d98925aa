"""Twelve specs of published language models, and their plans: `planned(name)` for whoever tests what follows a plan."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from infc.ir.plan import Plan
from infc.ir.problem import LlmProblem
from infc.ir.spec import HuggingFaceModel
from infc.plan.llm.solve import solve_llm
from infc.resolve.hf_config import llm_profile
from infc.resolve.llm_problem import hub_name
from infc.resolve.problem import resolve_problem
from infc.resolve.store import ProfileStore
from infc.resolve.targets import load_catalogue
from infc.spec import LoadedSpec, load_spec

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.parent.name for path in FOLDER.glob("*/*.infc.yaml")))
_SCALE = 0.1
"""Share of the usual length of the simulations: enough for a plan of the same shape."""


def spec_path(name: str) -> Path:
    """The spec `name`, for the command line or `load`."""
    return FOLDER / name / f"{name}.infc.yaml"


def load(name: str) -> LoadedSpec:
    """The spec, which must be valid."""
    loaded = load_spec(spec_path(name))
    assert loaded.spec is not None, loaded.diagnostics
    return loaded


def fill_hub(folder: Path) -> None:
    """Make `folder` a hub cache (HF_HUB_CACHE) with the config.json of every spec that names a repository."""
    for name in NAMES:
        spec = load(name).spec
        if spec is not None and isinstance(spec.model, HuggingFaceModel):
            hub = spec.model.huggingface
            snapshot = folder / f"models--{hub.repo.replace('/', '--')}" / "snapshots" / str(hub.revision)
            snapshot.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(FOLDER / name / "model/config.json", snapshot / "config.json")


@cache
def problem(name: str) -> LlmProblem:
    """The problem of the spec `name`: of the checkpoint, or of a stored profile where a repository is named."""
    loaded = load(name)
    spec = loaded.spec
    assert spec is not None
    with tempfile.TemporaryDirectory() as folder:
        store = ProfileStore(root=Path(folder), cache=Path(folder))
        if isinstance(spec.model, HuggingFaceModel):
            hub = spec.model.huggingface
            profile, problems = llm_profile(FOLDER / name / "model", hub_name(hub.repo, hub.revision))
            assert profile is not None, problems
            store.add_llm(profile)
        resolved, diagnostics = resolve_problem(loaded, load_catalogue(None), store)
    assert resolved is not None, diagnostics
    assert isinstance(resolved.problem, LlmProblem)
    return resolved.problem


@cache
def planned(name: str) -> Plan:
    """The plan of the spec `name`, from short simulations."""
    decision = solve_llm(problem(name), scale=_SCALE)
    assert isinstance(decision, Plan), decision
    return decision
