"""Runs in the Python of an environment with vLLM: its own parser and its own configuration of emitted files.

    python real_config.py CASES.json RESULTS.json

A case is {"file": serve.yaml, "model": folder with config.json, "device": null or {"name", "memory_bytes",
"capability": [major, minor], "count"}}. The file is read as `vllm serve --config` reads it (level 1), then vLLM builds
the whole engine configuration from it, without an engine and without weights (level 2). With a device that happens as
if on such GPUs: a platform that tells their data stands in for the real one, in a child process for each.

The stand-in is made of private names of vLLM 0.32. It resolves what the configuration decides; kernels are not asked.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


class _Stub(ModuleType):
    """A compiled extension that a build without CUDA lacks; importing from it works, nothing is called."""

    __path__: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_args, **_kwargs: None


def main() -> None:
    """Resolve every case, grouped by device."""
    cases_path, results_path = map(Path, sys.argv[1:3])
    cases = json.loads(cases_path.read_text())
    for name in ("vllm._C_stable_libtorch", "vllm.vllm_flash_attn", "vllm.vllm_flash_attn.flash_attn_interface"):
        sys.modules[name] = _Stub(name)
    from vllm.platforms import current_platform

    assert current_platform.is_cpu()
    devices = {json.dumps(case["device"], sort_keys=True) for case in cases}
    results: dict[str, Any] = {}
    for number, device in enumerate(sorted(devices)):
        own = [case for case in cases if json.dumps(case["device"], sort_keys=True) == device]
        results |= _in_child(own, json.loads(device), results_path.with_suffix(f".{number}"))
    results_path.write_text(json.dumps(results, indent=1))


def _in_child(cases: list[dict[str, Any]], device: dict[str, Any] | None, path: Path) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        try:
            if device is not None:
                _pretend(device)
            path.write_text(json.dumps({case["file"]: _resolve(case) for case in cases}))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
    os.waitpid(pid, 0)
    return json.loads(path.read_text())


def _pretend(device: dict[str, Any]) -> None:
    """Make vLLM believe that it runs on `device`."""
    import vllm._custom_ops as operators
    import vllm.platforms as platforms
    from vllm.platforms.cuda import NonNvmlCudaPlatform
    from vllm.platforms.interface import DeviceCapability

    major, minor = device["capability"]

    class StandIn(NonNvmlCudaPlatform):
        @classmethod
        def get_device_capability(cls, device_id: int = 0) -> DeviceCapability:
            return DeviceCapability(major, minor)

        @classmethod
        def get_device_name(cls, device_id: int = 0) -> str:
            return str(device["name"])

        @classmethod
        def get_device_total_memory(cls, device_id: int = 0) -> int:
            return int(device["memory_bytes"])

        @classmethod
        def device_count(cls) -> int:
            return int(device["count"])

        @classmethod
        def is_fully_connected(cls, ids: list[int]) -> bool:
            return True

        @classmethod
        def num_compute_units(cls, device_id: int = 0) -> int:
            return 100

        @classmethod
        def log_warnings(cls) -> None:
            return None

        @classmethod
        def import_kernels(cls) -> None:
            return None

    number = 10 * major + minor
    for name, least in {
        "cutlass_scaled_mm_supports_fp8": 89,
        "cutlass_scaled_mm_supports_block_fp8": 90,
        "cutlass_scaled_mm_supports_fp4": 100,
        "cutlass_group_gemm_supported": 90,
    }.items():
        setattr(operators, name, lambda _capability, least=least: number >= least)
    platforms._current_platform = StandIn()
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("vllm") and "current_platform" in vars(module):
            module.current_platform = platforms._current_platform  # type: ignore[attr-defined]


def _has_torchvision() -> bool:
    return importlib.util.find_spec("torchvision") is not None


def _resolve(case: dict[str, Any]) -> dict[str, Any]:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.usage.usage_lib import UsageContext
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    file = Path(case["file"])
    os.chdir(file.parent)
    top = FlexibleArgumentParser(prog="vllm")
    make_arg_parser(top.add_subparsers(dest="subparser").add_parser("serve"))
    try:
        parsed = top.parse_args(["serve", "--config", file.name])
        validate_parsed_serve_args(parsed)
    except SystemExit:
        return {"level": 0, "error": "the parser refuses it"}
    except Exception as error:
        return {"level": 0, "error": f"{type(error).__name__}: {error}"}
    served = parsed.model
    if "vision_config" in json.loads((Path(case["model"]) / "config.json").read_bytes()) and not _has_torchvision():
        return {"level": 1, "skipped": "this vLLM has no torchvision, which it inspects such models with"}
    parsed.model, parsed.revision, parsed.tokenizer_revision = case["model"], None, None
    try:
        engine = AsyncEngineArgs.from_cli_args(parsed)
        config = engine.create_engine_config(UsageContext.OPENAI_API_SERVER)
    except Exception as error:
        return {"level": 1, "error": f"{type(error).__name__}: {error}"}
    return {
        "level": 2,
        "model": served,
        "served_model_name": config.model_config.served_model_name,
        "dtype": str(config.model_config.dtype).removeprefix("torch."),
        "quantization": config.model_config.quantization,
        "max_model_len": config.model_config.max_model_len,
        "max_num_seqs": config.scheduler_config.max_num_seqs,
        "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
        "max_num_queued_tokens": config.scheduler_config.max_num_queued_tokens,
        "chunked_prefill": config.scheduler_config.enable_chunked_prefill,
        "prefix_caching": config.cache_config.enable_prefix_caching,
        "gpu_memory_utilization": config.cache_config.gpu_memory_utilization,
        "kv_cache_memory_bytes": config.cache_config.kv_cache_memory_bytes,
        "cache_dtype": str(config.cache_config.cache_dtype),
        "tensor_parallel": config.parallel_config.tensor_parallel_size,
        "pipeline_parallel": config.parallel_config.pipeline_parallel_size,
        "shutdown_timeout": config.shutdown_timeout,
        "buckets": config.observability_config.custom_histogram_buckets,
        "speculation": None if config.speculative_config is None else config.speculative_config.num_speculative_tokens,
    }


if __name__ == "__main__":
    main()
