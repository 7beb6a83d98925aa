"""The tiny Llama of the examples as a problem, a plan for it, and copies of its folder to damage."""

import shutil
from dataclasses import replace
from pathlib import Path

from infc.ir.candidate import Candidate, ContinuousBatching
from infc.ir.plan import Plan
from infc.ir.precision import Precision
from infc.ir.problem import LlmProblem, LlmSource
from infc.resolve.hf_config import llm_profile
from tests.emit.vllm.samples import estimate
from tests.plan.llm.problems import problem as any_problem

FOLDER = Path(__file__).parents[3] / "specs/tiny-llama"
MODEL = FOLDER / "model"


def problem(source: LlmSource | None = None) -> LlmProblem:
    """A problem about the tiny Llama."""
    profile, said = llm_profile(MODEL, "tiny-llama")
    assert profile is not None, said
    return replace(
        any_problem(), model=profile, source=source or LlmSource(served_name="tiny-llama", checkpoint="model")
    )


def plan(precision: Precision, kv_precision: Precision | None = None) -> Plan:
    """A plan in this precision."""
    batching = ContinuousBatching(max_num_seqs=8, max_num_batched_tokens=512, kv_precision=kv_precision)
    return Plan(
        name="tiny-llama",
        spec_path="tiny-llama.infc.yaml",
        candidate=Candidate(hardware_id="cpu", server="vllm", precision=precision, batching=batching),
        estimate=estimate(),
        reasons=(),
        comments=(),
        rejections=(),
        runners_up=(),
    )


def copy_of_model(target: Path) -> Path:
    """The checkpoint in a folder of its own."""
    return Path(shutil.copytree(MODEL, target))
