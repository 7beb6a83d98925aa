"""Writes data/llm_steps.csv: step times of GPUs from the kernel tables in aiconfigurator-core (NVIDIA, Apache-2.0).

Run by hand in an environment with `aiconfigurator-core==0.12.*` (616 MB), never by `make fit`: the table it writes is
committed. Only compiled kernel tables are asked (`EngineHandle`); the end-to-end server measurements that the same
package carries are neither read here nor used anywhere to fit.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aiconfigurator_core.sdk import EngineHandle
from aiconfigurator_core.sdk.errors import PerfDataNotAvailableError

OUT = Path(__file__).with_name("data") / "llm_steps.csv"
CONFIGS = Path(__file__).with_name("data") / "llm_configs"
SYSTEMS = {
    "a100_sxm": ("a100-sxm-80gb", 80),
    "h100_sxm": ("h100-sxm", 80),
    "h200_sxm": ("h200-sxm", 141),
    "b200_sxm": ("b200-sxm", 180),
    "b300_sxm": ("b300-sxm", 270),
    "gb200": ("gb200", 186),
    "gb300": ("gb300", 278),
    "l40s": ("l40s", 48),
    "rtx_pro_6000_server": ("rtx-pro-6000-blackwell-server", 96),
}
# Model id, our name, parameters in 1e9, and for each precision the (dense, expert) modes of its matrices.
DENSE = {"bf16": ("bfloat16", None), "fp8": ("fp8", None), "fp4": ("nvfp4", None)}
EXPERTS = {"bf16": ("bfloat16", "bfloat16"), "fp8": ("fp8_block", "fp8_block"), "fp4": ("nvfp4", "nvfp4")}
MODELS = (
    ("Qwen/Qwen3-0.6B", "qwen3-0.6b", 0.6, DENSE),
    ("Qwen/Qwen3-1.7B", "qwen3-1.7b", 1.7, DENSE),
    ("meta-llama/Meta-Llama-3.1-8B", "llama3-8b", 8.0, DENSE),
    ("Qwen/Qwen3-8B", "qwen3-8b", 8.2, DENSE),
    ("Qwen/Qwen3-32B", "qwen3-32b", 32.8, DENSE),
    ("meta-llama/Meta-Llama-3.1-70B", "llama3-70b", 70.6, DENSE),
    ("meta-llama/Meta-Llama-3.1-405B", "llama3.1-405b", 405.9, DENSE),
    (str(CONFIGS / "mixtral-8x7b"), "mixtral-8x7b", 46.7, EXPERTS),
    ("Qwen/Qwen3-30B-A3B", "qwen3-30b-a3b", 30.5, EXPERTS),
    ("Qwen/Qwen3-235B-A22B", "qwen3-235b-a22b", 235.0, EXPERTS),
    ("MiniMaxAI/MiniMax-M2.5", "minimax-m2.5", 230.0, EXPERTS),
    ("openai/gpt-oss-20b", "gpt-oss-20b", 20.9, {"fp4": (None, None)}),
    ("openai/gpt-oss-120b", "gpt-oss-120b", 116.8, {"fp4": (None, None)}),
    ("deepseek-ai/DeepSeek-V3", "deepseek-r1", 671.0, {"fp8": ("fp8_block", "fp8_block"), "fp4": ("nvfp4", "nvfp4")}),
    ("moonshotai/Kimi-K2.5", "kimi-k2.5", 1040.0, {"int4": (None, None)}),
    ("Qwen/Qwen3.5-397B-A17B", "qwen3.5-397b-a17b", 397.0, EXPERTS),
)
BYTES = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.57, "int4": 0.57}
NO_FP4 = ("a100_sxm", "h100_sxm", "h200_sxm", "l40s")
TENSOR_PARALLEL = (1, 2, 4, 8)
DECODE = ((1, 1024), (4, 4096), (16, 1024), (32, 8192), (64, 2048), (128, 1024), (256, 1024), (512, 512))
PREFILL = ((1, 128), (1, 512), (1, 2048), (1, 8192), (4, 2048), (16, 256))
ENGINES = ("vllm", "trtllm", "sglang")
COMPONENTS = ("gemm_ms", "attention_ms", "experts_ms", "reduce_ms", "other_ms")
SHAPE = ("hardware", "model", "precision", "tensor_parallel", "engine", "phase", "sequences", "tokens")
COLUMNS = (*SHAPE, *COMPONENTS, "total_ms")


class Case(NamedTuple):
    """One compiled engine."""

    system: str
    model_id: str
    name: str
    precision: str
    dense: str | None
    experts: str | None
    tp: int
    engine: str


def cases() -> Iterator[Case]:
    """Every combination whose weights fit the device."""
    for system, (_, memory_gb) in SYSTEMS.items():
        for model_id, name, parameters, modes in MODELS:
            for precision, (dense, experts) in modes.items():
                for tp in TENSOR_PARALLEL:
                    if parameters * BYTES[precision] / tp > 0.9 * memory_gb:
                        continue
                    if (parameters < 3 and tp > 2) or (precision == "fp4" and system in NO_FP4 and dense is not None):
                        continue
                    engines = ENGINES if system in ("h100_sxm", "h200_sxm", "b200_sxm") else ENGINES[:1]
                    for engine in engines:
                        yield Case(system, model_id, name, precision, dense, experts, tp, engine)


def component(operator: str) -> str:
    """Which part of the step an operator's time counts to."""
    name = operator.partition("_")[2]
    if name.endswith(("dispatch", "_ar")) or name in ("p2p", "tp_allreduce", "ar_1", "ar_2"):
        return "reduce_ms"
    if "moe" in name:
        return "experts_ms"
    if "attention" in name or "mla" in name or name in ("gdn_scan", "gdn_recurrence", "gdn_conv1d"):
        return "attention_ms"
    return "gemm_ms" if name.endswith("_gemm") else "other_ms"


