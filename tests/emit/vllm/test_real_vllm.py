"""Every emitted serve.yaml through vLLM's own parser and its own engine configuration, as if on the planned device.

Needs an environment with vLLM (INFC_VLLM names its command); no weights, no engine, no GPU.
"""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infc.diag import ToolError
from infc.emit.vllm import default_release, emit
from infc.emit.write import write_bundle
from infc.ir.bundle import Bundle
from infc.ir.candidate import Speculation
from infc.ir.hardware import Hardware
from infc.ir.spec import Deploy, Vllm
from infc.perf.llm.memory import visible_memory_bytes
from infc.serve.vllm import VARIABLES
from infc.serve.vllm_installation import find_vllm
from tests import llm_specs
from tests.emit.vllm import samples

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SCRIPT = Path(__file__).parent / "real_config.py"
DEVICES_OF_A_HOST = 8


def device(hardware: Hardware) -> dict[str, Any] | None:
    """What the stand-in tells vLLM of a GPU; None for a CPU."""
    if hardware.kind == "cpu":
        return None
    return {
        "name": f"NVIDIA {hardware.name}",
        "memory_bytes": int(visible_memory_bytes(hardware)),
        "capability": [int(part) for part in str(hardware.compute_capability).split(".")],
        "count": DEVICES_OF_A_HOST,
    }


def case(folder: Path, model: Path, hardware_id: str) -> dict[str, Any]:
    """A file to resolve on a device."""
    hardware = samples.catalogue().find(hardware_id)
    assert hardware is not None
    return {"file": str(folder / "serve.yaml"), "model": str(model), "device": device(hardware)}


