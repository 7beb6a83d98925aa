"""Goes back to the release before, takes a deployment off the device, and clears up after runs that were cut off."""

from __future__ import annotations

from typing import Any

from .codes import DAMAGED, FAILED, NOTHING_IN_SERVICE, ROLLED_BACK, Refusal
from .durable import read_json, remove_file, remove_tree, remove_unfinished, set_link
from .journal import Journal, new_journal, read_journal, tidy
from .keeping import detach_agent, finish_install
from .layout import Deployment, Places, linked_release
from .log import Teller
from .power import power_mode_now, restore_power, set_power_mode
from .service import stop_service
from .switching import attempt, damage_of, manifest_of, start, undo_install
from .trust import several


def recover(places: Places, teller: Teller) -> list[dict[str, Any]]:
    """Finish or undo what earlier runs left behind; says what was done, one object for each deployment."""
    remove_unfinished(places.home)
    remove_tree(places.engines / ".building")
    return [done for deployment in places.deployments() for done in recover_one(deployment, teller)]


def recover_one(deployment: Deployment, teller: Teller) -> list[dict[str, Any]]:
    """Finish what was accepted or asked for by hand, undo an install that was cut off before it was accepted."""
    journal = read_journal(deployment)
    if journal is None:
        tidy(deployment)
        return []
    teller.name = deployment.name
    step, purpose = journal.step, str(journal.entry["purpose"])
    words = f"a run that was cut off at step {step} ({purpose})"
    problems: list[str] = []
    if purpose == "install" and step != "keep":
        teller.say(f"undoing {words}")
        problems = undo_install(journal, teller)[1]
    else:
        teller.say(f"finishing {words}")
        finish = {"install": finish_install, "remove": finish_removal}.get(purpose)
        problems = attempt(lambda: finish(journal) if finish else finish_rollback(journal, teller))
    for problem in problems:
        teller.fail(problem)
    return [{"name": deployment.name, "step": step, "purpose": purpose, "problems": problems}]


def roll_back(deployment: Deployment, teller: Teller) -> dict[str, Any]:
    """Put the release before back in service, by hand; once more leads forth again. Raises Refusal 1, 11, 40, 41."""
    now, before = linked_release(deployment.current), linked_release(deployment.previous)
    if before is None:
        kept = ", ".join(deployment.kept()) or "none"
        raise Refusal(FAILED, f"{deployment.name} has no release before (kept: {kept})", "install a bundle instead")
    damaged = damage_of(deployment.release(before))
    if damaged:
        words = f"{before} is damaged on this device: {several(damaged)}; nothing was changed"
        raise Refusal(DAMAGED, words, f"install the bundle of {before.split('-')[0]} again, with --allow-downgrade")
    journal = new_journal(deployment, teller.run, "rollback")
    journal.reach(
        "power",
        release=before,
        current_before=now,
        power_before=power_mode_now(deployment.places.root),
    )
    finish_rollback(journal, teller)
    return {"name": deployment.name, "release": before, "previous": now}


def finish_rollback(journal: Journal, teller: Teller) -> None:
    """Do what is left of going back to a release. When it does not start, the one before it returns."""
    deployment, entry = journal.deployment, journal.entry
    root = deployment.places.root
    target, now = str(entry["release"]), entry["current_before"]
    teller.begin("power")
    try:
        acceptance = read_json(deployment.release(target) / "acceptance.json") or {}
        if acceptance.get("power_mode") is not None:
            set_power_mode(root, str(acceptance["power_mode"]))
        teller.end(power_mode_now(root) or "")
        teller.begin("switch")
        journal.reach("switch")
        set_link(deployment.previous, None if now is None else f"releases/{now}")
        set_link(deployment.current, f"releases/{target}")
        teller.end(target)
        teller.begin("restart")
        start(deployment, target)
        teller.end()
    except Refusal as refusal:
        if now is None:
            journal.clear()
            raise Refusal(NOTHING_IN_SERVICE, refusal.message, "install a bundle") from refusal
        set_link(deployment.previous, f"releases/{target}")
        set_link(deployment.current, f"releases/{now}")
        problems = attempt(lambda: restore_power(root, entry["power_before"])) if entry["power_before"] else []
        problems += attempt(lambda: start(deployment, str(now)))
        journal.clear()
        code = NOTHING_IN_SERVICE if problems else ROLLED_BACK
        words = "; ".join([f"{target} did not start: {refusal.message}", *problems])
        raise Refusal(code, words, "look at `edge.py log`, then install a bundle") from refusal
    remove_file(deployment.rejected)
    journal.clear()


def remove(deployment: Deployment, teller: Teller) -> dict[str, Any]:
    """Stop a deployment and take all its releases off the device; its log stays. Raises Refusal 1."""
    names = deployment.kept()
    if not deployment.folder.is_dir():
        there = ", ".join(each.name for each in deployment.places.deployments()) or "none"
        raise Refusal(FAILED, f"there is no deployment {deployment.name} (there: {there})")
    journal = new_journal(deployment, teller.run, "remove")
    teller.begin("remove")
    journal.reach("keep", release=linked_release(deployment.current))
    finish_removal(journal)
    teller.end(", ".join(names))
    return {"name": deployment.name, "removed": names}


def finish_removal(journal: Journal) -> None:
    """Do what is left of taking a deployment off the device."""
    deployment = journal.deployment
    current = linked_release(deployment.current)
    if current is not None:
        stop_service(deployment.places.root, manifest_of(deployment.release(current)))
    for link in (deployment.current, deployment.previous, deployment.rejected):
        remove_file(link)
    remove_tree(deployment.staging)
    detach_agent(deployment)
    for name in deployment.kept():
        remove_tree(deployment.release(name))
    journal.clear()
