"""Diagnostics about the lockfile."""

from infc.diag.kind import DiagnosticKind

LOCK: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="lock-conflict",
        title="Unresolved merge conflict",
        what="infc.lock holds git's conflict markers.",
        why="Two branches changed the same deployment, or added one at the same place; only one can be deployed.",
        example="<<<<<<< HEAD in infc.lock",
        fix="Run `infc lock`, on the file with its markers or on either side of it: choices that still hold are kept.",
    ),
    DiagnosticKind(
        id="lock-corrupt",
        title="Lock is not TOML",
        what="infc.lock is not valid TOML, often because a merge left its markers in it.",
        why="A lock that is half understood would be half trusted.",
        example="replicas = ",
        fix="Restore the file from git and run `infc lock`: it plans again what has changed since.",
    ),
    DiagnosticKind(
        id="lock-invalid",
        title="Lock with a wrong or missing value",
        what="infc.lock is TOML, but a key is missing, unknown, or has a value that infc never writes.",
        why="The file is written by infc only; a hand-made edit says something that nobody planned or tested.",
        example='precision = "fp17"',
        fix="Restore the file from git and run `infc lock`.",
    ),
    DiagnosticKind(
        id="lock-version",
        title="Lock of a newer infc",
        what="infc.lock has a format version that this infc does not read.",
        why="A newer format may hold what an older infc would drop without a word.",
        example="the lock has version 2, this infc reads version 1",
        fix="Use the infc that wrote it, or a newer one.",
    ),
    DiagnosticKind(
        id="lock-duplicate-name",
        title="Two specs of one name",
        what="Two specs of a workspace have the same metadata.name (or, without one, the same file name).",
        why="The lock and the output folder go by the name: one deployment would overwrite the other.",
        example="two specs are named encoder",
        fix="Give one of them another metadata.name.",
    ),
    DiagnosticKind(
        id="lock-missing",
        title="Deployment is not locked",
        what="infc.lock has no entry for a deployment that a locked compile was asked for.",
        why="With --locked only what was reviewed is built.",
        example="infc.lock does not hold what encoder @ l4 compiles to",
        fix="Run `infc compile` without --locked, review the change of infc.lock and commit it.",
    ),
    DiagnosticKind(
        id="lock-stale",
        title="Lock does not match",
        what="An input of a locked deployment changed, or it no longer compiles to what infc.lock says.",
        why="What was reviewed is not what would be deployed.",
        example="infc.lock does not hold what encoder @ l4 compiles to",
        fix="Run `infc compile` without --locked, review the change of infc.lock and commit it.",
    ),
    DiagnosticKind(
        id="saved-plan-unreadable",
        title="No saved plan of this version",
        what="The file that `infc compile --plan` was given is not what this version of `infc plan --format json` "
        "writes, or it was edited: its digest is not that of what it holds.",
        why="A compile holds to a saved plan; one that is half understood would be half held to.",
        example="infc compile --plan report.html",
        fix="Make it again: `infc plan SPEC|DIR... --format json --out plan.json`.",
    ),
    DiagnosticKind(
        id="saved-plan-absent",
        title="Spec that the saved plan does not hold",
        what="A spec that is to be compiled is not in the saved plan or has no plan there, or a spec of the "
        "plan is not here.",
        why="Nobody has reviewed what it would come to.",
        example="infc compile specs/new.infc.yaml --plan plan.json   # of a plan that was made before",
        fix="Plan and review it too, or leave it out: without SPEC arguments what the plan lists is compiled.",
    ),
    DiagnosticKind(
        id="saved-plan-stale",
        title="The saved plan no longer matches",
        what="An input of a deployment is not what it was when the plan was saved, or the plan now comes to another "
        "decision. The notes name the inputs and the parts of the decision.",
        why="What was reviewed is not what would be deployed.",
        example="minilm @ t4 is not what plan.json says; input spec: 1f2e3d4c5b6a -> 9a8b7c6d5e4f",
        fix="Plan again, review the change, and compile with the new file.",
    ),
)
