"""A release under the spec's load: what clients see, sensors, and the verdict, against real sockets.

Limits are far from what is measured: these tests hold on a loaded machine.
"""

import json
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from infc.build.edge_acceptance_json import VERDICTS
from infc.emit.jetson.device.accept import accept
from infc.emit.jetson.device.codes import Refusal
from infc.emit.jetson.device.engine import build_or_reuse
from infc.emit.jetson.device.sending import Sending, due_times_s
from infc.emit.jetson.edge_file import edge_file
from tests.emit.jetson.device.servers import Service, serving
from tests.emit.jetson.device.stand_ins import Bench, bench
from tests.emit.jetson.python_3_8 import python_3_8


def accepted(place: Bench, service: Service, **load: Any) -> dict[str, Any]:
    """What the part returns for a release behind a service, its engine left alone."""
    place.manifest["service"].update(kind="triton", url=service.url)
    place.manifest["load"].update({"rate_rps": 100.0, "seconds_at_most": 4.0, **load})
    with serving(service):
        place.manifest["service"]["url"] = service.url
        return accept(place.root, place.release, place.manifest, place.target, None, place.said.append)


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    """Verdicts by metric."""
    assert all(entry["verdict"] in VERDICTS for entry in found["verdicts"])
    return {entry["metric"]: entry["verdict"] for entry in found["verdicts"]}


def test_a_release_that_meets_its_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends as soon as the verdict is settled; requests hold the samples, on connections that stay open."""
    place = bench(tmp_path, monkeypatch, power_w=9.0, temperature_c=51.5)
    place.manifest["slo"].update(max_power_w=10.0, max_temperature_c=60.0)
    service = Service()
    found = accepted(place, service, batch_size=2)
    assert verdicts(found) == {"p90": "pass", "power": "pass", "temperature": "pass"}
    assert found["verdict"] == "pass"
    assert found["load"]["what"] == "service"
    assert found["load"]["failed"] == 0
    assert set(found["latency_s"]) == {"p50", "p90", "p99"}
    assert 0.0 < found["latency_s"]["p50"]["value"] <= found["latency_s"]["p99"]["value"]
    assert found["power_w"] == {"mean": 9.0, "max": 9.0}
    image = place.release / "verify" / "0" / "image.bin"
    assert service.bodies[0].endswith(2 * image.read_bytes())
    (tensor,) = service.heads[0]["inputs"]
    assert (tensor["shape"], tensor["datatype"]) == ([2, 4], "FP32")
    assert len(service.connections) < len(service.bodies)


def test_a_connection_that_was_closed_while_idle_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers close idle connections after a few seconds; the request goes out again on a new one."""
    found = accepted(bench(tmp_path, monkeypatch), Service(is_hanging_up=True))
    assert (found["load"]["failed"], found["verdict"]) == (0, "pass")


def test_a_release_that_misses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that manages 10 of 100 requests a second: the queue is the clients' latency, answered or not."""
    place = bench(tmp_path, monkeypatch, temperature_c=91.0)
    place.manifest["slo"].update(latency=[{"percentile": 90.0, "limit_s": 0.2}], max_temperature_c=85.0)
    found = accepted(place, Service(service_s=0.1))
    assert verdicts(found) == {"p90": "fail", "temperature": "fail"}
    assert found["verdict"] == "fail"


def test_requests_that_fail_fail_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast the others are."""
    found = accepted(bench(tmp_path, monkeypatch), Service(fails_every=20))
    assert verdicts(found)["failed"] == "fail"
    assert (found["verdict"], found["load"]["failed"] > 0) == ("fail", True)


@pytest.mark.slow
def test_a_limit_without_a_sensor_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tegrastats: the evidence does not suffice."""
    place = bench(tmp_path, monkeypatch)
    place.device.file("/usr/local/bin/tegrastats").unlink()
    place.manifest["slo"]["max_power_w"] = 25.0
    found = accepted(place, Service())
    assert verdicts(found) == {"p90": "pass", "power": "inconclusive"}
    assert (found["verdict"], found["power_w"]) == ("inconclusive", None)


@pytest.mark.slow
def test_too_few_requests_settle_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A p99.9 needs thousands; the time is over before."""
    place = bench(tmp_path, monkeypatch)
    place.manifest["slo"]["latency"] = [{"percentile": 99.9, "limit_s": 30.0}]
    found = accepted(place, Service(), arrival={"kind": "poisson"}, seconds_at_most=1.0)
    assert found["verdict"] == "inconclusive"
    assert found["latency_s"]["p99.9"]["high"] is None


@pytest.mark.slow
def test_a_service_that_never_answers_cannot_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its port is closed: every request fails."""
    place = bench(tmp_path, monkeypatch)
    place.manifest["service"].update(kind="triton", url="http://127.0.0.1:9")
    place.manifest["load"]["seconds_at_most"] = 1.0
    place.manifest["slo"]["latency"] = [{"percentile": 90.0, "limit_s": 0.5}]
    found = accept(place.root, place.release, place.manifest, place.target, None, place.said.append)
    assert (found["verdict"], found["latency_s"]) == ("fail", {})


