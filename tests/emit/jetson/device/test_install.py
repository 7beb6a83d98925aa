"""Releases come into service when they meet their objective, and the device stays as it was when they do not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infc.build import edge_acceptance_json
from infc.ir.edge_status import DeviceStatus
from infc.validate.edge.status import status_from_bytes
from tests.emit.jetson.device.bundles import NAME, Maker, make_key
from tests.emit.jetson.device.conftest import Agent

IMPOSSIBLE = {"slo.latency": [{"percentile": 90.0, "limit_s": 1e-9}]}


def test_release_is_in_service_with_its_engine_and_its_acceptance(device_with_7: Agent) -> None:
    """Links, engine, what was measured; the program of the release verifies the next one."""
    folder = device_with_7.folder
    assert device_with_7.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}
    accepted, problems = edge_acceptance_json.from_json((folder / "current" / "acceptance.json").read_bytes())
    assert accepted is not None, problems
    assert (accepted.version, accepted.verdict, accepted.power_mode) == ("7", "pass", "15W")
    assert accepted.outputs is not None
    assert accepted.outputs.verdict == "pass"
    assert accepted.engine is not None
    engines = device_with_7.device.root / "opt" / "infc" / "engines"
    plan = folder / "current" / "engine" / "model.plan"
    assert plan.samefile(engines / accepted.engine.key / "model.plan")
    assert (engines.parent / "edge.py").samefile(folder / "current" / "bin" / "edge.py")
    assert (engines.parent / "libraries.json").samefile(folder / "current" / "bin" / "libraries.json")
    assert device_with_7.device.power_mode() == "15W"


def test_every_event_is_one_line_of_the_log(device_with_7: Agent) -> None:
    """Each step begins and is done, then the run ends with its code."""
    events = device_with_7("log", NAME)["events"]
    steps = ["unpack", "verify", "match", "stage", "build", "check", "power", "switch", "restart", "accept", "keep"]
    assert [event["step"] for event in events if event["outcome"] == "begun"] == steps
    assert [event["step"] for event in events if event["outcome"] == "done"] == steps
    assert (events[-1]["outcome"], events[-1]["code"]) == ("ended", 0)
    assert len({event["run"] for event in events}) == 1


def test_status_is_what_infc_reads(device_with_7: Agent) -> None:
    """`infc validate ssh://` and `infc drift ssh://` read it with the types of infc."""
    done = device_with_7.run("status")
    status = status_from_bytes(done.stdout.encode())
    assert isinstance(status, DeviceStatus), status
    deployment = status.deployment(NAME)
    assert deployment is not None
    assert deployment.acceptance is not None
    assert deployment.acceptance.engine is not None
    assert deployment.engine_key_now == deployment.acceptance.engine.key
    assert (deployment.release or "").startswith("7-")
    assert (deployment.previous, deployment.journal, deployment.rejected) == (None, None, None)
    assert status.power_mode == "15W"


def test_status_of_an_empty_device_changes_nothing(empty_device: Agent) -> None:
    """No folder is made, nothing is said to be there."""
    found = empty_device("status")
    assert (found["deployments"], found["engines"]) == ([], [])
    assert not (empty_device.device.root / "opt" / "infc").exists()


def test_same_release_again_is_nothing_to_do(agent: Agent, release_7: Path) -> None:
    """It is verified and found whole and answering; nothing is built or measured."""
    found = agent("install", release_7)
    assert found["outcome"] == "nothing-to-do"
    assert [step["step"] for step in found["steps"]] == ["unpack", "verify", "match"]
    assert agent.state()["left"] == []


@pytest.mark.slow
def test_damaged_release_is_repaired_by_installing_it_again(agent: Agent, release_7: Path) -> None:
    """A release that is not whole any more is replaced; its engine comes from the cache."""
    (agent.folder / "current" / "verify" / "samples.json").write_text("{}")
    found = agent("install", release_7)
    assert (found["outcome"], found["acceptance"]["engine"]["is_reused"]) == ("in-service", True)
    assert agent.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}
    assert agent("install", release_7)["outcome"] == "nothing-to-do"


@pytest.mark.slow
def test_update_downgrade_and_rollback(agent: Agent, makes_bundles: Maker, release_7: Path) -> None:
    """The release before stays for a rollback by hand; an older one is refused unless it is asked for."""
    agent("install", makes_bundles.unpacked("8", seed=2))
    assert agent.state() == {"current": "8", "previous": "7", "kept": ["7", "8"], "left": []}
    refused = agent("install", release_7, code=14)
    assert "--allow-downgrade" in refused["help"]
    assert agent.state()["current"] == "8"
    agent("rollback", NAME)
    assert agent.state() == {"current": "7", "previous": "8", "kept": ["7", "8"], "left": []}


@pytest.mark.slow
def test_downgrade_that_is_asked_for(agent: Agent, makes_bundles: Maker, release_7: Path) -> None:
    """The older release takes over as any other would, with the engine that it had."""
    agent("install", makes_bundles.archive("8", seed=2))
    found = agent("install", release_7, "--allow-downgrade")
    assert found["acceptance"]["engine"]["is_reused"]
    assert agent.state() == {"current": "7", "previous": "8", "kept": ["7", "8"], "left": []}


def _tampered(maker: Maker) -> Path:
    files = maker.signed(maker.files("8"))
    return maker.archive("8", {**files, "verify/0/image.bin": bytes(16)})


def _extended(maker: Maker) -> Path:
    return maker.archive("8", {**maker.signed(maker.files("8")), "bin/more.py": b"print()"})


def _by_another(maker: Maker) -> Path:
    make_key(maker.folder / "other.key", maker.folder / "other.pem")
    return maker.archive("8", maker.signed(maker.files("8"), key=maker.folder / "other.key"))


def _changed(changes: dict[str, Any]) -> Callable[[Maker], Path]:
    return lambda maker: maker.archive("8", changes=changes)


REFUSED: dict[str, tuple[int, Callable[[Maker], Path], str]] = {
    "signature": (10, _by_another, "no key of this device"),
    "damaged": (11, _tampered, "verify/0/image.bin"),
    "extra": (12, _extended, "bin/more.py"),
    "delta-without-base": (
        13,
        lambda maker: maker.delta("8", maker.files("6", extra__file=b"only in 6"), "6", extra__file=b"only in 6"),
        "install release 6 first",
    ),
    "module": (20, _changed({"targets.0.modules": ["p3767-0005"]}), "p3767-0000"),
    "l4t": (30, _changed({"targets.0.l4t": {"at_least": "39.2", "below": "40"}}), "L4T is 36.4.3"),
    "tensorrt": (30, _changed({"targets.0.tensorrt": {"at_least": "11.4", "below": "12"}}), "TensorRT is 10.3.0"),
    "memory": (30, _changed({"targets.0.min_memory_bytes": 1 << 40}), "memory"),
    "space": (30, _changed({"targets.0.min_free_bytes": 1 << 60}), "disk"),
    "power-mode": (30, _changed({"targets.0.power_mode": "50W"}), "no power mode 50W (it has MAXN, 10W, 15W, 25W)"),
}


FAST = ("delta-without-base", "power-mode")
CASES = [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in REFUSED]


@pytest.mark.parametrize("case", CASES)
def test_refused_before_anything_is_built(case: str, agent: Agent, makes_bundles: Maker) -> None:
    """The code says which kind of problem it is, the words what was found; nothing is left behind."""
    code, bundle, words = REFUSED[case]
    found = agent("install", bundle(makes_bundles), code=code)
    assert words in found["message"] + found["help"]
    assert found["help"]
    assert agent.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}
    assert agent.device.power_mode() == "15W"


@pytest.mark.slow
def test_refused_first_bundle_leaves_no_trace_but_the_log(new_agent: Agent, makes_bundles: Maker) -> None:
    """A name that nobody signed for makes no folder that stays."""
    new_agent("install", _by_another(makes_bundles), code=10)
    assert not new_agent.folder.exists()
    assert new_agent("log", NAME)["events"][-1]["code"] == 10


def test_dry_run_verifies_and_matches_only(new_agent: Agent, release_7: Path) -> None:
    """Nothing is built, nothing stays."""
    found = new_agent("install", release_7, "--dry-run")
    assert (found["outcome"], [step["step"] for step in found["steps"]]) == ("rehearsed", ["unpack", "verify", "match"])
    assert not new_agent.folder.exists()


def test_bundle_of_a_later_format_is_installed_by_its_own_program(agent: Agent, makes_bundles: Maker) -> None:
    """The program that is here verifies it, then lets the verified program of the bundle start over."""
    program = b"import json, sys\nprint(json.dumps({'code': 0, 'words': sys.argv[1]}))\n"
    files = {**makes_bundles.files("8", changes={"format_version": "2.0"}), "bin/edge.py": program}
    signed = makes_bundles.signed(files)
    assert agent("install", makes_bundles.archive("8", signed)) == {"code": 0, "words": "install"}
    agent("install", makes_bundles.archive("8", {**signed, "bin/edge.py": b"print('spoilt')"}), code=11)
    assert agent.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}


@pytest.mark.slow
def test_engine_that_does_not_build_is_code_31(agent: Agent, makes_bundles: Maker) -> None:
    """The builder's words are told; the release before stays in service."""
    agent.device.set(build_fails="Error Code 2: OutOfMemory (Requested size was 8589934592 bytes.)")
    found = agent("install", makes_bundles.archive("8", seed=2), code=31)
    assert "OutOfMemory" in found["message"]
    assert agent.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}


