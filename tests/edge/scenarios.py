"""What must hold on a device, told once for every kind of root; each scenario says in a few words what was shown.

A scenario begins with release 1 in service (but for the first ones), made by `in_service`.
"""

import json
import os
import time
from collections.abc import Callable
from typing import Any

from tests.edge.field import Field
from tests.edge.releases import Releases, files_of_archive
from tests.emit.jetson.device.bundles import make_key

Scenario = Callable[[Field, Releases], str]
MODE, OTHER_MODE = "15W", "25W"
"""The power mode that releases ask for, and the one that the device has before."""
TIGHT = {"load.rate_rps": 10.0, "slo.latency": [{"percentile": 90.0, "limit_s": 0.5}]}
"""An objective that a server which takes 1.6 s for a request cannot meet."""


def in_service(field: Field, releases: Releases) -> None:
    """Release 1 is in service: it is already, or is installed from its own folder as on a device that has nothing."""
    if not (field.folder / "current").is_symlink():
        answer = field.first_install(releases.archive("1"))
        assert answer.code == 0, answer.words
    assert wait_until_ready(field) == "1"


def installs(field: Field, releases: Releases) -> str:
    """install.sh verifies with openssl and sha256sum, and the release is in service with its measurement."""
    assert field.device.power_mode() == OTHER_MODE
    in_service(field, releases)
    found = field.deployment()
    measured = found["acceptance"]
    assert measured["verdict"] == "pass"
    assert measured["load"]["what"] == "service"
    assert measured["load"]["failed"] == 0
    assert measured["outputs"]["verdict"] == "pass"
    assert measured["engine"]["is_reused"] is False
    assert measured["latency_s"]["p50"]["value"] > 0.0
    assert measured["engine_latency_s"]["p50"]["value"] > 0.0
    assert 5.0 < measured["power_w"]["mean"] < 15.0
    assert measured["temperature_c"]["max"] > 40.0
    assert measured["device"]["module"] == "p3767-0000"
    assert field.device.power_mode() == MODE
    assert found["engine_key_now"] == measured["engine"]["key"]
    assert field.is_clean()
    steps = [event["step"] for event in field.events() if event["outcome"] == "done"]
    assert steps[-1] == "keep", field.events()[-3:]
    p50_ms = 1e3 * measured["latency_s"]["p50"]["value"]
    return f"code 0, in service in {MODE}; p50 {p50_ms:.1f} ms of {measured['load']['requests']} requests"


def nothing_to_do(field: Field, releases: Releases) -> str:
    """The same bundle again changes nothing and restarts nothing."""
    in_service(field, releases)
    before, starts = field.engines(), len(field.device.calls("systemctl"))
    answer = field.install(releases.archive("1"))
    assert answer.code == 0, answer.words
    assert answer.json()["outcome"] == "nothing-to-do"
    assert field.engines() == before
    restarts = [call for call in field.device.calls("systemctl")[starts:] if call[0] in ("start", "restart", "stop")]
    assert not restarts
    return "code 0, nothing rebuilt, nothing restarted"


def reuses_the_engine(field: Field, releases: Releases) -> str:
    """A release with the same model takes its engine from the cache; so does one that was removed and comes again."""
    in_service(field, releases)
    key = field.deployment()["acceptance"]["engine"]["key"]
    built = len(builds(field))
    answer = field.install(releases.archive("2", content={"notes.txt": b"other content\n"}))
    assert answer.code == 0, answer.words
    engine = field.deployment()["acceptance"]["engine"]
    assert (engine["key"], engine["is_reused"]) == (key, True)
    answer = field.device.run(*field.agent("remove", field.name))
    assert answer.code == 0, answer.words
    assert not field.status()["deployments"]
    assert not (field.folder / "current").is_symlink()
    answer = field.install(releases.archive("2", content={"notes.txt": b"other content\n"}))
    assert answer.code == 0, answer.words
    engine = field.deployment()["acceptance"]["engine"]
    assert (engine["key"], engine["is_reused"]) == (key, True)
    assert len(builds(field)) == built
    return f"reused: true, same key {key[:12]}, no build; also after remove"


