"""Step times of language models: physics that any device and model must obey, and what cannot run at all."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from infc.ir.hardware import Hardware
from infc.ir.interval import Basis
from infc.ir.precision import Precision
from infc.ir.step_time import StepTimeModel, StepTimePoint, StepTimeProfile
from infc.perf.llm import device_power_w, step_time
from infc.perf.llm.coefficients import PATH, TABLES, coefficients, coefficients_from_json
from infc.perf.llm.place import place_of
from infc.perf.llm.step_time import analytic_step_time
from infc.perf.llm.work import llm_work
from infc.perf.support import Unsupported
from infc.resolve.targets import load_catalogue
from tests.resolve.hf_config.models import model

CATALOGUE = load_catalogue(None)
GPUS = [d for d in CATALOGUE.all() if d.kind == "gpu"]


def device(id: str) -> Hardware:
    """A device of the catalogue."""
    found = CATALOGUE.find(id)
    assert found is not None
    return found


def steps(name: str, hardware: str, precision: Precision, devices: int = 1) -> StepTimeModel:
    """The step times of a supported combination."""
    found = step_time(model(name), device(hardware), precision, tensor_parallel=devices)
    assert isinstance(found, StepTimeModel), found
    return found


def decode_s(steps: StepTimeModel, sequences: int, context: int) -> float:
    """Seconds of a step that decodes `sequences` of `context` cached tokens each."""
    tokens = float(np.interp(sequences, steps.token_knots, steps.token_s))
    windowed = steps.window_s * min(context, steps.window_tokens) if steps.window_tokens else 0.0
    return tokens + steps.fixed_s + sequences * (steps.sequence_s + steps.context_s * context + windowed)


def prefill_s(steps: StepTimeModel, tokens: int) -> float:
    """Seconds of a step that prefills one prompt."""
    pairs = steps.pair_s * tokens * tokens / 2
    return float(np.interp(tokens, steps.token_knots, steps.token_s)) + steps.fixed_s + steps.sequence_s + pairs


@pytest.mark.parametrize("hardware", [d.id for d in GPUS])
def test_every_gpu_has_step_times_that_grow_with_tokens(hardware: str) -> None:
    """All knots are positive and none is below the one before; intervals are at least as wide as the value."""
    place = device(hardware)
    precision = Precision.BF16 if Precision.BF16 in place.peak_flops else Precision.FP16
    found = steps("llama-3.1-8b", hardware, precision)
    assert found.token_s[0] > 0
    assert all(b >= a for a, b in pairwise(found.token_s))
    assert min(found.context_s, found.pair_s, found.fixed_s, found.request_s) > 0
    assert found.decode_spread > 1
    assert found.prefill_spread > 1
    assert found.basis is Basis.ANALYTIC


@pytest.mark.parametrize(
    ("name", "hardware", "precision"),
    [
        ("llama-3.1-8b", "h100-sxm", Precision.BF16),
        ("llama-3.1-8b", "t4", Precision.FP16),
        ("llama-3.1-8b", "rtx-4090", Precision.INT4),
        ("qwen3-235b-a22b", "h200-sxm", Precision.FP8),
        ("deepseek-v3", "b200-sxm", Precision.FP4),
    ],
)
def test_a_decode_step_takes_at_least_the_time_of_its_bytes(name: str, hardware: str, precision: Precision) -> None:
    """No step is faster than reading the weights that one token needs at the full bandwidth."""
    profile, place = model(name), device(hardware)
    work = llm_work(profile, 8 if "b" in name and profile.parameters > 1e11 else 1)
    devices = 8 if profile.parameters > 1e11 else 1
    read = precision.weight_bytes * (
        work.matrix_parameters + sum(e.layers * e.experts_per_token * e.parameters for e in work.experts)
    )
    found = steps(name, hardware, precision, devices)
    assert decode_s(found, 1, 1) > 0.9 * read / place.memory_bandwidth_bytes_per_s


def test_longer_contexts_and_more_sequences_take_longer() -> None:
    """A decode step grows with both; a prefill more than linearly in its prompt."""
    found = steps("llama-3.1-8b", "a100-sxm-80gb", Precision.BF16)
    assert decode_s(found, 8, 512) < decode_s(found, 8, 4096) < decode_s(found, 64, 4096)
    assert prefill_s(found, 8192) > 4 * prefill_s(found, 2048)


def test_more_devices_shorten_large_steps_but_not_in_proportion() -> None:
    """Eight devices beat one; all-reduces keep them from being eight times as fast."""
    one, eight = (steps("llama-3.1-70b", "h200-sxm", Precision.FP8, n) for n in (1, 8))
    assert prefill_s(one, 4096) / 8 < prefill_s(eight, 4096) < prefill_s(one, 4096)
    assert decode_s(one, 32, 2048) / 8 < decode_s(eight, 32, 2048) < decode_s(one, 32, 2048)


def test_a_slow_link_is_an_input() -> None:
    """A host without peer copies (1 GB/s) makes tensor parallelism slower than its absence."""
    profile, place = model("llama-3.1-70b"), device("l40s")
    fast = step_time(profile, place, Precision.BF16, tensor_parallel=4)
    slow = step_time(profile, place, Precision.BF16, tensor_parallel=4, link_bytes_per_s=1e9)
    alone = steps("llama-3.1-70b", "l40s", Precision.BF16)
    assert isinstance(fast, StepTimeModel)
    assert isinstance(slow, StepTimeModel)
    assert prefill_s(fast, 2048) < prefill_s(alone, 2048) < prefill_s(slow, 2048)


@pytest.mark.parametrize(("name", "joined"), [("a100-pcie-80gb", 2), ("h200-nvl", 4), ("a100-sxm-80gb", 8)])
def test_a_bridge_joins_a_few_cards_and_more_exchange_over_their_slots(name: str, joined: int) -> None:
    """NVLink counts as far as it reaches: within a bridge's cards, or among all of a host behind a switch."""
    for devices in (2, 4, 8):
        over_nvlink = place_of(
            model("llama-3.1-70b"), device(name), Precision.BF16, tensor_parallel=devices
        ).is_switched
        assert over_nvlink is (devices <= joined), devices


