"""Diagnostics about hardware and prices."""

from infc.diag.kind import DiagnosticKind

TARGETS: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="target-syntax",
        title="catalogue file cannot be read",
        what="A file of your own targets/ directory is not readable as YAML: wrong syntax, not UTF-8, empty or large.",
        why="A catalogue file that is half understood would make plans on wrong figures.",
        example="name: L4\n  vendor: NVIDIA   # indented by mistake",
        fix="Correct the YAML at the line shown; compare with the built-in files in the folder that "
        "`infc targets path` prints.",
    ),
    DiagnosticKind(
        id="target-key",
        title="wrong key in a catalogue file",
        what="A hardware or price file has a key that does not exist there, has one twice, or lacks a required one.",
        why="A misspelt key would silently leave a figure out of every plan.",
        example="memory_bandwith_gb_per_s: 300",
        fix="Use the key that is suggested; `infc schema hardware` and `infc schema prices` list them all.",
    ),
    DiagnosticKind(
        id="target-value",
        title="wrong value in a catalogue file",
        what="A value of a hardware or price file has the wrong form or range, or contradicts another.",
        why="Figures are plain numbers in the unit that the key names; text or another unit would be misread.",
        example="memory_gb: 24GB",
        fix="Write a plain number in the key's unit (memory_gb: 24), true or false, or one of the words listed.",
    ),
    DiagnosticKind(
        id="target-unknown",
        title="unknown hardware",
        what="No device of the catalogue has this id, alias or name.",
        why="infc never guesses which device was meant: prices and speeds of neighbours differ several times.",
        example="constraints: {hardware: [a100-80gb]}",
        fix="Use one of the nearest names shown, or add the device to your own targets/hardware/<id>.yaml.",
    ),
    DiagnosticKind(
        id="target-unknown-provider",
        title="unknown price book",
        what="There is no price book of this name.",
        why="Costs are only computed from dated, sourced prices.",
        example="pricing: {provider: amazon}",
        fix="Use one of the providers shown, or add your own prices as targets/prices/<provider>.yaml.",
    ),
)
