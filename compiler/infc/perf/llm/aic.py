"""Step times from the kernel tables of `aiconfigurator-core` (extra `aic`), where it has measured ones.

Asked for explicitly, never the default. What its tables do not answer is left to infc's own model, and said so. Only
kernel times are taken: host work between steps, queueing and the cache stay infc's.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from infc.diag import ToolError
from infc.ir.hardware import Hardware
from infc.ir.llm_profile import LlmProfile
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel
from infc.perf.llm.coefficients import Engine, coefficients
from infc.perf.support import Unsupported

T = TypeVar("T")

SYSTEMS: Mapping[str, str] = {
    "a100-sxm-40gb": "a100_sxm",
    "a100-sxm-80gb": "a100_sxm",
    "h100-sxm": "h100_sxm",
    "h200-sxm": "h200_sxm",
    "b200-sxm": "b200_sxm",
    "b300-sxm": "b300_sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "l40s": "l40s",
    "rtx-pro-6000-blackwell-server": "rtx_pro_6000_server",
}
"""Devices with measured tables in aiconfigurator-core 0.12; on others it answers with the speed of light."""
_SLOW_LINK = "l40s"
_SLOW_LINK_DEVICES = 4
"""Its L40S all-reduce at 4 and 8 devices was timed on a host without copies between peers: about 1 GB/s."""
_MATRIX_MODES: Mapping[Precision, str] = {
    Precision.BF16: "bfloat16",
    Precision.FP16: "bfloat16",
    Precision.FP8: "fp8",
    Precision.INT8: "sq",
    Precision.INT4: "int4_wo",
    Precision.FP4: "nvfp4",
}
_EXPERT_MODES: Mapping[Precision, str] = {**_MATRIX_MODES, Precision.INT8: "int8_wo"}
_DECODE_KNOTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_PREFILL_KNOTS = (1024, 2048, 4096, 8192, 16384)
_SHORT, _LONG = 256, 4096
TABLED_SPREAD = 1.15
"""Half-width of the 90% interval of a step as a factor: kernel tables leave 3 to 7% on average of whole steps."""


class _Handle(Protocol):
    """What is used of `aiconfigurator_core.sdk.EngineHandle`: milliseconds of one pass through the model."""

    def predict_prefill_latency(self, bs: int, isl: int, prefix: int = 0) -> float: ...

    def decode_step_latency(self, gen_tokens: int, isl: int, osl: int) -> float: ...


def aic_step_time(
    config: Path,
    model: LlmProfile,
    hardware: Hardware,
    precision: Precision,
    ours: StepTimeModel,
    *,
    tensor_parallel: int = 1,
    kv_precision: Precision | None = None,
    engine: Engine = "vllm",
) -> StepTimeModel | Unsupported:
    """Step times from tables, in the closed form of `ours`, whose knots beyond the tables and host costs it keeps.

    `config` is the config.json (or its folder) that `model` was read from.

    Raises:
        ToolError: aiconfigurator-core is not installed.
    """
    refused = _refusal(hardware, precision, tensor_parallel)
    if refused is not None:
        return Unsupported(reason=refused)
    with tempfile.TemporaryDirectory(prefix="infc-aic-") as folder:
        place = _config_folder(config, Path(folder))
        handle = _compiled(place, model, hardware, precision, tensor_parallel, kv_precision, engine)
        if isinstance(handle, Unsupported):
            return handle
        return _asked(lambda: _closed_form(handle, ours, engine))


def _refusal(hardware: Hardware, precision: Precision, tensor_parallel: int) -> str | None:
    if hardware.id not in SYSTEMS:
        return f"it has measured tables of {', '.join(sorted(SYSTEMS))} only"
    if precision not in _MATRIX_MODES:
        return f"it has no tables for {precision.value}"
    if hardware.id == _SLOW_LINK and tensor_parallel >= _SLOW_LINK_DEVICES:
        return "its L40S tables for 4 and more devices were measured on a host with a slow link"
    return None


def _compiled(
    folder: Path,
    model: LlmProfile,
    hardware: Hardware,
    precision: Precision,
    tensor_parallel: int,
    kv_precision: Precision | None,
    engine: Engine,
) -> _Handle | Unsupported:
    try:
        from aiconfigurator_core.sdk import EngineHandle
    except ImportError as error:
        raise ToolError(
            "step times of aiconfigurator need the package aiconfigurator-core", help="pip install 'infc[aic]'"
        ) from error
    logging.getLogger("aiconfigurator_core").setLevel(logging.ERROR)
    is_own = model.quantization is not None and model.quantization.weight_precision is precision
    has_experts = any(group.feed_forward.experts for group in model.groups)

    def compiled() -> _Handle:
        handle: _Handle = EngineHandle.compile(
            str(folder),
            SYSTEMS[hardware.id],
            engine,
            backend_version="current",
            tp_size=tensor_parallel,
            moe_tp_size=tensor_parallel,
            gemm_quant_mode=None if is_own else _MATRIX_MODES[precision],
            moe_quant_mode=None if is_own or not has_experts else _EXPERT_MODES[precision],
            kvcache_quant_mode="fp8" if kv_precision is Precision.FP8 else None,
        )
        return handle

    return _asked(compiled)


def _asked(ask: Callable[[], T]) -> T | Unsupported:
    """What the library answers; its "no data" in any of its forms is an answer too.

    aiconfigurator-core 0.12 raises ValueError for an unknown model or version, subclasses of RuntimeError for missing
    data, KeyError for configs with fields that it does not expect.
    """
    try:
        return ask()
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        return Unsupported(reason=f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")


def _closed_form(handle: _Handle, ours: StepTimeModel, engine: Engine) -> StepTimeModel:
    """Fit the closed form to the tables' answers.

    Decoding: two context lengths at each number of sequences give the slope over cached tokens. Prefill: the same
    tokens as one prompt and as four give the cost of a (query, key) pair.
    """
    server = coefficients().engines[engine]
    short = [handle.decode_step_latency(count, _SHORT, 2) / 1e3 for count in _DECODE_KNOTS]
    long = [handle.decode_step_latency(count, _LONG, 2) / 1e3 for count in _DECODE_KNOTS]
    slopes = [(b - a) / (n * (_LONG - _SHORT)) for n, a, b in zip(_DECODE_KNOTS, short, long, strict=True)]
    context_s = max(0.0, float(np.median(slopes[-4:])))
    one = handle.predict_prefill_latency(1, 8192) / 1e3
    four = handle.predict_prefill_latency(4, 2048) / 1e3
    pair_s = max(0.0, (one - four) / (8192**2 / 2 - 4 * 2048**2 / 2))
    decode = [max(1e-6, s - context_s * n * _SHORT) for n, s in zip(_DECODE_KNOTS, short, strict=True)]
    prefill = [handle.predict_prefill_latency(1, n) / 1e3 - pair_s * n * n / 2 for n in _PREFILL_KNOTS]
    return replace(
        ours,
        token_knots=(*_DECODE_KNOTS, *_PREFILL_KNOTS),
        token_s=_ascending((*decode, *prefill)),
        sequence_s=server.sequence_s,
        context_s=context_s,
        pair_s=pair_s,
        fixed_s=server.step_s,
        window_tokens=None,
        window_s=0.0,
        decode_spread=TABLED_SPREAD,
        prefill_spread=TABLED_SPREAD,
    )


def _ascending(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.maximum.accumulate(np.asarray(values, dtype=np.float64)).tolist())


def _config_folder(config: Path, folder: Path) -> Path:
    """A folder that holds the config under the name that the library looks for, so that it looks nowhere else."""
    if config.is_dir():
        return config
    (folder / "config.json").write_bytes(config.read_bytes())
    return folder