def resolved(cases: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What vLLM makes of each file."""
    try:
        installation = find_vllm()
    except ToolError as error:
        pytest.skip(str(error))
    if installation.release != default_release().version:
        pytest.skip(f"vLLM {installation.version} is not the pinned {default_release().version}")
    if not installation.is_cpu:
        pytest.skip("the stand-in for a GPU is made for vLLM's CPU build")
    given, results = folder / "cases.json", folder / "results.json"
    given.write_text(json.dumps(cases))
    ran = subprocess.run(
        [str(installation.python), str(SCRIPT), str(given), str(results)],
        env={**os.environ, **VARIABLES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, Any] = json.loads(results.read_text())
    return found


def compare(settings: dict[str, Any], result: dict[str, Any]) -> None:
    """The configuration that an engine would start with is what the file says."""
    assert result["level"] == 2, result
    assert result["model"] == settings["model"]
    assert result["served_model_name"] == settings["served-model-name"]
    assert result["dtype"] == settings["dtype"]
    for key in ("max_model_len", "max_num_seqs", "max_num_batched_tokens"):
        assert result[key] == settings[key.replace("_", "-")], key
    assert result["max_num_queued_tokens"] == settings.get("max-num-queued-tokens")
    assert result["prefix_caching"] == ("enable-prefix-caching" in settings)
    assert result["chunked_prefill"] == ("enable-chunked-prefill" in settings)
    assert result["kv_cache_memory_bytes"] == settings.get("kv-cache-memory-bytes")
    if "gpu-memory-utilization" in settings:
        assert result["gpu_memory_utilization"] == pytest.approx(settings["gpu-memory-utilization"])
    assert result["cache_dtype"] == settings["kv-cache-dtype"]
    assert result["tensor_parallel"] == settings["tensor-parallel-size"]
    assert result["pipeline_parallel"] == settings.get("pipeline-parallel-size", 1)
    assert result["shutdown_timeout"] == settings["shutdown-timeout"]
    assert result["buckets"] == settings["custom-histogram-buckets"]
    speculative = settings.get("speculative-config")
    assert result["speculation"] == (speculative["num_speculative_tokens"] if speculative else None)


def written(bundle: Bundle | None, folder: Path) -> Path:
    """The folder of a bundle on disk."""
    assert bundle is not None
    assert write_bundle(bundle, folder) == ()
    return folder


def test_twelve_models_pass_the_parser_and_the_engine_configuration(tmp_path: Path) -> None:
    """Each model on the device of its plan: the parser takes the file, and the engine would start with its values."""
    cases, folders = [], {}
    for name in llm_specs.NAMES:
        problem, plan, spec = llm_specs.problem(name), llm_specs.planned(name), llm_specs.load(name).spec
        assert spec is not None
        made = samples.checkpoint(problem, name, plan.candidate.precision)
        bundle, problems = emit(problem, plan, made, spec.deploy)
        assert bundle is not None, problems
        folders[name] = written(bundle, tmp_path / name)
        cases.append(case(folders[name], samples.model_folder(name), plan.candidate.hardware_id))
    results = resolved(cases, tmp_path)
    skipped = []
    for name, folder in folders.items():
        result = results[str(folder / "serve.yaml")]
        if "skipped" in result:
            skipped.append(name)
        else:
            compare(yaml.safe_load((folder / "serve.yaml").read_text()), result)
    assert set(skipped) <= {"qwen2.5-vl-7b"}


def test_other_devices_drafters_and_flags(tmp_path: Path) -> None:
    """A CPU, a T4, an A100, an H100 with an n-gram drafter and flags of the user's, pipeline stages within a host."""
    model = samples.model_folder(samples.MODEL)
    plain = samples.batching()
    on_cpu = replace(plain, gpu_memory_utilization=None, kv_cache_memory_bytes=2**28)
    drafting = replace(plain, speculation=Speculation(method="ngram", tokens=3, acceptance=0.6))
    arguments = {"tool-call-parser": "hermes", "enable-auto-tool-choice": True, "no-enable-log-deltas": True}
    made = {
        "cpu": ("cpu", on_cpu, 1, 1, {}),
        "t4": ("t4", replace(plain, has_prefix_caching=False), 2, 1, {}),
        "a100": ("a100-sxm-80gb", replace(plain, long_prefill_tokens=512), 1, 1, {}),
        "h100": ("h100-sxm", drafting, 1, 1, arguments),
        "stages": ("h100-sxm", plain, 2, 2, {}),
    }
    cases = []
    for name, (hardware, settings, tensor, stages, args) in made.items():
        problem = samples.problem_on(hardware)
        decided = samples.plan(problem, settings=settings, tensor_parallel=tensor, pipeline_parallel=stages)
        if name == "t4":
            decided = replace(decided, candidate=replace(decided.candidate, precision=samples.Precision.FP16))
        bundle = samples.bundle_of(problem, decided, Deploy(vllm=Vllm(args=args)))
        cases.append(case(written(bundle, tmp_path / name), model, hardware))
    results = resolved(cases, tmp_path)
    for one in cases:
        compare(yaml.safe_load(Path(one["file"]).read_text()), results[one["file"]])


def test_vllm_itself_refuses_what_the_check_refuses(tmp_path: Path) -> None:
    """The harness sees what it should: a wrong key and a wrong choice at the parser, a wrong bound at the engine."""
    model = samples.model_folder(samples.MODEL)
    wrong = {
        "key": ("max-num-sequences: 4", 0),
        "choice": ("kv-cache-dtype: fp16", 0),
        "null": ("max-num-seqs: null", 0),
        "nested": ("compilation-config: {mod: 3}", 0),
        "bound": ("max-num-seqs: 0", 1),
        "method": ("quantization: fp3", 1),
        "dropped": ("enable-prefix-caching: false", 2),
    }
    cases = []
    for name, (line, _) in wrong.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "serve.yaml").write_text(f"model: model\nmax-model-len: 4096\n{line}\n")
        cases.append(case(folder, model, "h100-sxm"))
    results = resolved(cases, tmp_path)
    levels = {name: results[str(tmp_path / name / "serve.yaml")]["level"] for name in wrong}
    assert levels == {name: level for name, (_, level) in wrong.items()}
    assert results[str(tmp_path / "dropped" / "serve.yaml")]["prefix_caching"] is True