def refuses_tampered(field: Field, releases: Releases) -> str:
    """A changed, a missing and a truncated file; in the archive and in an unpacked folder."""
    in_service(field, releases)
    whole = releases.signed(releases.files("2"))
    changed = {**whole, "verify/samples.json": whole["verify/samples.json"] + b" "}
    missing = {path: content for path, content in whole.items() if path != "bin/libraries.json"}
    manifest = {**whole, "manifest.json": whole["manifest.json"].replace(b"40.0", b"10.0")}
    packed = releases.packed("2", whole, "cut")
    packed.write_bytes(packed.read_bytes()[:-200])
    for bundle in (
        releases.packed("2", changed),
        releases.packed("2", missing),
        packed,
        releases.packed("2", manifest),
    ):
        refused(field, field.install(bundle), 11)
    answer = field.first_install(releases.packed("2", changed))
    refused(field, answer, 11)
    return "code 11 four ways (changed, missing, cut off, manifest), release 1 still serves"


def first_install_refuses(field: Field, releases: Releases) -> str:
    """install.sh on a device that has nothing: a damaged file, one that nobody signed for, a stranger's key, no key."""
    whole = releases.signed(releases.files("1"))
    damaged = {**whole, "verify/samples.json": b"{}"}
    extra = {**whole, "bin/helper.sh": b"#!/bin/sh\nreboot\n"}
    for note, files, code in (("damaged", damaged, 11), ("extra", extra, 12), ("foreign", foreign(releases, "1"), 10)):
        answer = field.first_install(releases.packed("1", files, note))
        assert answer.code == code, answer.words
        assert not field.device.file("/opt/infc/edge.py").exists()
    key = field.device.file("/etc/infc/keys/release.pem")
    content = key.read_bytes()
    key.unlink()
    answer = field.first_install(releases.packed("1", whole, "whole"))
    assert answer.code == 10, answer.words
    key.write_bytes(content)
    assert not field.folder.exists() or not list((field.folder / "releases").glob("*"))
    return "codes 11, 12, 10 and 10 (no key on the device); nothing was installed, no file of the bundle was run"


def refuses_extra_file(field: Field, releases: Releases) -> str:
    """A file that nobody signed for, in an archive and in a folder."""
    in_service(field, releases)
    extra = {**releases.signed(releases.files("2")), "bin/helper.sh": b"#!/bin/sh\nreboot\n"}
    refused(field, field.install(releases.packed("2", extra)), 12)
    refused(field, field.first_install(releases.packed("2", extra)), 12)
    return "code 12, release 1 still serves"


def refuses_wrong_key(field: Field, releases: Releases) -> str:
    """Signed by a stranger, by nobody, and with the signature of another release."""
    in_service(field, releases)
    whole = releases.signed(releases.files("2"))
    unsigned = {path: content for path, content in whole.items() if path != "SHA256SUMS.sig"}
    borrowed = {**whole, "SHA256SUMS.sig": releases.signed(releases.files("1"))["SHA256SUMS.sig"]}
    for note, files in (("foreign", foreign(releases, "2")), ("unsigned", unsigned), ("borrowed", borrowed)):
        refused(field, field.install(releases.packed("2", files, note)), 10)
    return "code 10 for a stranger's key, no signature, another's signature"


def foreign(releases: Releases, version: str) -> dict[str, bytes]:
    """A release that somebody else signed."""
    stranger = releases.folder / "stranger.key"
    make_key(stranger, releases.folder / "stranger.pem")
    return releases.signed(releases.files(version), key=stranger)