def rows(case: Case) -> Iterator[dict[str, object]]:
    """The step times of one engine; nothing where no kernel table covers it."""
    is_mixture = case.experts is not None or case.name.startswith(("gpt-oss", "kimi"))
    try:
        handle = EngineHandle.compile(
            case.model_id,
            case.system,
            case.engine,
            tp_size=case.tp,
            moe_tp_size=case.tp if is_mixture else None,
            gemm_quant_mode=case.dense,
            moe_quant_mode=case.experts,
            kvcache_quant_mode="bfloat16",
            fmha_quant_mode="bfloat16",
        )
    except (PerfDataNotAvailableError, ValueError, KeyError, NotImplementedError) as problem:
        print(case, type(problem).__name__, str(problem)[:100], file=sys.stderr)
        return
    for phase, grid in (("decode", DECODE), ("prefill", PREFILL)):
        for sequences, tokens in grid:
            try:
                if phase == "decode":
                    operators = handle.decode_step_per_op(sequences, tokens, 2)
                else:
                    operators = handle.run_static_per_op(
                        batch_size=sequences, beam_width=1, isl=tokens, osl=2, prefix=0, mode="static_ctx"
                    )[0]
            except (PerfDataNotAvailableError, ValueError) as problem:
                print(case, phase, sequences, tokens, str(problem)[:100], file=sys.stderr)
                continue
            if any(source in ("sol", "SOL") for *_, source in operators):
                continue
            parts = dict.fromkeys(COMPONENTS, 0.0)
            for operator, milliseconds, _, _ in operators:
                parts[component(operator)] += float(milliseconds)
            shape = (SYSTEMS[case.system][0], case.name, case.precision, case.tp, case.engine, phase, sequences, tokens)
            yield {
                **dict(zip(SHAPE, shape, strict=True)),
                **{key: f"{value:.4g}" for key, value in parts.items()},
                "total_ms": f"{sum(parts.values()):.4g}",
            }


def main() -> None:
    """Write the table."""
    with OUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for case in cases():
            writer.writerows(rows(case))


if __name__ == "__main__":
    main()
