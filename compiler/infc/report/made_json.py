"""What commands that make a single thing print as JSON: a starter spec, a key, a script, the list of schemas."""

import json
from collections.abc import Mapping, Sequence

from infc.ir.json_schema import object_schema

FORMAT_VERSION = "1.0"
_VERSION = {"type": "string", "pattern": r"^1\.\d+$"}
_TEXT = {"type": "string", "minLength": 1}


def starter_json(*, spec: str, name: str, model: str, editor_schema: str) -> str:
    """`infc init`: the paths of the spec, of its model and of the schema that editors read, as the user would write."""
    return _text({"spec": spec, "name": name, "model": model, "editor_schema": editor_schema})


def starter_schema() -> dict[str, object]:
    """The JSON Schema of `infc init --format json`."""
    return _schema(dict.fromkeys(("spec", "name", "model", "editor_schema"), _TEXT))


def new_key_json(*, private_key: str, public_key: str, key_id: str) -> str:
    """`infc sign --new-key`: the paths of both halves, and the id by which bundles name the key."""
    return _text({"private_key": private_key, "public_key": public_key, "key_id": key_id})


def new_key_schema() -> dict[str, object]:
    """The JSON Schema of `infc sign --new-key --format json`."""
    return _schema({"private_key": _TEXT, "public_key": _TEXT, "key_id": {"type": "string", "pattern": "^[0-9a-f]+$"}})


def completion_json(*, shell: str, script: str) -> str:
    """`infc completion`: the script of a shell."""
    return _text({"shell": shell, "script": script})


def completion_schema() -> dict[str, object]:
    """The JSON Schema of `infc completion --format json`."""
    return _schema({"shell": {"enum": ["bash", "zsh", "fish"]}, "script": _TEXT})


def schema_list_json(schemas: Sequence[tuple[str, str]], folder: str | None) -> str:
    """`infc schema`: names with what they describe, and the folder that they were written to, None for nowhere."""
    listed = [{"name": name, "describes": what} for name, what in schemas]
    return _text({"schemas": listed, "folder": folder})


def schema_list_schema() -> dict[str, object]:
    """The JSON Schema of `infc schema --format json`."""
    schemas = {"type": "array", "items": object_schema({"name": _TEXT, "describes": _TEXT})}
    return _schema({"schemas": schemas, "folder": {"type": ["string", "null"]}})


def _text(document: dict[str, object]) -> str:
    return json.dumps({"format_version": FORMAT_VERSION, **document}, indent=2, ensure_ascii=False)


def _schema(properties: Mapping[str, object]) -> dict[str, object]:
    return object_schema({"format_version": _VERSION, **properties})