def refuses_wrong_l4t(field: Field, releases: Releases) -> str:
    """L4T 39 is not what the release was made for."""
    in_service(field, releases)
    path = field.device.file("/etc/nv_tegra_release")
    path.write_text(path.read_text().replace("R36 (release), REVISION: 4.3", "R39 (release), REVISION: 2.0"))
    refused(field, field.install(releases.archive("2")), 30, "L4T")
    return "code 30: L4T 39.2.0 is not 36.4 to 37"


def refuses_wrong_module(field: Field, releases: Releases) -> str:
    """An AGX Orin is not an Orin NX; an x86 machine is no Jetson."""
    in_service(field, releases)
    path = field.device.file("/proc/device-tree/compatible")
    path.write_bytes(
        path.read_bytes()
        .replace(b"p3768-0000+p3767-0000", b"p3737-0000+p3701-0005")
        .replace(b"nvidia,p3767-0000", b"nvidia,p3701-0005")
    )
    refused(field, field.install(releases.archive("2")), 20)
    return "code 20: p3701-0005 is not among the release's modules"


def refuses_tensorrt(field: Field, releases: Releases) -> str:
    """A release for TensorRT 10 on a device that has 11."""
    in_service(field, releases)
    field.device.set_tensorrt("11.4.1")
    answer = field.install(releases.archive("2"))
    assert answer.code == 30, answer.words
    assert "TensorRT" in answer.words
    return "code 30: TensorRT 11.4.1 is not 10.3 to 11"


def refuses_downgrade(field: Field, releases: Releases) -> str:
    """An older release only when told to; the same number with other content is no upgrade."""
    in_service(field, releases)
    assert field.install(releases.archive("1.10")).code == 0
    refused(field, field.install(releases.archive("1.9", content={"notes.txt": b"9\n"})), 14, serving="1.10")
    answer = field.install(releases.archive("1.9", content={"notes.txt": b"9\n"}), "--allow-downgrade")
    assert answer.code == 0, answer.words
    assert field.serves() == "1.9"
    return "code 14 for 1.9 after 1.10; code 0 with --allow-downgrade"


def rolls_back_a_slow_release(field: Field, releases: Releases) -> str:
    """A release that misses its objective under load makes way for the one before, power mode and all."""
    in_service(field, releases)
    field.device.set(slow_releases={"2-": 1.6})
    changes = {"targets.0.power_mode": OTHER_MODE, **TIGHT}
    answer = field.install(releases.archive("2", changes=changes))
    assert answer.code == 40, answer.words
    assert field.serves() == "1"
    assert field.device.power_mode() == MODE
    assert field.is_clean()
    rejected = field.deployment()["rejected"]
    assert rejected["verdict"] == "fail"
    value_s = rejected["verdicts"][0]["value"]
    field.device.set(slow_releases=None)
    assert field.install(releases.archive("3")).code == 0
    assert field.deployment()["rejected"] is None
    shown = "over" if value_s is None else f"{value_s:.1f} s"
    return f"code 40: p90 {shown} of 0.5 s; release 1 serves again in {MODE}; release 3 then installs"


def first_release_fails(field: Field, releases: Releases) -> str:
    """Without a release before, nothing is in service after a failure, and the power mode is as before."""
    field.device.set(slow_releases={"1-": 1.6})
    answer = field.first_install(releases.archive("1", changes=TIGHT))
    assert answer.code == 41, answer.words
    assert not (field.folder / "current").is_symlink()
    assert field.device.power_mode() == OTHER_MODE
    assert field.is_clean()
    return "code 41, nothing in service, power mode as before"


def never_ready(field: Field, releases: Releases) -> str:
    """A release whose server does not become ready, and one whose engine the server refuses."""
    in_service(field, releases)
    field.device.set(never_ready=["2-"])
    answer = field.install(releases.archive("2", changes={"service.ready_timeout_s": 4.0}))
    refused(field, answer, 40)
    assert field.device.power_mode() == MODE
    broken = {"triton/dock-camera/config.pbtxt": b'name: "dock-camera"\nplatform: "onnxruntime_onnx"\n'}
    if "triton/dock-camera/config.pbtxt" in releases.base:
        refused(field, field.install(releases.archive("2", content=broken)), 40)
    return "code 40, release 1 serves again"