@pytest.mark.slow
def test_engine_with_other_outputs_is_code_32(agent: Agent, makes_bundles: Maker) -> None:
    """The engine is of another model than the reference outputs are."""
    reference = makes_bundles.files("8", seed=3)["verify/0/scores.bin"]
    files = makes_bundles.files("8", seed=2, verify__0__scores=b"")
    del files["verify/0/scores"]
    files["verify/0/scores.bin"] = reference
    found = agent("install", makes_bundles.archive("8", makes_bundles.signed(_restated(files))), code=32)
    assert "scores" in found["message"]
    assert agent.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}


def _restated(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files whose manifest states the digest of what they are now."""
    from infc.emit.jetson.sums import content_digest

    stated = json.loads(files["manifest.json"])
    return {**files, "manifest.json": json.dumps({**stated, "content_digest": content_digest(files)}).encode()}


@pytest.mark.slow
def test_release_that_misses_its_objective_is_rolled_back(agent: Agent, makes_bundles: Maker) -> None:
    """Code 40: release, link and power mode are as before; what was measured is kept to be read."""
    bundle = makes_bundles.archive("8", seed=2, changes={**IMPOSSIBLE, "targets.0.power_mode": "25W"})
    found = agent("install", bundle, code=40)
    assert (found["outcome"], found["acceptance"]["verdict"]) == ("rolled-back", "fail")
    assert agent.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}
    assert agent.device.power_mode() == "15W"
    rejected = agent("status")["deployments"][0]["rejected"]
    assert (rejected["version"], rejected["verdict"], rejected["power_mode"]) == ("8", "fail", "25W")
    agent("install", makes_bundles.archive("9", seed=2))
    assert agent("status")["deployments"][0]["rejected"] is None


@pytest.mark.slow
def test_first_release_that_misses_its_objective_is_code_41(new_agent: Agent, makes_bundles: Maker) -> None:
    """Nothing was in service before, nothing is after; the engine stays for the next attempt."""
    before = new_agent.device.power_mode()
    new_agent("install", makes_bundles.archive("7", changes=IMPOSSIBLE), code=41)
    assert new_agent.state() == {"current": None, "previous": None, "kept": [], "left": []}
    assert new_agent.device.power_mode() == before
    assert not (new_agent.device.root / "opt" / "infc" / "edge.py").is_symlink()


@pytest.mark.slow
def test_release_that_stays_though_it_misses(agent: Agent, makes_bundles: Maker) -> None:
    """The spec may say that a release is not rolled back: the verdict tells, the code is 0."""
    found = agent("install", makes_bundles.archive("8", seed=2, changes={**IMPOSSIBLE, "is_rolled_back": False}))
    assert found["acceptance"]["verdict"] == "fail"
    assert agent.state()["current"] == "8"


@pytest.mark.slow
def test_evidence_that_does_not_suffice_is_code_42(agent: Agent, makes_bundles: Maker) -> None:
    """A p99.9 is not settled by the requests of a second."""
    changes = {"slo.latency": [{"percentile": 99.9, "limit_s": 5.0}], "load.seconds_at_most": 1.0}
    agent("install", makes_bundles.archive("8", seed=2, changes=changes), code=42)
    assert agent.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}


@pytest.mark.slow
def test_power_mode_that_needs_a_restart_is_code_51(agent: Agent, makes_bundles: Maker) -> None:
    """The device is never restarted by the program; the same command goes on afterwards, with the engine it built."""
    agent.device.set(restart_modes=[3])
    bundle = makes_bundles.archive("8", seed=2, changes={"targets.0.power_mode": "25W"})
    agent("install", bundle, code=51)
    assert agent.state() == {"current": "7", "previous": None, "kept": ["7"], "left": []}
    agent.device.restart()
    found = agent("install", bundle)
    assert found["acceptance"]["engine"]["is_reused"]
    assert agent.device.power_mode() == "25W"


@pytest.mark.slow
def test_second_run_at_the_same_time_is_code_50(agent: Agent, release_7: Path) -> None:
    """The lock is the kernel's: it is free again however its holder ends."""
    lock = agent.device.root / "opt" / "infc" / "lock"
    code = "import fcntl, sys, time; file = open(sys.argv[1], 'a'); fcntl.flock(file, 2); print('held', flush=True); "
    command = [sys.executable, "-c", code + "time.sleep(60)", str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        agent("install", release_7, code=50)
        assert agent("status")["deployments"][0]["name"] == NAME
        holder.kill()
    assert agent("install", release_7)["outcome"] == "nothing-to-do"


@pytest.mark.slow
def test_delta_takes_the_rest_from_any_kept_release(agent: Agent, makes_bundles: Maker) -> None:
    """Two releases behind is enough when what is missing is there, whatever it is called there."""
    base = makes_bundles.files("7")
    agent("install", makes_bundles.archive("8", seed=2))
    delta = makes_bundles.delta("9", base, "7")
    found = agent("install", delta)
    assert found["acceptance"]["engine"]["is_reused"]
    assert agent.state()["current"] == "9"
    model = agent.folder / "current" / "models" / "dock-camera-fp16.onnx"
    assert model.read_bytes() == base["models/dock-camera-fp16.onnx"]


@pytest.mark.slow
def test_releases_beyond_the_number_kept_go(agent: Agent, makes_bundles: Maker) -> None:
    """The oldest first, never the one in service or the one before; then `prune` takes their engines."""
    for version, seed in (("8", 2), ("9", 3)):
        agent("install", makes_bundles.archive(version, seed=seed))
    assert agent.state()["kept"] == ["7", "8", "9"]
    agent("install", makes_bundles.archive("10", seed=3), "--keep", "1")
    assert agent.state() == {"current": "10", "previous": "9", "kept": ["10", "9"], "left": []}
    assert len(agent("prune")["removed"]) == 2
    assert [engine["used_by"] != [] for engine in agent("status")["engines"]] == [True]


@pytest.mark.slow
def test_removed_deployment_leaves_its_log_and_its_engines(agent: Agent) -> None:
    """Engines are shared; `prune` takes those that nobody uses. The accepted program stays, to verify the next one."""
    program = (agent.folder / "current" / "bin" / "edge.py").read_bytes()
    agent("remove", NAME)
    assert not agent.folder.exists()
    kept = agent.device.root / "opt" / "infc" / "edge.py"
    assert (kept.is_symlink(), kept.read_bytes(), os.access(kept, os.X_OK)) == (False, program, True)
    assert agent("log", NAME)["events"]
    assert len(agent("prune")["removed"]) == 1
    agent("remove", NAME, code=1)


def test_rollback_without_a_release_before_is_code_1(agent: Agent) -> None:
    """Words say what is kept."""
    found = agent("rollback", NAME, code=1)
    assert "no release before" in found["message"]


def test_rollback_to_a_release_that_was_damaged_meanwhile_is_code_11(agent: Agent) -> None:
    """It is looked at before anything is switched: what is in service stays there, and the words say what to do."""
    (release,) = (agent.folder / "releases").iterdir()
    before = release.with_name("6-0123456789ab")
    shutil.copytree(release, before)
    (agent.folder / "previous").symlink_to(f"releases/{before.name}")
    for damaged in ("engine/model.plan", "SHA256SUMS"):
        whole = (before / damaged).read_bytes()
        (before / damaged).write_bytes(b"rot")
        found = agent("rollback", NAME, code=11)
        assert damaged in found["message"]
        assert "bundle of 6 again" in found["help"]
        (before / damaged).write_bytes(whole)
    assert agent.state() == {"current": "7", "previous": "6", "kept": ["6", "7"], "left": []}


def test_status_tells_a_run_under_way_from_one_that_was_cut_off(agent: Agent) -> None:
    """The journal alone does not say it; the lock does. Nobody holds it here."""
    entry = {"format_version": "1.0", "step": "build", "purpose": "install", "release": "8-0123456789ab"}
    (agent.folder / "journal.json").write_text(json.dumps(entry))
    command = [agent.python, str(agent.program), "status", "--root", str(agent.device.root)]
    shown = subprocess.run(command, capture_output=True, text=True, env=agent.device.environment(), check=True)
    assert "install of 8-0123456789ab was cut off at step build" in shown.stdout


def test_usage_errors_are_code_64(empty_device: Agent) -> None:
    """As for every command of infc."""
    for words in (["instal"], ["install", "x", "--keep", "0"]):
        done = subprocess.run(
            [empty_device.python, str(empty_device.program), *words], capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (64, False)


def test_name_that_cannot_be_one_is_refused(agent: Agent) -> None:
    """A name becomes a folder: no path, none of the folders that all deployments share."""
    for name in ("../etc", "engines"):
        agent("status", name, code=1)


def _shell(folder: Path, agent: Agent, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a bundle's install.sh, with Python 3.8 as the device's python3."""
    path = agent.device.environment()["PATH"]
    own = folder.parent / "bin"
    own.mkdir(exist_ok=True)
    if not (own / "python3").exists():
        (own / "python3").symlink_to(agent.python)
    return subprocess.run(
        ["/bin/sh", str(folder / "install.sh"), *words, "--root", str(agent.device.root)],
        capture_output=True,
        text=True,
        env={**agent.device.environment(), "PATH": f"{own}:{path}"},
        check=False,
    )


FIRST: dict[str, tuple[int, Callable[[Path], object]]] = {
    "changed": (11, lambda folder: (folder / "verify" / "samples.json").write_text("{}")),
    "extra": (12, lambda folder: (folder / "bin" / "more.py").write_text("print()")),
    "link": (12, lambda folder: (folder / "bin" / "more.py").symlink_to("/etc/passwd")),
    "no-program": (11, lambda folder: (folder / "bin" / "edge.py").unlink()),
    "unsigned": (10, lambda folder: (folder / "SHA256SUMS.sig").unlink()),
    "sums": (10, lambda folder: (folder / "SHA256SUMS").open("a").write("\n")),
    "program": (11, lambda folder: (folder / "bin" / "edge.py").open("a").write("\nprint('changed')\n")),
}


@pytest.mark.parametrize("case", FIRST)
def test_install_sh_makes_the_same_checks_before_it_runs_anything(
    case: str, new_agent: Agent, makes_bundles: Maker
) -> None:
    """On a device without a program: openssl and sha256sum decide, with the same codes."""
    code, spoil = FIRST[case]
    folder = makes_bundles.unpacked("7")
    spoil(folder)
    done = _shell(folder, new_agent)
    assert (done.returncode, done.stderr.startswith(f"error[{code}]") or code == 11) == (code, True), done.stderr
    assert not (new_agent.device.root / "opt").exists()


def test_install_sh_needs_a_key_of_the_device(new_agent: Agent, makes_bundles: Maker) -> None:
    """A key in the bundle's own folder is none."""
    shutil.rmtree(new_agent.device.root / "etc" / "infc")
    folder = makes_bundles.unpacked("7")
    done = _shell(folder, new_agent)
    assert (done.returncode, "public key" in done.stderr) == (10, True)


def test_install_sh_says_when_python_is_too_old(new_agent: Agent, makes_bundles: Maker) -> None:
    """JetPack 4 has 3.6, which cannot even read the program."""
    folder = makes_bundles.unpacked("7")
    old = folder.parent / "bin" / "python3"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.6.9" && exit\nexit 1\n')
    old.chmod(0o755)
    done = _shell(folder, new_agent)
    assert (done.returncode, "Python 3.6.9" in done.stderr) == (30, True), done.stderr


@pytest.mark.slow
def test_install_sh_installs_a_first_bundle_and_hands_later_ones_to_the_program(
    new_agent: Agent, makes_bundles: Maker
) -> None:
    """The second bundle's own program could be anything: the accepted one refuses it."""
    done = _shell(makes_bundles.unpacked("7"), new_agent)
    assert done.returncode == 0, done.stderr
    forged = makes_bundles.unpacked("8")
    (forged / "bin" / "edge.py").write_text("open('/forged', 'w')\n")
    done = _shell(forged, new_agent)
    assert (done.returncode, "bin/edge.py" in done.stderr) == (11, True)
    assert os.path.exists("/forged") is False
    assert _shell(makes_bundles.unpacked("8"), new_agent).returncode == 0
    assert new_agent.state()["current"] == "8"
