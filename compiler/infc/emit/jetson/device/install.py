"""Brings a bundle into service, step by step, or leaves the device as it was."""

from __future__ import annotations

import os
import signal
import sys
from itertools import chain
from pathlib import Path
from typing import Any, Callable, NoReturn  # noqa: UP035 - Python 3.8

from .accept import accept
from .codes import (
    DAMAGED,
    INCONCLUSIVE,
    NOT_READY,
    NOTHING_IN_SERVICE,
    RESTART_NEEDED,
    ROLLED_BACK,
    WRONG_OUTPUTS,
    Refusal,
)
from .deltas import complete, link_or_copy
from .durable import refusal_of, remove_tree, write_json
from .engine import build_or_reuse
from .identity import free_bytes, read_device
from .journal import STEPS, is_at_least, new_journal
from .keeping import finish_install
from .layout import Places, linked_release, release_name
from .log import Teller, now
from .outputs import check_outputs
from .power import plain_name, power_mode_now, power_modes, set_power_mode
from .requirements import check_memory, check_space, check_version, matching_target
from .service import require_images, restart_service, wait_ready
from .status import is_healthy, verdict_words
from .switching import switch_to, undo_install
from .trust import MANIFEST_NAME, digest_of
from .unpacking import bundle_members, said_name, unpack_members
from .verification import check_said_name, verify_staged

DEVICE_FIELDS = ("machine", "module", "soc", "model", "l4t", "tensorrt", "memory_bytes")


class Order:
    """What the operator asked for."""

    def __init__(
        self, bundle: Path, keys: Path, is_downgrade_allowed: bool, kept: int | None, is_rehearsal: bool
    ) -> None:
        self.bundle, self.keys, self.kept = bundle, keys, kept
        self.is_downgrade_allowed, self.is_rehearsal = is_downgrade_allowed, is_rehearsal


class NothingToDo(Exception):  # noqa: N818 - a result, not an error
    """The release is in service and answers."""


