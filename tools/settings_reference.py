"""Write the reference of settings.yaml, in Markdown and as a JSON Schema for editors, from the table of keys.

``python -m tools.settings_reference docs`` brings both files of a directory up to date.
"""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from msgspec import NODEFAULT
from msgspec.structs import fields

from xpm_remote.settings.keys import (
    CARBON,
    FOLDER,
    HISTORY,
    NOTICES,
    SERVER,
    SETTINGS,
    SSH,
    WORKSPACE,
    Key,
    Kind,
    Section,
)
from xpm_remote.settings.schema import Backend, SshEngine
from xpm_remote.workspace.layout import Folder, FolderMode

PAGE = "settings.md"
SCHEMA = "settings.schema.json"

_BEGIN, _END = "<!-- keys: begin -->", "<!-- keys: end -->"
_SECTIONS = (SETTINGS, WORKSPACE, FOLDER, SSH, SERVER, HISTORY, CARBON, NOTICES)
_HEAD = (
    "| key | type | default | unit | example | meaning |\n| --- | --- | --- | --- | --- | --- |\n"
)

# A value of any type may come from the environment, and is text for YAML then.
_VARIABLE = {"type": "string", "pattern": r"\$\{(oc\.)?env[:.][^{}]+\}"}
_TEXT = {"type": "string"}
_SPELLED = {"type": ["string", "number", "boolean"]}
_SCHEMAS: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: _TEXT,
    Kind.SCRIPT: _TEXT,
    Kind.PATH: _TEXT,
    Kind.HOST: _TEXT,
    Kind.FLAG: {"anyOf": [{"type": "boolean"}, _VARIABLE]},
    Kind.COUNT: {"anyOf": [{"type": "integer", "minimum": 0}, _VARIABLE]},
    Kind.PORT: {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 65535}, _VARIABLE]},
    Kind.SECONDS: {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _VARIABLE]},
    Kind.INTERVAL: {
        "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"enum": ["off", False]}, _VARIABLE]
    },
    Kind.LOCK_MODE: {"type": "string", "pattern": "^(inherit|umask|(0o?)?[0-7]{3})$"},
    Kind.FOLDER_MODE: {"enum": [mode.value for mode in FolderMode]},
    Kind.ENGINE: {"enum": [engine.value for engine in SshEngine]},
    Kind.BACKEND: {"enum": [backend.value for backend in Backend]},
    Kind.ENV: {"type": "object", "additionalProperties": _SPELLED},
    Kind.TEXTS: {"type": "array", "items": _TEXT},
    Kind.BINDINGS: {
        "type": "object",
        "additionalProperties": {"anyOf": [_SPELLED, {"type": "array", "items": _SPELLED}]},
    },
    Kind.OPTIONS: {"anyOf": [_SPELLED, {"type": "array", "items": _SPELLED}]},
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7, which editors know) of a settings file."""
    definitions = {section.values.__name__: _section_schema(section) for section in _SECTIONS[1:]}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of experimaestro and xpm-remote",
        **_section_schema(SETTINGS),
        "definitions": definitions,
    }


def key_tables() -> str:
    """Return the keys as Markdown: a table for each section."""
    return "\n".join(_table(section) for section in _SECTIONS)


def update(directory: Path) -> None:
    """Write the schema, and the tables into the page, which has to exist."""
    page = directory / PAGE
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    (directory / SCHEMA).write_text(schema_text(), encoding="utf-8")


def schema_text() -> str:
    """Return the content of the schema file."""
    return json.dumps(json_schema(), indent=2) + "\n"


def with_tables(page: str) -> str:
    """Return the page with up-to-date tables between its two marks."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{key_tables()}\n{_END}{after}"


def main(arguments: list[str]) -> None:
    """Update the page and the schema in the directory that is the only argument."""
    (directory,) = arguments
    update(Path(directory))


def _section_schema(section: Section) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key.name: _key_schema(section, key) for key in section.keys},
        "required": [key.name for key in section.keys if key.required],
        "additionalProperties": False,
    }


def _key_schema(section: Section, key: Key) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": key.about}
    if key.section is not None:
        inner = {"$ref": f"#/definitions/{key.section.values.__name__}"}
        is_list = key.kind is Kind.SECTIONS
        return schema | ({"type": "array", "items": inner} if is_list else {"allOf": [inner]})
    schema |= _SCHEMAS[key.kind]
    schema["examples"] = [yaml.safe_load(key.example)]
    default = _default(section, key)
    return schema if default is None else schema | {"default": default}


def _table(section: Section) -> str:
    rows = "".join(_row(section, key) for key in section.keys)
    return f"### `{section.title}`\n\n{_HEAD}{rows}"


def _row(section: Section, key: Key) -> str:
    example = f"`{key.example}`" if key.example else "below"
    cells = (
        f"`{key.name}`",
        key.kind.value,
        _default_text(section, key),
        key.unit,
        example,
        key.about,
    )
    return f"| {' | '.join(cells)} |\n"


def field_defaults(section: Section) -> dict[str, object]:
    """Return the fields of a section's values with their defaults.

    A field without default has ``NODEFAULT``, one whose default is made anew each time has None.
    """
    if issubclass(section.values, Folder):
        return {each: Folder._field_defaults.get(each, NODEFAULT) for each in Folder._fields}
    defaults: dict[str, object] = {}
    for each in fields(section.values):
        is_made = each.default is NODEFAULT and not each.required
        defaults[each.name] = None if is_made else each.default
    return defaults


def _default_text(section: Section, key: Key) -> str:
    if key.required:
        return "required"
    default = _default(section, key)
    return key.default or ("none" if default is None else f"`{json.dumps(default)}`")


def _default(section: Section, key: Key) -> bool | float | str | None:
    """Return the default as a JSON value; None where there is none."""
    default = field_defaults(section)[key.name]
    if isinstance(default, Enum):
        return str(default.value)
    return default if isinstance(default, bool | float | int | str) else None


if __name__ == "__main__":
    main(sys.argv[1:])
