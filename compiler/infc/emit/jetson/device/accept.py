"""Measures a release under the spec's load, as its clients see it, and says whether it meets its objective."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Callable, Sequence  # noqa: UP035 - Python 3.8

from infc.validate.far.mixture import overall_word

from .codes import ROLLED_BACK, Refusal
from .engine_runs import EngineError
from .infer_requests import InferClient, infer_bodies
from .judging import KINDS, LATENCY, TPOT, TTFT, Limit, Measured, ceiling, judged, limits_of, percentiles
from .outputs import runs_of
from .sending import Client, Sending, due_times_s
from .sensors import SensorWatch
from .shapes import samples_of
from .token_requests import TokenClient, request_lengths

WORKERS = 32
"""Requests that can be on their way at once; more would be a queue that no objective allows."""
LEAST_MEASURED_S = 10.0
LEAST_MEASURED_SHARE = 0.1
"""A verdict needs at least this long, or this share of the time that is allowed: sensors are slower than requests."""
_LOOK_S = 0.5
_LOOKING_SHARE = 10.0
"""Looks take at most a tenth of one core's time: the service needs the cores."""
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
        sensors.read()
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
    times: Sequence[float] = [sample.latency_s for sample in samples] if is_alone else []
    if not is_alone and engine is not None:
        times = _engine_times(release, manifest, report)
    mean_s = sum(times) / max(len(times), 1)
    engine_s = measured["latency_s"] if is_alone else percentiles(times, (), LATENCY, confidence, mean_s)
    verdict = overall_word([entry["verdict"] for entry in verdicts]) if verdicts else "pass"
    return {
        **measured,
        "engine_latency_s": engine_s or None,
        "engine_executions": len(times),
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
    report(f"{rate_rps:g} requests a second for up to {budget_s:.0f} s, after {warm_up_s:g} s to warm up")
    with Sending(_new_client(release, manifest, _timeout_s(manifest, limits)), due_s, WORKERS) as sending:
        while sending.now_s() < warm_up_s:
            sending.take(min(_LOOK_S, max(warm_up_s - sending.now_s(), 0.0)))
        sensors.begin()
        watch = _Watch(sending, limits, horizon_s, warm_up_s, warm_up_s + budget_s)
        told_s = 0.0
        while not watch.look(float(manifest["slo"]["confidence"]), 1.0 / rate_rps):
            if sending.now_s() - told_s >= _TELL_S:
                told_s = sending.now_s()
                report(f"{len(watch.samples)} requests known: {_so_far(watch.verdicts, watch.failed)}")
    if not watch.samples:
        raise Refusal(ROLLED_BACK, "no request could be measured", "look at the service's log")
    facts: dict[str, Any] = {"what": "service", "rate_rps": rate_rps, "requests": len(watch.samples)}
    return {**facts, "failed": watch.failed, "seconds": round(watch.until_s - warm_up_s, 3)}, watch.samples


class _Watch:
    """Looks at requests under way: `samples` of those due since `start_s` whose outcome is known, `failed` of them.

    A verdict counts only when everything is known that was due until then: of the youngest requests at first only the
    fast are. Those that a limit leaves no hope for are known to be late.
    """

    def __init__(
        self, sending: Sending, limits: Sequence[Limit], horizon_s: float, start_s: float, end_s: float
    ) -> None:
        self.sending, self.limits, self.horizon_s, self.end_s = sending, limits, horizon_s, end_s
        self.start_s = self.until_s = start_s
        self.least_s = start_s + min(LEAST_MEASURED_S, LEAST_MEASURED_SHARE * (end_s - start_s))
        self.samples: list[Measured] = []
        self.verdicts: list[dict[str, Any]] = []
        self.failed = 0
        self._is_draining = False
        self._look_took_s = 0.0

    def look(self, confidence: float, spacing_s: float) -> bool:
        """Take in answers and judge: whether this is the end."""
        self.sending.take(max(_LOOK_S, _LOOKING_SHARE * self._look_took_s))
        now_s = self.sending.now_s()
        if not self._is_draining:
            self.until_s = min(now_s, self.end_s)
        is_whole = self._take_in(now_s)
        self.verdicts = [judged(limit, self.samples, confidence, spacing_s) for limit in self.limits]
        self._look_took_s = self.sending.now_s() - now_s
        word = overall_word([str(entry["verdict"]) for entry in self.verdicts])
        is_ended = now_s >= self.end_s or self.sending.is_over
        if self.failed or word == "fail":
            return now_s >= self.least_s or is_ended
        if is_whole and self._is_draining:
            self._is_draining = word == "pass" or is_ended
            return self._is_draining
        self._is_draining = self._is_draining or is_ended or (word == "pass" and now_s >= self.least_s)
        return self.sending.is_over

    def _take_in(self, now_s: float) -> bool:
        """Sort requests by their outcome, up to the first that is still open; whether there is none until `until_s`."""
        never = Measured(math.inf, math.inf, math.inf, 0.0)
        self.samples, self.failed = [], 0
        for index, due_s in enumerate(self.sending.due_s):
            if due_s < self.start_s:
                continue
            if due_s > self.until_s:
                break
            answer = self.sending.answers.get(index)
            if answer is None and now_s - due_s < self.horizon_s:
                return False
            if answer is None or not answer.is_ok:
                self.failed += answer is not None
                self.samples.append(never)
            else:
                tpot_s = (answer.done_s - answer.first_s) / max(answer.parts - 1, 1)
                self.samples.append(Measured(answer.done_s, answer.first_s, tpot_s, answer.lag_s))
        return True


def _timeout_s(manifest: dict[str, Any], limits: Sequence[Limit]) -> float:
    """How long a request is waited for: well beyond every limit."""
    longest = {kind: max((each.limit_s for each in limits if each.kind == kind), default=0.0) for kind in KINDS}
    tokens = manifest["load"].get("tokens")
    outputs = max(output for _, output in request_lengths(tokens)) if tokens else 1
    return max(_LEAST_TIMEOUT_S, 4.0 * max(longest[LATENCY], longest[TTFT] + longest[TPOT] * outputs))


def _horizon_s(manifest: dict[str, Any], limits: Sequence[Limit]) -> float:
    """Age from which a request that is not answered is over every limit.

    What came of a language model's first token is known with the last only, so the whole answer is waited for.
    """
    if manifest["kind"] == "llm":
        return _timeout_s(manifest, limits)
    return max((limit.limit_s for limit in limits), default=0.0)


def _new_client(release: Path, manifest: dict[str, Any], timeout_s: float) -> Callable[[], Client]:
    """What makes the clients of the sending process."""
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
        round_s = min(_ROUND_S, max(1.0, LEAST_MEASURED_SHARE * budget_s))
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


def _engine_times(release: Path, manifest: dict[str, Any], report: Callable[[str], None]) -> list[float]:
    """Seconds of executions of the engine alone, for the record; none where it could not be timed."""
    runs = runs_of(release, manifest, release / "engine" / "model.plan")
    try:
        return runs.latencies_s(_first_inputs(release, manifest), release, _ENGINE_WARM_UP_S, _ENGINE_S)
    except EngineError as error:
        report(f"the engine alone was not timed: {error}")
        return []


def _first_inputs(release: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Inputs of the first sample; without samples only names and shapes, and the tool makes numbers up."""
    document = samples_of(release, manifest)
    if document:
        return list(document["samples"][0]["inputs"])
    return [{"name": shape["input"], "shape": shape["optimum"]} for shape in manifest["engines"][0]["shapes"]]


def _so_far(verdicts: Sequence[dict[str, Any]], failed: int) -> str:
    """Where the tests stand, in words."""
    words = [
        f"{entry['metric']} {'?' if entry['value'] is None else format(1e3 * entry['value'], '.4g') + ' ms'} "
        f"of {1e3 * entry['limit']:.4g} ms ({entry['verdict']})"
        for entry in verdicts
    ]
    return ", ".join(words + ([f"{failed} failed"] if failed else [])) or "no limit to judge"