class Installation:
    """One install. Each step is a method of its name; what a step finds out stays here for those after it."""

    def __init__(self, places: Places, order: Order, teller: Teller) -> None:
        self.places, self.order, self.teller = places, order, teller
        members = bundle_members(order.bundle)
        first = next(members, None)
        if first is None:
            raise Refusal(DAMAGED, f"{order.bundle} holds no file", "get the bundle again")
        self.first, self.members = first, members
        self.name, self.version = said_name(first, order.bundle)
        self.deployment = places.deployment(self.name)
        self.staged = self.deployment.staging / "release"
        self.journal = new_journal(self.deployment, teller.run, "install")
        self.journal.entry["release"] = self.version
        self.manifest: dict[str, Any] = {}
        self.target: dict[str, Any] = {}
        self.device: dict[str, Any] = {}
        self.engine: dict[str, Any] | None = None
        self.outputs: dict[str, Any] | None = None
        self.acceptance: dict[str, Any] | None = None
        self.power_mode: str | None = None
        self.release = ""
        self.unpacked_bytes = 0

    def run(self) -> dict[str, Any]:
        """Do all steps. Raises Refusal when the release is not in service after it; the device is then as before."""
        teller = self.teller
        teller.name = self.name
        try:
            for step in STEPS:
                if self.order.is_rehearsal and is_at_least(step, "stage"):
                    return self._rehearsed()
                teller.begin(step)
                if step not in ("power", "switch", "keep"):
                    self.journal.reach(step)
                action: Callable[[], str] = getattr(self, step)
                teller.end(action())
        except NothingToDo:
            teller.end("this release is in service already, is whole and answers")
            self._leave()
            return self.result("nothing-to-do", f"{self.name} {self.version} is in service already and answers")
        except (Refusal, OSError) as error:
            if self.journal.step != "keep":
                self._fail(error if isinstance(error, Refusal) else refusal_of(error))
            teller.fail(f"the next run will finish this: {error}")
        except BaseException:
            self._fail_quietly()
            raise
        words = verdict_words(self.acceptance) if self.acceptance is not None else "not measured"
        return self.result("in-service", f"{self.name} {self.version} is in service: {words}")

    def unpack(self) -> str:
        """Bring the bundle's files to this disk, before anything of them is believed."""
        remove_tree(self.deployment.staging)
        self.unpacked_bytes = unpack_members(chain([self.first], self.members), self.staged)
        return f"{self.unpacked_bytes / 1e6:.1f} MB"

    def verify(self) -> str:
        """Signature, digests, no other file. Nothing of the bundle runs before this."""
        verified = verify_staged(self.staged, self.order.keys)
        if verified.is_newer_format:
            self._hand_over()
        self.manifest = verified.manifest
        check_said_name(self.manifest, self.name, self.version)
        return f"{verified.files} files, signed by {verified.key}"

    def match(self) -> str:
        """Whether the release is for this device, and the device ready for it."""
        deployment, manifest = self.deployment, self.manifest
        self.release = release_name(self.version, manifest["content_digest"])
        current = linked_release(deployment.current)
        check_version(self.version, current and current.split("-")[0], self.order.is_downgrade_allowed)
        self.device = read_device(self.places.root)
        self.target = matching_target(manifest, self.device, power_modes(self.places.root))
        if current == self.release and self._is_same(current) and is_healthy(deployment, current, self.device):
            raise NothingToDo
        check_memory(self.target, self.device, is_replacing=current is not None)
        check_space(self.target, free_bytes(self.places.home), self.unpacked_bytes, self.places.home)
        self.journal.entry["release"] = self.release
        found = [self.device["model"] or self.device["module"], f"L4T {self.device['l4t']}"]
        return ", ".join([*found, f"TensorRT {self.device['tensorrt']}"])

    def stage(self) -> str:
        """Complete a delta from the releases that are kept, and say what the service of this target starts with."""
        completed = complete(self.deployment, self.staged, self.manifest)
        lines = [f"{name}={value}\n" for name, value in sorted(self.target.get("environment", {}).items())]
        if lines:
            (self.staged / "target.env").write_text("".join(lines))
        require_images(self.staged)
        return f"{completed} files from kept releases" if completed else ""

    def build(self) -> str:
        """Build the engine, or take the one that was built for the same model and the same device state."""
        if self.target["engine"] is None:
            return "the server loads the model itself"
        self.engine = build_or_reuse(
            self.staged, self.manifest, self.target, self.device, self.places.engines, self.teller.say
        )
        plan = Path(self.engine.pop("path"))
        for path in engine_places(self.manifest):
            target = self.staged / path
            target.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(plan, target)
        if self.engine["is_reused"]:
            return "nothing to build"
        return f"engine {self.engine['key'][:12]}, {self.engine['size_bytes'] / 1e6:.1f} MB"

    def check(self) -> str:
        """Compare what the engine computes with the reference outputs in the bundle."""
        if self.engine is None or self.manifest["verify"] is None:
            return "no reference outputs to compare with"
        plan = self.staged / "engine" / "model.plan"
        self.outputs = check_outputs(self.staged, self.manifest, plan, self.teller.say)
        if self.outputs["verdict"] != "pass":
            raise Refusal(WRONG_OUTPUTS, f"outputs are not the reference's: {self.outputs['worst']}")
        return f"outputs agree with the reference, samples: {self.outputs['samples']}"

    def power(self) -> str:
        """Set the power mode by its name."""
        wanted, before = self.target["power_mode"], None
        self.power_mode = power_mode_now(self.places.root)
        if wanted is not None and plain_name(wanted) != self.power_mode:
            before = self.power_mode
        self.journal.reach("power", power_before=before)
        if wanted is None:
            return f"stays {self.power_mode}" if self.power_mode else "no power mode to set"
        outcome = set_power_mode(self.places.root, wanted)
        if outcome["is_restart_needed"]:
            self.journal.entry["power_before"] = None
            raise Refusal(
                RESTART_NEEDED,
                f"power mode {wanted} takes effect when the device restarts",
                "restart the device, then run the same command again: the engine is kept",
            )
        self.power_mode = str(outcome["after"])
        return self.power_mode

    def switch(self) -> str:
        """Make it the release in service, in one rename."""
        deployment = self.deployment
        os.sync()
        self.journal.reach(
            "switch",
            current_before=linked_release(deployment.current),
            previous_before=linked_release(deployment.previous),
            is_replacing=deployment.release(self.release).is_dir(),
        )
        switch_to(self.journal, self.staged)
        return self.release

    def restart(self) -> str:
        """Restart the service and wait until it answers."""
        restart_service(self.places.root, self.manifest)
        wait_ready(self.manifest)
        return f"{self.manifest['service']['unit']} answers" if self.manifest["service"]["kind"] != "none" else ""

    def accept(self) -> str:
        """Measure it under the spec's load, and judge."""
        folder = self.deployment.release(self.release)
        measured = accept(self.places.root, folder, self.manifest, self.target, self.engine, self.teller.say)
        self.acceptance = {
            "format_version": "1.0",
            **{field: self.manifest[field] for field in ("name", "version", "content_digest")},
            "hardware_id": self.target["hardware_id"],
            "device": {field: self.device[field] for field in DEVICE_FIELDS},
            "engine": self.engine,
            "power_mode": self.power_mode,
            "outputs": self.outputs,
            "accepted_at": now(),
            **measured,
        }
        write_json(folder / "acceptance.json", self.acceptance)
        words = verdict_words(self.acceptance)
        if self.acceptance["verdict"] == "pass":
            return words
        if not self.manifest["is_rolled_back"]:
            return f"{words}; it stays in service, as the spec says"
        if self.acceptance["verdict"] == "fail":
            raise Refusal(ROLLED_BACK, f"missed its objective: {words}", "plan again with what was measured here")
        raise Refusal(
            INCONCLUSIVE, f"not enough evidence in the time allowed: {words}", "allow more time, or a lower load"
        )

    def keep(self) -> str:
        """It is accepted: drop what is not needed any more."""
        kept = self.order.kept if self.order.kept is not None else int(self.manifest["releases_kept"])
        self.journal.reach("keep", releases_kept=kept)
        dropped = finish_install(self.journal)
        return f"dropped {', '.join(dropped)}" if dropped else ""

    def result(self, outcome: str, message: str) -> dict[str, Any]:
        """What `--format json` prints of it."""
        return {
            "outcome": outcome,
            "message": message,
            "name": self.name,
            "version": self.version,
            "release": linked_release(self.deployment.current),
            "acceptance": self.acceptance,
        }

    def _is_same(self, current: str) -> bool:
        """Whether the release in service has this manifest too: another objective is another release."""
        kept = self.deployment.release(current) / MANIFEST_NAME
        return kept.is_file() and kept.read_bytes() == (self.staged / MANIFEST_NAME).read_bytes()

    def _leave(self) -> None:
        """Nothing was changed but staging."""
        self.journal.clear()

    def _rehearsed(self) -> dict[str, Any]:
        self._leave()
        return self.result("rehearsed", f"{self.name} {self.version} can be installed here; nothing was changed")

    def _fail(self, refusal: Refusal) -> NoReturn:
        """Undo everything, and say with which code it ended. Raises Refusal."""
        step, is_switched = self.journal.step, is_at_least(self.journal.step, "switch")
        self.teller.fail(refusal.message, code=refusal.code)
        in_service, problems = self._undo()
        ending = [f"{in_service} is back in service" if in_service else "nothing is in service"] if is_switched else []
        message = "; ".join([refusal.message, *problems, *ending])
        code = refusal.code
        if code == ROLLED_BACK and in_service is None:
            code = NOTHING_IN_SERVICE
        refused = Refusal(code, f"step {step}: {message}", refusal.help)
        refused.result = self.result("rolled-back" if is_switched else "refused", message)
        raise refused from refusal

    def _fail_quietly(self) -> None:
        """Undo everything when the run was told to end, or met a bug."""
        self.teller.fail("the run was ended")
        if self.journal.step != "keep":
            self._undo()

    def _undo(self) -> tuple[str | None, list[str]]:
        """Undo everything, whatever else asks the run to end meanwhile."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        rejected = self.acceptance
        in_service, problems = undo_install(self.journal, self.teller)
        if rejected is not None and rejected["verdict"] != "pass":
            try:
                self.deployment.folder.mkdir(exist_ok=True)
                write_json(self.deployment.rejected, rejected)
            except OSError as error:
                problems.append(f"the measurement was not kept: {error.strerror}")
        return in_service, problems

    def _hand_over(self) -> NoReturn:
        """A verified bundle of a later format: its own program installs it. It starts over, with the same arguments."""
        program = self.staged / "bin" / "edge.py"
        if not program.is_file() or digest_of(program) == digest_of(Path(__file__)):
            words = "the bundle's format is newer than this edge.py, and it brings none that knows it"
            raise Refusal(NOT_READY, words, "compile the bundle again with one infc")
        self.teller.say("the bundle has a newer format: its own edge.py, verified, goes on")
        os.execv(sys.executable, [sys.executable, str(program), *sys.argv[1:]])  # noqa: S606 - no shell is wanted


def engine_places(manifest: dict[str, Any]) -> list[str]:
    """Where a release has its engine: for the tools, and for the server that loads it."""
    places = ["engine/model.plan"]
    if manifest["service"]["kind"] == "triton":
        places.append(f"triton/{manifest['service']['model']}/1/model.plan")
    return places