def engine_does_not_build(field: Field, releases: Releases) -> str:
    """TensorRT refuses the model: its words reach the operator."""
    in_service(field, releases)
    field.device.set(build_fails="Error Code 10: Internal Error (Could not find any implementation for node conv1.)")
    answer = field.install(releases.archive("2", content=another_model(releases)))
    refused(field, answer, 31, "conv1")
    return "code 31 with TensorRT's words, release 1 still serves"


def wrong_outputs(field: Field, releases: Releases) -> str:
    """An engine that computes something else never gets into service."""
    in_service(field, releases)
    field.device.set(output_error=100.0)
    answer = field.install(releases.archive("2", content=another_model(releases)))
    refused(field, answer, 32)
    return "code 32: off by 100, release 1 still serves"


def restart_for_power_mode(field: Field, releases: Releases) -> str:
    """A mode that takes a restart of the device: code 51, and the same command after it goes through."""
    in_service(field, releases)
    field.device.set(restart_modes=[3])
    bundle = releases.archive("2", changes={"targets.0.power_mode": OTHER_MODE})
    answer = field.install(bundle)
    refused(field, answer, 51)
    assert field.device.power_mode() == MODE
    field.device.restart()
    wait_until_ready(field)
    answer = field.install(bundle)
    assert answer.code == 0, answer.words
    assert (field.serves(), field.device.power_mode()) == ("2", OTHER_MODE)
    return "code 51, restart, same command: code 0"


def hot_or_hungry(field: Field, releases: Releases) -> str:
    """A release within its latency is still rolled back when the module draws or heats too much; the three formats."""
    in_service(field, releases)
    shown = []
    for number, form in enumerate(("jetpack5", "jetpack6", "thor"), 2):
        field.device.set(tegrastats=form, power_w=31.0, temperature_c=51.0)
        refused(field, field.install(releases.archive(str(number), changes={"slo.max_power_w": 20.0})), 40)
        shown.append(form)
    field.device.set(power_w=9.0, temperature_c=97.5)
    refused(field, field.install(releases.archive("5", changes={"slo.max_temperature_c": 85.0})), 40)
    return f"code 40 for 31 W of 20 W ({', '.join(shown)}) and 97.5 C of 85 C"


def two_releases_behind(field: Field, releases: Releases) -> str:
    """A delta takes what is unchanged from any kept release; without it, 13 asks for the full bundle."""
    in_service(field, releases)
    second = releases.files("2", content={"notes.txt": b"release 2\n"})
    third = {"notes.txt": b"release 2\n", "more.txt": b"release 3\n"}
    lacking = releases.delta("3", second, "2", content=third)
    refused(field, field.install(lacking), 13)
    enough = releases.delta("3", second, "2", content={"notes.txt": b"release 3\n"})
    answer = field.install(enough)
    assert answer.code == 0, answer.words
    assert field.serves() == "3"
    answer = field.install(releases.archive("4", content={"notes.txt": b"release 4\n"}))
    assert answer.code == 0, answer.words
    return "code 13 where content is missing; 1 to 3 by a delta of 2; 3 to 4 in full"


def delta(field: Field, releases: Releases) -> str:
    """A delta is a fraction of the bundle, and the release that it completes is whole; the next delta bases on it."""
    in_service(field, releases)
    first = releases.files("1")
    bundle = releases.delta("2", first, "1", content={"notes.txt": b"release 2\n"})
    full = releases.archive("2", content={"notes.txt": b"release 2\n"})
    answer = field.install(bundle)
    assert answer.code == 0, answer.words
    release = field.folder / "current"
    for path, content in files_of_archive(full).items():
        if path != "manifest.json":
            assert (release / path).read_bytes() == content, path
    second = releases.files("2", content={"notes.txt": b"release 2\n"})
    answer = field.install(releases.delta("3", second, "2", content={"notes.txt": b"release 3\n"}))
    assert answer.code == 0, answer.words
    fresh = field.device.file("/opt/infc")
    assert fresh.is_dir()
    return f"code 0 twice; {bundle.stat().st_size} of {full.stat().st_size} bytes travelled"