@pytest.mark.slow
def test_the_engine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program serves it: judged without a queue, and said so."""
    place = bench(tmp_path, monkeypatch)
    place.manifest["load"]["seconds_at_most"] = 2.0
    engine = build_or_reuse(place.release, place.manifest, place.target, place.facts, place.engines, place.said.append)
    (place.release / "engine").mkdir()
    (place.release / "engine" / "model.plan").symlink_to(engine["path"])
    found = accept(place.root, place.release, place.manifest, place.target, engine, place.said.append)
    place.manifest["verify"] = None
    made_up = accept(place.root, place.release, place.manifest, place.target, engine, place.said.append)
    assert (found["load"]["what"], found["verdict"], made_up["verdict"]) == ("engine", "pass", "pass")
    assert found["engine_latency_s"] == found["latency_s"]
    assert found["engine_executions"] == found["load"]["requests"]
    assert any("another program serves this release" in words for words in place.said)


@pytest.mark.parametrize(
    ("kind", "path"), [("vllm", "prompt"), pytest.param("edge-llm", "messages", marks=pytest.mark.slow)]
)
def test_tokens_of_a_language_model(kind: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First token and time a token are judged apart; prompts are as long as asked, and all different."""
    place = bench(tmp_path, monkeypatch)
    place.manifest.update(kind="llm", engines=[], verify=None)
    place.manifest["slo"].update(
        latency=[],
        ttft=[{"percentile": 50.0, "limit_s": 2.0}],
        tpot=[{"percentile": 50.0, "limit_s": 0.004}],
    )
    place.manifest["load"].update(
        rate_rps=20.0,
        seconds_at_most=4.0,
        tokens={"prompt_tokens": 5, "output_tokens": 4, "prompt_lengths": [5, 7], "output_lengths": [4, 6]},
    )
    place.manifest["service"]["kind"] = kind
    with serving(Service(token_s=0.02)) as service:
        place.manifest["service"]["url"] = service.url
        found = accept(place.root, place.release, place.manifest, place.target, None, place.said.append)
    assert verdicts(found) == {"ttft_p50": "pass", "tpot_p50": "fail"}
    assert found["ttft_s"]["p50"]["value"] >= 0.02
    assert found["tpot_s"]["p50"]["value"] >= 0.015
    assert found["engine_latency_s"] is None
    assert len(set(service.bodies)) == len(service.bodies)
    assert path.encode() in service.bodies[0]


MERGED = """\
import json, pathlib, sys
import edge
root, release, manifest = sys.argv[1:]
manifest = json.loads(manifest)
found = edge.accept(root, pathlib.Path(release), manifest, manifest["targets"][0], None, lambda words: None)
print(json.dumps(found))
"""


@pytest.mark.parametrize("kind", ["triton", "vllm"])
def test_the_merged_program_measures_under_python_3_8(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file, the oldest Python, no warning."""
    place = bench(tmp_path, monkeypatch)
    (tmp_path / "edge.py").write_bytes(edge_file())
    place.manifest["load"].update(rate_rps=100.0, seconds_at_most=3.0)
    if kind == "vllm":
        place.manifest.update(kind="llm", engines=[])
        place.manifest["load"]["tokens"] = {"prompt_tokens": 3, "output_tokens": 2}
    with serving(Service()) as service:
        place.manifest["service"].update(kind=kind, url=service.url)
        command = [python_3_8(), "-W", "error", "-c", MERGED, place.root, str(place.release)]
        done = subprocess.run(
            [*command, json.dumps(place.manifest)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verdict"] == "pass"


class OneAtATime:
    """A service without a network: one request at a time, the tenth takes long."""

    lock = threading.Lock()

    def exchange(self, index: int) -> tuple[float, int]:
        """Answer at once, or after a stall that all wait for."""
        with self.lock:
            time.sleep(0.5 if index == 10 else 0.0)
        return time.monotonic(), 1

    def close(self) -> None:
        """Nothing is open."""


def test_a_stall_is_seen_by_all_who_were_due_meanwhile() -> None:
    """Latency counts from when a request was due: half a second of standstill is 50 slow requests, not one."""
    due_s = [index / 100.0 for index in range(100)]
    with Sending(OneAtATime, due_s, 8) as sending:
        while not sending.is_over:
            sending.take(1.0)
    assert sorted(sending.answers) == list(range(100))
    assert sum(answer.done_s > 0.2 for answer in sending.answers.values()) >= 25
    assert all(answer.is_ok for answer in sending.answers.values())


def test_cameras_keep_their_pace() -> None:
    """Every stream is evenly spaced for 16 frames, then all stand anew to each other; the same every time."""
    times = due_times_s({"kind": "constant", "streams": 4}, 40.0, 5.0)
    assert len(times) == 200
    assert times == sorted(times)
    first, second = times[:64], times[64:128]
    for block in (first, second):
        assert {round(later - earlier, 9) for earlier, later in zip(block[:-4], block[4:], strict=True)} == {0.1}
        assert len({round(at_s % 0.1, 6) for at_s in block}) == 4
    assert {round(at_s % 0.1, 6) for at_s in first}.isdisjoint(round(at_s % 0.1, 6) for at_s in second)
    assert times == due_times_s({"kind": "constant", "streams": 4}, 40.0, 5.0)


def test_one_camera_has_one_pace() -> None:
    """It meets nobody: evenly spaced from its first frame to its last."""
    times = due_times_s({"kind": "constant", "streams": 1}, 30.0, 5.0)
    assert {round(later - earlier, 9) for earlier, later in pairwise(times)} == {round(1 / 30, 9)}


@pytest.mark.parametrize(("arrival", "cv"), [({"kind": "poisson"}, 1.0), ({"kind": "bursty", "cv": 2.0}, 2.0)])
def test_gaps_vary_as_asked(arrival: dict[str, Any], cv: float) -> None:
    """The rate and the coefficient of variation of the gaps."""
    times = due_times_s(arrival, 50.0, 200.0)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.02, rel=0.1)
    assert spread / mean == pytest.approx(cv, rel=0.1)


def test_nothing_measured_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request was due in the time allowed."""
    place = bench(tmp_path, monkeypatch)
    with pytest.raises(Refusal, match="no request could be measured") as caught:
        accepted(place, Service(), rate_rps=0.001)
    assert caught.value.code == 40
