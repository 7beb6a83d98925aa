"""What names and paths in a spec may look like, and the fix when they do not."""

import re

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
MAX_PATH_LENGTH = 1024


def name_problem(name: str) -> tuple[str, str] | None:
    """Why `name` is no RFC 1123 label, and the fix; None when it is one.

    >>> name_problem("product-encoder")
    >>> name_problem("Product Encoder")[0]
    '`Product Encoder` is not a valid name'
    """
    if _LABEL.fullmatch(name):
        return None
    rule = "lower case letters, digits and hyphens, at most 63"
    suggestion = label_from(name)
    help = f"write {suggestion} ({rule})" if suggestion else f"write a name such as product-encoder ({rule})"
    return f"`{_shown(name)}` is not a valid name", help


def label_from(text: str) -> str | None:
    """The nearest RFC 1123 label, or None when nothing of the text can be kept.

    >>> label_from("ResNet_8 (v2)")
    'resnet-8-v2'
    """
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    return label or None


def path_problem(path: str) -> tuple[str, str] | None:
    """Why `path` cannot be a path of a spec, and the fix; None when it can (whether it exists is checked later).

    >>> path_problem("models/encoder.onnx")
    """
    if not path:
        return "the path is empty", "write a path relative to the spec file"
    if len(path) > MAX_PATH_LENGTH:
        return "the path is too long", f"write a path of at most {MAX_PATH_LENGTH} characters"
    hidden = hidden_character(path)
    if hidden is not None:
        what = f"the path holds a character that cannot be seen (U+{ord(hidden):04X})"
        return what, "write one line of printable text"
    if is_command(path):
        return "the path reads as a command of a CI system", "rename what starts with `::` or holds `##[`"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path):
        return (
            "a path cannot be a URL",
            "fetch the file and write its path relative to the spec file",
        )
    if path.startswith(("/", "~", "\\")) or re.match(r"[A-Za-z]:", path):
        return "an absolute path works on one machine only", "write a path relative to the spec file"
    if "\\" in path:
        return "a path uses forward slashes", f"write {path.replace(chr(92), '/')}"
    return None


def is_command(path: str) -> bool:
    """Whether a log that shows the path would be read as a command: GitHub's runner takes `::name::` and `##[name]`.

    >>> is_command("specs/::error ::x/a.yaml"), is_command("specs/a::b.yaml")
    (True, False)
    """
    return "##[" in path or any(part.lstrip().startswith("::") for part in path.split("/"))


def hidden_character(text: str) -> str | None:
    r"""The first character that a reader cannot see: a control, a line break, one that turns the direction of text.

    >>> hidden_character("café 10"), hidden_character("a\x1b[2J")
    (None, '\x1b')
    """
    return None if text.isprintable() else next(c for c in text if not c.isprintable())


def is_function_reference(text: str) -> bool:
    """Whether the text is `package.module:function`.

    >>> is_function_reference("metrics.custom:recall_at_10"), is_function_reference("os.system('x')")
    (True, False)
    """
    return _FUNCTION.fullmatch(text) is not None


def _shown(text: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= 40 else shown[:37] + "..."
