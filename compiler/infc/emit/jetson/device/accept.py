"""Measures a release under the spec's load, as its clients see it, and says whether it meets its objective."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Callable, Sequence  # noqa: UP035 - Python 3.8

from infc.validate.far.mixture import overall_word

from .codes import ROLLED_BACK, Refusal
from .durable import read_json
from .engine_runs import EngineError
from .infer_requests import InferClient, infer_bodies
from .judging import LATENCY, TPOT, TTFT, Limit, Measured, ceiling, judged, limits_of, percentiles
from .outputs import runs_of
from .sending import Client, Sending, due_times_s
from .sensors import SensorWatch
from .token_requests import TokenClient, request_lengths

WORKERS = 32
"""Requests that can be on their way at once; more would be a queue that no objective allows."""
LEAST_MEASURED_S = 10.0
LEAST_MEASURED_SHARE = 0.1
"""A verdict needs at least this long, or this share of the time that is allowed: sensors are slower than requests."""
_LOOK_S = 0.5
_TELL_S = 3.0
_ROUND_S = 5.0
_ENGINE_WARM_UP_S, _ENGINE_S = 0.5, 2.0
_LEAST_TIMEOUT_S = 10.0


def accept(
    root: str,
    release: Path,
    manifest: dict[str, Any],
    target: dict[str, Any],
    engine: dict[str, Any] | None,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Fields of acceptance.json that are measured: load, latencies, power, temperature, and the verdicts.

    A release that another program serves is judged by the engine alone, without a queue.

    Raises:
        Refusal: 40, nothing could be measured.
    """
    limits = limits_of(manifest["slo"])
    with SensorWatch(root) as sensors:
        if manifest["service"]["kind"] == "none":
            load, samples = _engine_load(release, manifest, limits, sensors, report)
        else:
            load, samples = _service_load(release, manifest, limits, sensors, report)
        power_w, temperature_c, is_throttled = sensors.power_w(), sensors.temperature_c(), sensors.is_throttled()
    confidence, spacing_s = float(manifest["slo"]["confidence"]), 1.0 / load["rate_rps"]
    verdicts = [judged(limit, samples, confidence, spacing_s) for limit in limits]
    verdicts += ceiling("power", manifest["slo"].get("max_power_w"), power_w)
    verdicts += ceiling("temperature", manifest["slo"].get("max_temperature_c"), temperature_c)
    if load["failed"]:
        failed = {"metric": "failed", "limit": 0.0, "value": float(load["failed"]), "low": None, "high": None}
        verdicts.append({**failed, "verdict": "fail"})

    def summary(kind: str) -> dict[str, Any]:
        return percentiles([sample.of(kind) for sample in samples], limits, kind, confidence, spacing_s)

    measured = {"load": load, "latency_s": summary(LATENCY)}
    if manifest["kind"] == "llm":
        measured.update(ttft_s=summary(TTFT), tpot_s=summary(TPOT))
    is_alone = load["what"] == "engine"
    engine_s = measured["latency_s"] if is_alone else _engine_latency(release, manifest, engine, report)
    verdict = overall_word([entry["verdict"] for entry in verdicts]) if verdicts else "pass"
    return {
        **measured,
        "engine_latency_s": engine_s,
        "verdicts": verdicts,
        "power_w": power_w,
        "temperature_c": temperature_c,
        "is_throttled": is_throttled,
        "verdict": verdict,
    }


def _service_load(
    release: Path,
    manifest: dict[str, Any],
    limits: Sequence[Limit],
    sensors: SensorWatch,
    report: Callable[[str], None],
) -> tuple[dict[str, Any], list[Measured]]:
    """Offer the load until every limit is settled or the time is over: the `load` object, and the samples."""
    load = manifest["load"]
    rate_rps, warm_up_s, budget_s = float(load["rate_rps"]), float(load["warm_up_s"]), float(load["seconds_at_most"])
    horizon_s = _horizon_s(manifest, limits)
    due_s = due_times_s(load["arrival"], rate_rps, warm_up_s + budget_s)
    first = next((index for index, at_s in enumerate(due_s) if at_s >= warm_up_s), len(due_s))
    least_s, told_s = min(LEAST_MEASURED_S, LEAST_MEASURED_SHARE * budget_s), 0.0
    report(f"{rate_rps:g} requests a second for up to {budget_s:.0f} s, after {warm_up_s:g} s to warm up")
    with Sending(_new_client(release, manifest, horizon_s), due_s, WORKERS) as sending:
        is_measuring = False
        while True:
            sending.take(_LOOK_S)
            now_s = sending.now_s()
            if now_s < warm_up_s:
                continue
            if not is_measuring:
                is_measuring = True
                sensors.begin()
            measured_s = now_s - warm_up_s
            is_over = measured_s >= budget_s + horizon_s or (sending.is_over and len(sending.answers) >= len(due_s))
            samples, failed = _known(sending, first, now_s - horizon_s)
            verdicts = [judged(limit, samples, manifest["slo"]["confidence"], 1.0 / rate_rps) for limit in limits]
            words = [str(entry["verdict"]) for entry in verdicts]
            is_settled = failed > 0 or (limits and (overall_word(words) != "inconclusive"))
            if is_over or sending.is_over or (is_settled and measured_s >= least_s):
                break
            if now_s - told_s >= _TELL_S:
                told_s = now_s
                report(f"{len(samples)} requests known after {measured_s:.0f} s: " + _so_far(verdicts, failed))
    if not samples:
        raise Refusal(ROLLED_BACK, "no request could be measured", "look at the service's log")
    seconds = round(min(measured_s, budget_s), 3)
    facts = {"what": "service", "rate_rps": rate_rps, "requests": len(samples), "failed": failed, "seconds": seconds}
    return facts, samples