def tensorrt_changed(field: Field, releases: Releases) -> str:
    """Another TensorRT on the device: the engine is another one, built with what that version takes."""
    in_service(field, releases)
    first = field.deployment()["acceptance"]["engine"]["key"]
    assert "--stronglyTyped" in builds(field)[-1]
    field.device.set_tensorrt("10.7.0")
    assert field.deployment()["engine_key_now"] != first
    answer = field.install(releases.archive("2"))
    assert answer.code == 0, answer.words
    second = field.deployment()["acceptance"]["engine"]
    assert not second["is_reused"]
    field.device.set_tensorrt("11.4.1")
    eleven = for_tensorrt_11(releases)
    answer = field.install(releases.archive("3", **eleven))
    assert answer.code == 0, answer.words
    third = field.deployment()["acceptance"]["engine"]
    assert len({first, second["key"], third["key"]}) == 3
    assert "--stronglyTyped" not in builds(field)[-1]
    assert len(builds(field)) == 3
    return "10.3 to 10.7 to 11.4: rebuilt each time, --stronglyTyped for 10 and not for 11"


def damaged_on_the_device(field: Field, releases: Releases) -> str:
    """The engine rotted on the disk, in the cache and in the release (one file): the same bundle mends both."""
    in_service(field, releases)
    (plan,) = field.device.file("/opt/infc/engines").glob("*/model.plan")
    with plan.open("r+b") as file:
        file.seek(20)
        file.write(b"rot")
    built = len(builds(field))
    answer = field.install(releases.archive("1"))
    assert answer.code == 0, answer.words
    assert answer.json()["outcome"] == "in-service"
    assert len(builds(field)) == built + 1
    assert field.is_clean()
    answer = field.install(releases.archive("1"))
    assert answer.json()["outcome"] == "nothing-to-do"
    return "noticed by its digest, built again, in service; then nothing to do"


def rollback_by_hand(field: Field, releases: Releases) -> str:
    """`edge.py rollback` puts the release before back, and again the one after."""
    in_service(field, releases)
    changes = {"targets.0.power_mode": OTHER_MODE}
    assert field.install(releases.archive("2", content=another_model(releases), changes=changes)).code == 0
    answer = field.device.run(*field.agent("rollback", field.name))
    assert answer.code == 0, answer.words
    assert (field.serves(), field.device.power_mode()) == ("1", MODE)
    answer = field.device.run(*field.agent("rollback", field.name))
    assert answer.code == 0, answer.words
    assert (field.serves(), field.device.power_mode()) == ("2", OTHER_MODE)
    return "2 to 1 to 2, each serving in its power mode"


def keeps_some_releases(field: Field, releases: Releases) -> str:
    """As many releases are kept as asked for; engines that none of them uses go with prune."""
    in_service(field, releases)
    for number in (2, 3, 4):
        content = {**another_model(releases), "notes.txt": f"{number}\n".encode()}
        assert field.install(releases.archive(str(number), content=content), "--keep", "2").code == 0
    kept = sorted(path.name.split("-")[0] for path in (field.folder / "releases").iterdir())
    assert kept == ["3", "4"]
    assert field.device.run(*field.agent("prune")).code == 0
    assert len(field.engines()) == 1
    return "--keep 2: releases 3 and 4 stay; prune leaves the one engine in use"