def test_an_fp8_cache_halves_what_reading_it_costs() -> None:
    """The cache's precision decides `context_s`, nothing else."""
    profile, place = model("llama-3.1-8b"), device("h100-sxm")
    wide = step_time(profile, place, Precision.BF16)
    narrow = step_time(profile, place, Precision.BF16, kv_precision=Precision.FP8)
    assert isinstance(wide, StepTimeModel)
    assert isinstance(narrow, StepTimeModel)
    assert narrow.context_s == pytest.approx(wide.context_s / 2)
    assert replace(narrow, context_s=wide.context_s) == wide


def test_sliding_windows_read_only_their_window() -> None:
    """Half of gpt-oss's layers attend to 128 tokens: their part stops growing there."""
    found = steps("gpt-oss-120b", "h100-sxm", Precision.FP4, 2)
    assert found.window_tokens == 128
    assert found.window_s > 0
    longer, shorter = decode_s(found, 16, 8192), decode_s(found, 16, 4096)
    assert longer - shorter == pytest.approx(16 * 4096 * found.context_s)


def test_a_latent_cache_costs_less_to_read_than_grouped_heads() -> None:
    """DeepSeek's 576 elements a layer against Llama 70B's 2048, on one of eight devices it is not divided."""
    latent = steps("deepseek-v3", "h200-sxm", Precision.FP8, 8)
    grouped = steps("llama-3.1-70b", "h200-sxm", Precision.FP8, 1)
    assert latent.context_s / 61 < grouped.context_s / 80


def test_few_tokens_of_a_mixture_read_few_experts() -> None:
    """One token reads 8 of 128 experts, a hundred nearly all: the step grows far more than a dense model's."""
    mixture = steps("qwen3-30b-a3b", "h100-sxm", Precision.BF16)
    dense = steps("llama-3.1-8b", "h100-sxm", Precision.BF16)
    assert decode_s(mixture, 96, 1) > 2 * decode_s(mixture, 1, 1)
    assert decode_s(dense, 96, 1) < 1.5 * decode_s(dense, 1, 1)


def test_engines_differ_in_what_they_add() -> None:
    """The host's part and the time outside steps are an engine's own; the kernels alone are below all of them."""
    profile, place = model("llama-3.1-8b"), device("h100-sxm")
    requests = set()
    for engine in ("vllm", "trtllm", "sglang"):
        found = step_time(profile, place, Precision.BF16, engine=engine)
        assert isinstance(found, StepTimeModel)
        requests.add(found.request_s)
    assert len(requests) == 3
    bare = analytic_step_time(
        llm_work(profile, 1), place_of(profile, place, Precision.BF16), coefficients().kernels(place), TABLES
    )
    assert bare.request_s == bare.sequence_s - bare.sequence_s == 0.0
    assert bare.fixed_s < steps("llama-3.1-8b", "h100-sxm", Precision.BF16).fixed_s


def test_a_device_without_its_own_table_has_a_wider_interval() -> None:
    """Kernels of an H100 SXM were timed, of an H100 NVL not, of a T4's architecture none."""
    timed, seen, unseen = (steps("llama-3.1-8b", name, Precision.FP16) for name in ("h100-sxm", "h100-nvl", "t4"))
    assert timed.decode_spread < seen.decode_spread <= unseen.decode_spread
    assert timed.prefill_spread < seen.prefill_spread <= unseen.prefill_spread


def test_a_lower_power_mode_slows_a_jetson() -> None:
    """Modes cut clocks and memory speed."""
    module = device("jetson-agx-orin-64gb")
    modes = sorted(module.power_modes, key=lambda mode: mode.peak_flops.get(Precision.FP16, 0.0))
    times = []
    for mode in (modes[0], modes[-1]):
        found = step_time(model("llama-3.1-8b"), module, Precision.FP16, power_mode=mode.name)
        assert isinstance(found, StepTimeModel)
        times.append(prefill_s(found, 1024))
    assert times[0] > 1.5 * times[1]


