"""The command line of the program on the device."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from .codes import FAILED, OK, USAGE, Refusal
from .durable import refusal_of
from .install import Installation, Order
from .journal import OneRun
from .keeping import prune_engines
from .layout import Places
from .log import Teller, events_of
from .returning import recover, remove, roll_back
from .status import device_status, status_words
from .verification import verify_bundle

RESULT_FORMAT = "1.0"
_ABOUT = """\
Installs signed bundles of infc on this device: verifies them, builds the engine here, checks its outputs, puts it in
service, measures it under the spec's load, and goes back to the release before when it misses its objective.
"""
_CODES = """\
exit codes: 0 in service or nothing to do; 1 something else failed; 10 signature; 11 damaged; 12 a file nobody signed
for; 13 a delta's base is missing; 14 older than what is in service; 20 not for this device; 30 the device is not
ready; 31 the engine did not build; 32 wrong outputs; 40 missed its objective and was rolled back; 41 the same, and
nothing was there before; 42 not enough evidence, rolled back; 50 another run is under way; 51 restart the device and
run the command again; 64 usage
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Usage errors end with 64."""
        self.print_usage(sys.stderr)
        print(f"error: {message}", file=sys.stderr)
        sys.exit(USAGE)


def main(argv: list[str]) -> int:
    """Run one command; returns the exit code."""
    options = parser().parse_args(argv)
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # an install goes on when the connection that started it is lost
    teller = Teller(os.urandom(6).hex(), Places(options.root).log)
    try:
        result = _COMMANDS[options.command](options, teller)
    except Refusal as refusal:
        return _refused(options, refusal, teller)
    except OSError as error:
        return _refused(options, refusal_of(error), teller)
    except KeyboardInterrupt:
        return _refused(options, Refusal(FAILED, "ended by a signal", "run the same command again"), teller)
    except Exception as error:
        teller.fail(traceback.format_exc())
        words = f"a bug in edge.py: {type(error).__name__}: {error}"
        return _refused(
            options, Refusal(FAILED, words, "send the output of `edge.py log` to who made the bundle"), teller
        )
    teller.finish(OK, str(result.get("message", "")))
    _print(options, {**result, "code": OK, "run": teller.run, "steps": teller.steps})
    return OK


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    shared = _Parser(add_help=False)
    shared.add_argument(
        "--root", default="/", metavar="DIR", help="folder in front of every path, for tests and images; default /"
    )
    shared.add_argument("--format", choices=("text", "json"), default="text", help="of what is printed; default text")
    trusting = _Parser(add_help=False)
    trusting.add_argument("bundle", type=Path, help="the .tar.zst, or the folder that it was unpacked to")
    trusting.add_argument(
        "--keys", type=Path, metavar="DIR", help="folder of public keys that may sign; default /etc/infc/keys"
    )
    top = _Parser(prog="edge.py", description=_ABOUT, epilog=_CODES)
    commands = top.add_subparsers(dest="command", required=True, parser_class=_Parser, metavar="COMMAND")

    def add(name: str, about: str, *parents: _Parser) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[*parents, shared], help=about, description=about)

    install = add("install", "verify a bundle, build its engine, put it in service if it meets its objective", trusting)
    install.add_argument(
        "--allow-downgrade", action="store_true", help="also take a release older than that in service"
    )
    install.add_argument(
        "--keep", type=_number_kept, metavar="N", help="releases that stay on the device; default: what the bundle says"
    )
    install.add_argument("--dry-run", action="store_true", help="verify and match only; changes nothing")
    add("verify", "check who signed a bundle and that it is whole; writes nothing", trusting)
    add("status", "what is in service, kept, under way; changes nothing").add_argument("name", nargs="?")
    add("rollback", "put the release before back in service").add_argument("name")
    add("remove", "stop a deployment and remove its releases").add_argument("name")
    add("prune", "remove engines that no kept release uses")
    add("recover", "finish or undo what a run that was cut off left behind; every command that changes things does so")
    add("log", "what was done, one line an event").add_argument("name")
    return top


def _install(options: argparse.Namespace, teller: Teller) -> dict[str, Any]:
    places = Places(options.root)
    order = Order(
        bundle=options.bundle,
        keys=options.keys or places.keys,
        is_downgrade_allowed=options.allow_downgrade,
        kept=options.keep,
        is_rehearsal=options.dry_run,
    )
    with OneRun(places):
        recover(places, teller)
        return Installation(places, order, teller).run()


def _verify(options: argparse.Namespace, teller: Teller) -> dict[str, Any]:
    verified = verify_bundle(options.bundle, options.keys or Places(options.root).keys)
    name, version = verified.manifest.get("name"), verified.manifest.get("version")
    words = f"{name} {version}: {verified.files} files, all as signed by {verified.key}"
    return {"outcome": "verified", "message": words, "name": name, "version": version, "key": verified.key}


def _status(options: argparse.Namespace, teller: Teller) -> dict[str, Any]:
    return device_status(Places(options.root), options.name)


def _rollback(options: argparse.Namespace, teller: Teller) -> dict[str, Any]:
    places = Places(options.root)
    deployment = places.deployment(options.name)
    with OneRun(places):
        recover(places, teller)
        teller.name = options.name
        done = roll_back(deployment, teller)
    return {"outcome": "in-service", "message": f"{done['release']} is in service again", **done}


def _remove(options: argparse.Namespace, teller: Teller) -> dict[str, Any]:
    places = Places(options.root)
    deployment = places.deployment(options.name)
    with OneRun(places):
        recover(places, teller)
        teller.name = options.name
        done = remove(deployment, teller)
    words = f"{options.name} is removed; its engines stay until `edge.py prune`"
    return {"outcome": "removed", "message": words, **done}


def _prune(options: argparse.Namespace, teller: Teller) -> dict[str, Any]:
    places = Places(options.root)
    with OneRun(places):
        recover(places, teller)
        done = prune_engines(places)
    words = f"{len(done['removed'])} engines removed, {done['freed_bytes'] / 1e6:.1f} MB freed"
    return {"outcome": "pruned", "message": words, **done}


def _recover(options: argparse.Namespace, teller: Teller) -> dict[str, Any]:
    places = Places(options.root)
    with OneRun(places):
        done = recover(places, teller)
    words = "; ".join(f"{one['name']}: {one['purpose']} was cut off at {one['step']}" for one in done)
    return {"outcome": "recovered", "message": words or "nothing was left behind", "recovered": done}


def _log(options: argparse.Namespace, teller: Teller) -> dict[str, Any]:
    places = Places(options.root)
    return {"events": list(events_of(places.log, places.deployment(options.name).name))}


_COMMANDS = {
    "install": _install,
    "verify": _verify,
    "status": _status,
    "rollback": _rollback,
    "remove": _remove,
    "prune": _prune,
    "recover": _recover,
    "log": _log,
}


def _print(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Data goes to standard output."""
    if options.format == "json":
        lines = [json.dumps({"format_version": RESULT_FORMAT, "command": options.command, **result}, sort_keys=True)]
    elif options.command == "status":
        lines = status_words(result)
    elif options.command == "log":
        lines = [_event_line(event) for event in result["events"]]
    else:
        lines = [result["message"]]
    try:
        print("\n".join(lines), flush=True)
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - Python would complain about the old one when it ends
        if not isinstance(error, BrokenPipeError):
            print(f"error: the result cannot be written: {error.strerror}", file=sys.stderr)


def _event_line(event: dict[str, Any]) -> str:
    words = [str(event.get(field, "")) for field in ("time", "run", "step", "outcome", "words")]
    return "  ".join(word for word in words if word)


def _refused(options: argparse.Namespace, refusal: Refusal, teller: Teller) -> int:
    """Say why a command did not succeed: words on standard error, the object on standard output."""
    teller.finish(refusal.code, refusal.message)
    if options.format == "json":
        found = {"outcome": "refused", **refusal.result, "message": refusal.message, "help": refusal.help}
        _print(options, {**found, "code": refusal.code, "run": teller.run, "steps": teller.steps})
    try:
        print(f"error[{refusal.code}]: {refusal.message}", file=sys.stderr)
        if refusal.help:
            print(f"help: {refusal.help}", file=sys.stderr, flush=True)
    except OSError:
        return refusal.code
    return refusal.code


def _number_kept(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of releases")
    return int(text)


def _end(number: int, frame: object) -> NoReturn:
    """Undo what was begun, then end."""
    raise KeyboardInterrupt