def one_at_a_time(field: Field, releases: Releases) -> str:
    """A second run is told to wait; the first is not disturbed."""
    in_service(field, releases)
    field.device.set(build_s=6.0)
    bundle = releases.archive("2", content=another_model(releases))
    first = field.device.start(*field.install_words(bundle))
    wait_for_step(field, "build")
    assert field.install(releases.archive("3")).code == 50
    assert field.deployment()["journal"] is not None
    out, _ = first.communicate(timeout=240)
    assert first.returncode == 0, out
    assert field.serves() == "2"
    return "code 50 while another builds, which then ends in service"


def ended_by_a_signal(field: Field, releases: Releases) -> str:
    """Ctrl-C and SIGTERM in the middle of a build undo what was begun."""
    in_service(field, releases)
    field.device.set(build_s=20.0)
    for number in (2, 15):
        process = field.device.start(*field.install_words(releases.archive("2", content=another_model(releases))))
        wait_for_step(field, "build")
        time.sleep(0.3)
        os.kill(process.pid, number)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 1, out
        assert "Traceback" not in out
        assert field.is_clean()
    assert field.serves() == "1"
    return "code 1, nothing left, release 1 still serves"


def refused(field: Field, answer: Any, code: int, words: str = "", serving: str = "1") -> None:
    """The command ended with this code, and the device is as it was."""
    assert answer.code == code, answer.words
    assert words in answer.words
    assert "Traceback" not in answer.words
    assert wait_until_ready(field) == serving
    assert field.is_clean(), sorted(str(path) for path in field.folder.rglob("*"))


def builds(field: Field) -> list[list[str]]:
    """Argument lists of every engine build so far."""
    calls = field.device.calls("trtexec")
    return [call for call in calls if any(word.startswith("--saveEngine") for word in call)]


def wait_for_step(field: Field, step: str, timeout_s: float = 120.0) -> None:
    """Wait until the journal has reached a step."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if journal_step(field) == step:
            return
        time.sleep(0.02)
    raise AssertionError(f"the journal never reached {step}; it says {journal_step(field)}")


def journal_step(field: Field) -> str | None:
    """The step that the journal says; None without a journal."""
    try:
        found: str = json.loads((field.folder / "journal.json").read_text())["step"]
    except (OSError, ValueError):
        return None
    return found


def wait_until_ready(field: Field, timeout_s: float = 120.0) -> str | None:
    """Version of the release that the service answers for, once it does after a start."""
    end = time.monotonic() + timeout_s
    while (version := field.serves()) is None and time.monotonic() < end:
        time.sleep(0.2)
    return version


def another_model(releases: Releases) -> dict[str, bytes]:
    """The model of the release with a byte of metadata more: the same function, another engine."""
    model = releases.manifest["engines"][0]["model"]
    # Field 6 of ModelProto is its documentation.
    return {model: releases.base[model] + b"\x32\x05again"}


def for_tensorrt_11(releases: Releases) -> dict[str, Any]:
    """Content and changes of the same release for devices with TensorRT 11."""
    compose = releases.base["compose.yaml"].replace(b".so.10", b".so.11")
    changes = {"targets.0.tensorrt": {"at_least": "11.0", "below": "12"}}
    return {"content": {"compose.yaml": compose}, "changes": changes}


FRESH: tuple[Scenario, ...] = (installs, first_install_refuses, first_release_fails)
"""These begin with a device that has nothing."""
ALL: tuple[Scenario, ...] = (
    *FRESH,
    nothing_to_do,
    reuses_the_engine,
    refuses_tampered,
    refuses_extra_file,
    refuses_wrong_key,
    refuses_wrong_l4t,
    refuses_wrong_module,
    refuses_tensorrt,
    refuses_downgrade,
    rolls_back_a_slow_release,
    never_ready,
    engine_does_not_build,
    wrong_outputs,
    restart_for_power_mode,
    hot_or_hungry,
    two_releases_behind,
    delta,
    tensorrt_changed,
    damaged_on_the_device,
    rollback_by_hand,
    keeps_some_releases,
    one_at_a_time,
    ended_by_a_signal,
)
