"""Diagnostics about reading a spec: bytes, YAML, structure."""

from infc.diag.kind import DiagnosticKind

SPEC_TEXT: tuple[DiagnosticKind, ...] = (
    DiagnosticKind(
        id="spec-not-found",
        title="There is no such spec",
        what="The path on the command line names no file, or a folder where a file is needed.",
        why="Nothing can be checked without it.",
        example="infc check specs/encodr.infc.yaml",
        fix="Check the path; `infc check DIR` finds every *.infc.yaml below a folder.",
    ),
    DiagnosticKind(
        id="spec-unreadable",
        title="The spec cannot be read",
        what="The operating system refused to read the file.",
        why="Nothing can be checked without it.",
        example="infc check specs/secret.infc.yaml   (mode 000)",
        fix="Let the user that runs infc read it: `ls -l` shows its permissions and owner.",
    ),
    DiagnosticKind(
        id="spec-too-large",
        title="The spec is too large",
        what="The file is larger than 1 MiB, or holds more than 20,000 values.",
        why=(
            "A spec is a page that people review; a large file is data in the wrong place, or an attack on the parser."
        ),
        example="workload: {arrival: [0.1, 0.2, ... a million numbers ...]}",
        fix="Keep traces and samples in files of their own and name their paths in the spec.",
    ),
    DiagnosticKind(
        id="spec-encoding",
        title="The spec is not UTF-8",
        what="The file holds bytes that are not UTF-8 text.",
        why=("YAML that infc reads is UTF-8; guessing another encoding would change names without saying so."),
        example="metadata: {owner: caf\\xe9}   (saved as Latin-1)",
        fix="Save the file as UTF-8.",
    ),
    DiagnosticKind(
        id="spec-character",
        title="A character that YAML does not allow",
        what="The file holds a control character, an invisible line separator, or one that turns text around.",
        why="Such characters hide text from reviewers and break terminals.",
        example="objective: cost<U+0000>",
        fix="Delete the character; an editor that shows code points (U+202E and the like) finds it at that column.",
    ),
    DiagnosticKind(
        id="spec-empty",
        title="The spec is empty",
        what="The file holds no value: it is empty, or has only comments.",
        why="A model, an SLO and a rate are needed.",
        example="# to be written",
        fix="Write the spec, or start from `infc init MODEL.onnx`.",
    ),
    DiagnosticKind(
        id="spec-syntax",
        title="The spec is not valid YAML",
        what="The text breaks YAML's syntax at this place.",
        why="Nothing below this place can be read.",
        example="slo:\n  latency: {p99: 25ms",
        fix=(
            "Close brackets and quotes, indent with spaces, put a space after each colon, and quote "
            "values that hold `: ` or start with @, %, & or *."
        ),
    ),
    DiagnosticKind(
        id="spec-multiple-documents",
        title="More than one document in a file",
        what="The file holds a second YAML document after `---`.",
        why="One file is one deployment: its name, lock entry and history follow the file.",
        example="model: {onnx: a.onnx}\n---\nmodel: {onnx: b.onnx}",
        fix="Put each spec into a file of its own.",
    ),
    DiagnosticKind(
        id="spec-too-deep",
        title="The spec is nested too deeply",
        what="Lists or mappings are nested deeper than 40 levels.",
        why=("The language is about five levels deep; deeper nesting is a mistake, or an attack on the parser."),
        example="[[[[[[[[[[[[ ... ]]]]]]]]]]]]",
        fix="Remove the extra levels.",
    ),
    DiagnosticKind(
        id="spec-alias-bomb",
        title="Aliases expand to too much",
        what="With its aliases written out the document would hold more than 20,000 values.",
        why="A few lines of nested aliases can expand to billions of values.",
        example="a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]   (and so on)",
        fix="Write the values out.",
    ),
    DiagnosticKind(
        id="spec-alias-cycle",
        title="An alias inside its own anchor",
        what="An alias refers to a value that holds the alias.",
        why="Such a value has no end: whatever is read from it holds itself again.",
        example="slo: &x {latency: *x}",
        fix="Write the value out where the alias stands, or move the anchor to what was meant.",
    ),
    DiagnosticKind(
        id="spec-tag",
        title="A YAML tag that cannot be used",
        what="The value carries a tag that is not of YAML's core schema, or that its text does not fit.",
        why="Tags can make parsers build objects; infc reads plain data only.",
        example="model: !!python/object:os.system {}",
        fix="Remove the tag.",
    ),
    DiagnosticKind(
        id="spec-key",
        title="A key that is not text",
        what="A mapping has a list or a mapping as its key.",
        why=(
            "Every key of the language is a word; a line that starts with ? or with a bracket makes something "
            "else of it."
        ),
        example="? [a, b]\n: c",
        fix="Write `key: value`; quote a key that starts with [, { or ?.",
    ),
    DiagnosticKind(
        id="spec-duplicate-key",
        title="A key is set twice",
        what="The same key stands twice in one mapping.",
        why="Most parsers silently keep the last one, so a reviewer may read the wrong value.",
        example="workload:\n  rate: 300/s\n  rate: 800/s",
        fix="Keep one of the two; the note names the line of the first.",
    ),
    DiagnosticKind(
        id="spec-empty-value",
        title="A key without a value",
        what="A key has no value, an empty list, or an empty mapping where something is needed.",
        why="It is not clear whether the default or something else was meant.",
        example="pricing:",
        fix="Give the key a value, or remove it.",
    ),
    DiagnosticKind(
        id="spec-extends",
        title="A spec extends what cannot be extended",
        what="The file that `extends` names extends another file itself, or is the spec itself.",
        why=(
            "There is one level: whoever reviews a spec looks at two files (and at shared defaults), never at a chain."
        ),
        example="# prod.infc.yaml\nextends: staging.infc.yaml   # which says: extends: base.yaml",
        fix="Extend the last file of the chain, and write in the spec what differs from it.",
    ),
    DiagnosticKind(
        id="spec-defaults",
        title="Shared defaults hold what they may not",
        what="infc-defaults.yaml sets a model, SLO, workload or name, extends another file, or is named as a spec.",
        why=(
            "These make a deployment the one that it is. A promise that a spec does not state is one that nobody "
            "reviews."
        ),
        example="# infc-defaults.yaml\nslo: {latency: {p99: 50ms}}",
        fix="Write it in each spec, or in a base that the specs extend.",
    ),
)
