"""The command lines of other load generators: the spec's traffic replayed, the spec's targets as goodput.

Sources: `aiperf profile --help` of 0.13.0, `guidellm run --help` of 0.8.1, `vllm bench serve --help` of 0.32.0, each
run against a real server.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from infc.diag import ToolError
from infc.ir.llm_measurement import TokenMetric
from infc.serve.vllm_installation import find_vllm
from infc.sim.continuous_batching import TokenRequests
from infc.validate.llm.contract import LlmContract
from infc.validate.llm.load.prompts import PromptSource
from infc.validate.llm_tools.trace import BLOCK_TOKENS, write_payloads, write_trace

ToolName: TypeAlias = Literal["aiperf", "guidellm", "vllm-bench"]

_MS = 1e3


@dataclass(frozen=True, kw_only=True)
class ToolJob:
    """One run: the server, what is asked of it, and the folder for everything that the run writes.

    `tokenizer` is the absolute path of a folder, or a repository; `run` tells the prompts of this run from others'.
    """

    url: str
    contract: LlmContract
    tokenizer: str
    requests: TokenRequests
    seed: int
    run: int
    folder: Path

    @property
    def trace(self) -> Path:
        """Where the requests are written."""
        return self.folder / "requests.jsonl"

    @property
    def prompts(self) -> PromptSource:
        """The prompts that infc's own load generator would send."""
        return PromptSource(
            model=self.contract.model.name,
            vocabulary=self.contract.model.vocabulary,
            run=self.run,
            longest_prefix=int(self.requests.prefix_tokens.max()),
        )


@dataclass(frozen=True, kw_only=True)
class LoadGeneratorTool:
    """A load generator: how it is found and called, and which file holds its result.

    `drops` are variables of the environment that it does not bear. `shares_prefix`: prompts begin alike as far as the
    spec says.
    """

    name: ToolName
    executable: Callable[[], Path]
    arguments: Callable[[ToolJob], list[str]]
    result: str
    drops: tuple[str, ...] = ()
    shares_prefix: bool = True


def _vllm_bench(job: ToolJob) -> list[str]:
    write_trace(job.trace, job.requests, job.run)
    goodput = _goodput(job.contract, {"ttft": "ttft", "tpot": "tpot", "e2e": "e2el"})
    return [
        *("bench", "serve", "--backend", "openai", "--base-url", job.url, "--endpoint", "/v1/completions"),
        *("--model", job.contract.model.name, "--tokenizer", job.tokenizer),
        *("--dataset-name", "timed_trace", "--dataset-path", str(job.trace)),
        *("--timed-trace-chunk-hash-size", str(BLOCK_TOKENS), "--num-prompts", str(len(job.requests))),
        *("--temperature", "0", "--seed", str(job.seed)),
        *("--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "50,90,95,99"),
        *(("--goodput", *goodput) if goodput else ()),
        *("--save-result", "--save-detailed", "--result-dir", str(job.folder), "--result-filename", "result.json"),
    ]


def _aiperf(job: ToolJob) -> list[str]:
    write_payloads(job.trace, job.requests, job.prompts)
    names: Mapping[TokenMetric, str] = {
        "ttft": "time_to_first_token",
        "tpot": "inter_token_latency",
        "e2e": "request_latency",
    }
    goodput = _goodput(job.contract, names)
    return [
        *("profile", "--model", job.contract.model.name, "--url", job.url),
        *("--endpoint-type", "completions", "--streaming", "--tokenizer", job.tokenizer, "--use-server-token-count"),
        *("--input-file", str(job.trace), "--custom-dataset-type", "mooncake-trace", "--fixed-schedule"),
        *("--random-seed", str(job.seed), "--output-artifact-dir", str(job.folder / "result"), "--ui", "none"),
        *(("--goodput", " ".join(goodput)) if goodput else ()),
    ]


def _guidellm(job: ToolJob) -> list[str]:
    write_trace(job.trace, job.requests, job.run)
    backend = f"kind=openai_http,target={job.url},model={job.contract.model.name},request_format=/v1/completions"
    return [
        *("run", "--backend", backend, "--profile", "kind=replay,schedule_turn=timestamp"),
        *("--constraint", f"kind=max_requests,count={len(job.requests)}"),
        *("--tokenizer", f"kind=hf_auto,model={job.tokenizer}"),
        *("--data", f"kind=trace_synthetic,source.kind=json_file,source.path={job.trace}"),
        *("--seed", f"kind=static,value={job.seed}"),
        *("--output", f"kind=json,path={job.folder / 'result.json'}", "--disable-progress"),
    ]


def _goodput(contract: LlmContract, names: Mapping[TokenMetric, str]) -> list[str]:
    """`name:milliseconds` for each metric, by its loosest limit."""
    return [
        f"{names[metric]}:{max(target.limit_s for target in targets) * _MS:g}"
        for metric, targets in contract.targets.items()
        if targets and metric in names
    ]


def _named(name: str, variable: str, install: str) -> Callable[[], Path]:
    """Finds an executable: the one that a variable names, else the one on PATH."""

    def find() -> Path:
        told = os.environ.get(variable)
        if told:
            if os.access(told, os.X_OK) and Path(told).is_file():
                return Path(told)
            raise ToolError(f"{variable} is {told}, which is no program", help=f"name the {name} executable")
        found = shutil.which(name)
        if found is None:
            raise ToolError(
                f"{name} is not installed", help=f"{install} in an environment of its own; {variable} names it"
            )
        return Path(found)

    return find


TOOLS: tuple[LoadGeneratorTool, ...] = (
    LoadGeneratorTool(
        name="aiperf",
        executable=_named("aiperf", "INFC_AIPERF", "pip install aiperf==0.13.0"),
        arguments=_aiperf,
        result="result",
        # AIPerf 0.13.0 takes the folder of a tokeniser for a repository where these are set.
        drops=("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
    ),
    LoadGeneratorTool(
        name="guidellm",
        executable=_named("guidellm", "INFC_GUIDELLM", "pip install guidellm==0.8.1"),
        arguments=_guidellm,
        result="result.json",
        shares_prefix=False,
    ),
    LoadGeneratorTool(
        name="vllm-bench", executable=lambda: find_vllm().executable, arguments=_vllm_bench, result="result.json"
    ),
)


def tool_of(name: str) -> LoadGeneratorTool:
    """The load generator of that name.

    Raises:
        ToolError: there is none.
    """
    for tool in TOOLS:
        if tool.name == name:
            return tool
    raise ToolError(f"there is no load generator {name}", help=f"one of {', '.join(tool.name for tool in TOOLS)}")