@pytest.mark.parametrize(
    ("name", "hardware", "precision", "devices", "reason"),
    [
        ("llama-3.1-8b", "t4", Precision.BF16, 1, "BF16 needs 8.0"),
        ("llama-3.1-8b", "jetson-xavier-nx-8gb", Precision.FP8, 1, "FP8 weights need 7.5"),
        ("llama-3.1-8b", "b200-sxm", Precision.INT8, 1, "no INT8 kernels"),
        ("llama-3.1-8b", "h100-sxm", Precision.FP4, 1, "FP4 needs 10.0"),
        ("llama-3.1-8b", "jetson-xavier-nx-8gb", Precision.INT4, 1, "INT4 weights need 7.5"),
        ("gpt-oss-120b", "t4", Precision.FP4, 1, "FP4 weights need 8.0"),
        ("gemma-2-9b", "t4", Precision.FP16, 1, "does not start Gemma2ForCausalLM in float16"),
        ("gemma-2-9b", "t4", Precision.INT4, 1, "does not start Gemma2ForCausalLM in float16"),
        ("gemma-2-9b", "l4", Precision.FP16, 1, "bf16 takes its place"),
        ("llama-3.1-8b", "cpu", Precision.INT4, 1, "AVX-512"),
        ("llama-3.1-8b", "mi300x", Precision.BF16, 1, "no performance model"),
        ("llama-3.1-8b", "h100-sxm", Precision.BF16, 3, "1, 2, 4 or 8 devices"),
        ("llama-3.1-8b", "jetson-agx-orin-64gb", Precision.FP16, 2, "is one device"),
        ("qwen2.5-0.5b", "h100-sxm", Precision.BF16, 4, "14 attention heads cannot be divided over 4"),
    ],
)
def test_what_cannot_run_says_why(name: str, hardware: str, precision: Precision, devices: int, reason: str) -> None:
    """A reason, and never a number."""
    found = step_time(model(name), device(hardware), precision, tensor_parallel=devices)
    assert isinstance(found, Unsupported)
    assert reason in found.reason


def test_mxfp4_runs_where_only_its_weights_are_four_bits() -> None:
    """Hopper has no FP4 arithmetic, and needs none for a checkpoint that leaves activations in 16 bits."""
    assert steps("gpt-oss-120b", "h100-sxm", Precision.FP4, 2).token_s[0] > 0


def test_measured_steps_replace_the_model_and_narrow_it() -> None:
    """Sixteen points of a server that is a third slower move all predictions there, and what comes around them."""
    profile, place = model("llama-3.1-8b"), device("l4")
    before = steps("llama-3.1-8b", "l4", Precision.FP8)
    points = [
        StepTimePoint(
            prefill_tokens=0,
            decode_seqs=sequences,
            context_tokens=sequences * context,
            seconds=1.33 * decode_s(before, sequences, context),
            samples=20,
        )
        for sequences in (1, 8, 32, 64)
        for context in (128, 1024, 2048)
    ]
    points += [
        StepTimePoint(
            prefill_tokens=n, decode_seqs=0, context_tokens=0, seconds=1.33 * prefill_s(before, n), samples=20
        )
        for n in (128, 512, 2048, 4096)
    ]
    measured = StepTimeProfile(
        model_digest=profile.digest,
        precision=Precision.FP8,
        hardware_id="l4",
        tensor_parallel=1,
        points=tuple(points),
        environment={},
        overhead_s=1e-4,
        request_s=0.25,
    )
    after = step_time(profile, place, Precision.FP8, measurements=(measured,))
    assert isinstance(after, StepTimeModel)
    assert (after.basis, after.request_s) == (Basis.MEASURED, 0.25)
    assert after.decode_spread < before.decode_spread
    assert decode_s(after, 16, 512) == pytest.approx(1.33 * decode_s(before, 16, 512), rel=0.05)
    assert prefill_s(after, 1024) == pytest.approx(1.33 * prefill_s(before, 1024), rel=0.05)
    few = step_time(profile, place, Precision.FP8, measurements=(replace(measured, points=measured.points[:6]),))
    assert isinstance(few, StepTimeModel)
    assert (few.basis, few.measured) == (Basis.CALIBRATED, None)
    for other in (replace(measured, hardware_id="l40s"), replace(measured, kv_precision=Precision.FP8)):
        assert step_time(profile, place, Precision.FP8, measurements=(other,)) == before


def test_power_lies_between_idle_and_the_cap() -> None:
    """A busy device draws more than an idle one and at most its cap."""
    place = device("h100-sxm")
    idle, busy = device_power_w(place, 0.0), device_power_w(place, 1.0)
    assert idle is not None
    assert busy is not None
    assert place.tdp_w is not None
    assert idle.value < busy.value <= place.tdp_w


def test_the_committed_coefficients_decode() -> None:
    """The file holds every field of every device, and shares of bandwidth that are possible."""
    known = coefficients_from_json(PATH.read_text(encoding="utf-8"))
    assert {"tabled", "seen", "unseen"} == set(known.spread)
    for kernels in (*known.devices.values(), *known.architectures.values()):
        assert all(0.05 < share < 1.6 for share in (*kernels.stream.values(), *kernels.compute.values()))