def _known(sending: Sending, first: int, until_s: float) -> tuple[list[Measured], int]:
    """Requests from `first` on that were due before a time, so that what became of them is known; failures among all.

    Of younger ones only the fast would be known. What is not answered by then is late, however late it will be.
    """
    never = Measured(math.inf, math.inf, math.inf, 0.0)
    samples, failed = [], 0
    for index in range(first, len(sending.due_s)):
        if sending.due_s[index] > until_s:
            break
        answer = sending.answers.get(index)
        if answer is None:
            samples.append(never)
        elif not answer.is_ok:
            failed += 1
            samples.append(never)
        else:
            tpot_s = (answer.done_s - answer.first_s) / max(answer.parts - 1, 1)
            samples.append(Measured(answer.done_s, answer.first_s, tpot_s, answer.lag_s))
    return samples, failed


def _horizon_s(manifest: dict[str, Any], limits: Sequence[Limit]) -> float:
    """Age from which a request that is not answered is over every limit."""
    longest = {
        kind: max((each.limit_s for each in limits if each.kind == kind), default=0.0) for kind in (LATENCY, TTFT, TPOT)
    }
    tokens = manifest["load"].get("tokens")
    outputs = max(output for _, output in request_lengths(tokens)) if tokens else 1
    return max(longest[LATENCY], longest[TTFT] + longest[TPOT] * outputs)


def _new_client(release: Path, manifest: dict[str, Any], horizon_s: float) -> Callable[[], Client]:
    """What makes the clients of the sending process."""
    timeout_s = max(_LEAST_TIMEOUT_S, 4.0 * horizon_s)
    if manifest["kind"] == "llm":
        return lambda: TokenClient(manifest, timeout_s)
    service, bodies = manifest["service"], infer_bodies(release, manifest)
    return lambda: InferClient(service["url"], service["model"], bodies, timeout_s)


def _engine_load(
    release: Path,
    manifest: dict[str, Any],
    limits: Sequence[Limit],
    sensors: SensorWatch,
    report: Callable[[str], None],
) -> tuple[dict[str, Any], list[Measured]]:
    """Run the engine alone, round by round, until every limit is settled or the time is over."""
    budget_s, warm_up_s = float(manifest["load"]["seconds_at_most"]), float(manifest["load"]["warm_up_s"])
    report(f"another program serves this release: the engine alone, for up to {budget_s:.0f} s")
    runs, inputs = runs_of(release, manifest, release / "engine" / "model.plan"), _first_inputs(release, manifest)
    samples: list[Measured] = []
    measured_s, begun_s = 0.0, time.monotonic()
    sensors.begin()
    while measured_s < budget_s:
        round_s = min(_ROUND_S, budget_s - measured_s)
        try:
            times = runs.latencies_s(inputs, release, warm_up_s if not samples else _ENGINE_WARM_UP_S, round_s)
        except EngineError as error:
            raise Refusal(ROLLED_BACK, f"the engine does not run: {error}", "run trtexec by hand") from error
        samples += [Measured(each, each, each, 0.0) for each in times]
        measured_s += round_s
        rate_rps = round(len(samples) / measured_s, 3)
        verdicts = [judged(limit, samples, manifest["slo"]["confidence"], 1.0 / rate_rps) for limit in limits]
        report(f"{len(samples)} executions after {time.monotonic() - begun_s:.0f} s: {_so_far(verdicts, 0)}")
        words = [str(entry["verdict"]) for entry in verdicts]
        if overall_word(words) != "inconclusive" and measured_s >= min(
            LEAST_MEASURED_S, LEAST_MEASURED_SHARE * budget_s
        ):
            break
    facts = {"what": "engine", "rate_rps": rate_rps, "requests": len(samples), "failed": 0, "seconds": measured_s}
    return facts, samples


def _engine_latency(
    release: Path, manifest: dict[str, Any], engine: dict[str, Any] | None, report: Callable[[str], None]
) -> dict[str, Any] | None:
    """Percentiles of the engine alone, for the record; None where there is none, or it could not be timed."""
    if engine is None:
        return None
    runs = runs_of(release, manifest, release / "engine" / "model.plan")
    try:
        times = runs.latencies_s(_first_inputs(release, manifest), release, _ENGINE_WARM_UP_S, _ENGINE_S)
    except EngineError as error:
        report(f"the engine alone was not timed: {error}")
        return None
    return percentiles(times, (), LATENCY, float(manifest["slo"]["confidence"]), 1.0) or None


def _first_inputs(release: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Inputs of the first sample; none where the bundle has no samples, and the tool makes numbers up."""
    document = read_json(release / manifest["verify"]) if manifest["verify"] else None
    return list(document["samples"][0]["inputs"]) if document else []


def _so_far(verdicts: Sequence[dict[str, Any]], failed: int) -> str:
    """Where the tests stand, in words."""
    words = [
        f"{entry['metric']} {'?' if entry['value'] is None else format(1e3 * entry['value'], '.4g') + ' ms'} "
        f"of {1e3 * entry['limit']:.4g} ms ({entry['verdict']})"
        for entry in verdicts
    ]
    return ", ".join(words + ([f"{failed} failed"] if failed else [])) or "no limit to judge"
