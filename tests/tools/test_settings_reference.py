"""The reference and the editors' schema against the reader they describe."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import NODEFAULT

from tests.settings.support import complaints, read
from tools.settings_reference import (
    PAGE,
    SCHEMA,
    field_defaults,
    json_schema,
    schema_text,
    with_tables,
)
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
from xpm_remote.settings.schema import Settings

DOCS = Path(__file__).parents[2] / "docs"
SECTIONS = [SETTINGS, WORKSPACE, FOLDER, SSH, SERVER, HISTORY, CARBON, NOTICES]
EXAMPLES = [
    pytest.param(section, key, id=f"{section.title}.{key.name}")
    for section in SECTIONS
    for key in section.keys
    if key.example
]
NOT_IN_THE_FILE = {"path", "warnings", "positions", "variables"}


def _surrounded(section: Section, line: str) -> str:
    """A whole file in which a line stands in its section."""
    workspace = "workspaces:\n- id: a\n  path: /a\n"
    return {
        SETTINGS.title: line,
        WORKSPACE.title: "workspaces:\n- "
        + "\n  ".join([f"{name}: /a" for name in ("id", "path") if not line.startswith(name)])
        + f"\n  {line}\n- {{id: other_project, path: /o}}",
        FOLDER.title: f"{workspace}  folders:\n  - path: /b\n    {line}".replace(
            "- path: /b\n    path", "- path"
        ),
        SSH.title: f"{workspace}  ssh:\n    host: h\n    {line}".replace(
            "host: h\n    host", "host"
        ),
        SERVER.title: f"server:\n  {line}",
        HISTORY.title: f"history:\n  {line}",
        CARBON.title: f"carbon:\n  {line}",
        NOTICES.title: f"notices:\n  {line}",
    }[section.title]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_keys_are_the_fields(section: Section) -> None:
    """The table of keys and the values have the same names."""
    names = set(field_defaults(section))
    if section.values is Settings:
        names -= NOT_IN_THE_FILE
    assert {key.name for key in section.keys} == names


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_required_keys_are_those_without_default(section: Section) -> None:
    """Keys that the table marks as required have no default."""
    defaults = field_defaults(section)
    required = {name for name, default in defaults.items() if default is NODEFAULT}
    if section.values is Settings:
        required -= NOT_IN_THE_FILE
    assert {key.name for key in section.keys if key.required} == required


@pytest.mark.parametrize(("section", "key"), EXAMPLES)
def test_examples_are_read(section: Section, key: Key) -> None:
    """Each example of the reference is valid for its key."""
    between = "\n    " if key.kind in (Kind.ENV, Kind.BINDINGS) else " "
    text = _surrounded(section, f"{key.name}:{between}{key.example}")
    deprecated = [warning for warning in read(text).warnings if "deprecated" not in warning.what]
    assert deprecated == []
    assert any(at.endswith(key.name) for at in read(text).positions)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_key_has_an_example_or_a_section(section: Section) -> None:
    """The reference has an example for each key, or its contents; numbers have a unit."""
    for key in section.keys:
        assert bool(key.example) is not (key.section is not None)
        numbers = (Kind.COUNT, Kind.PORT, Kind.SECONDS, Kind.INTERVAL)
        assert bool(key.unit) is (key.kind in numbers)
        assert "|" not in key.about


def test_files_are_up_to_date() -> None:
    """The committed page and schema are what ``python -m tools.settings_reference docs`` makes."""
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    assert with_tables(page) == page
    assert (DOCS / SCHEMA).read_text(encoding="utf-8") == schema_text()


def test_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command renews the tables, keeps the page's prose, and writes the schema."""
    shutil.copy(DOCS / PAGE, tmp_path)
    page = tmp_path / PAGE
    page.write_text(page.read_text().replace("`max_done`", "`outdated`"))
    monkeypatch.setattr(sys, "argv", ["reference", str(tmp_path)])
    monkeypatch.delitem(sys.modules, "tools.settings_reference")
    runpy.run_module("tools.settings_reference", run_name="__main__")
    assert page.read_text() == (DOCS / PAGE).read_text()
    assert (tmp_path / SCHEMA).read_text() == (DOCS / SCHEMA).read_text()


def _yaml_blocks(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)


def test_blocks_of_the_page_are_read() -> None:
    """Each YAML block of the page is a settings file without problems."""
    blocks = _yaml_blocks((DOCS / PAGE).read_text())
    assert len(blocks) == 3
    for block in blocks:
        assert all("deprecated" in warning.what for warning in read(block).warnings)


def test_message_of_the_page() -> None:
    """The message on the page is the reader's."""
    page = (DOCS / PAGE).read_text()
    message = re.search(r"settings\.yaml:\d+:\d+: (workspaces.*)", page)
    assert message is not None
    text = """\
        workspaces:
          - {id: a, path: /a}
          - {id: b, path: /b, folders: [{path: /c, mode: bakcup}]}
        """
    (complaint,) = complaints(text)
    assert complaint.partition(" ")[2] == message[1]


def _walk(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The mappings inside a schema, itself first."""
    inner = [value for value in schema.values() if isinstance(value, dict)]
    inner += [
        item
        for value in schema.values()
        if isinstance(value, list)
        for item in value
        if isinstance(item, dict)
    ]
    return [schema, *(found for each in inner for found in _walk(each))]


def test_schema_is_complete() -> None:
    """The schema has each section once, each key in it, and all that it refers to."""
    schema = json_schema()
    definitions = {section.values.__name__: section for section in SECTIONS[1:]}
    assert set(schema["definitions"]) == set(definitions)
    for name, section in definitions.items():
        assert set(schema["definitions"][name]["properties"]) == {key.name for key in section.keys}
    references = {each["$ref"] for each in _walk(schema) if isinstance(each.get("$ref"), str)}
    assert references == {f"#/definitions/{name}" for name in definitions}


@pytest.mark.parametrize(
    ("definition", "key", "expected"),
    [
        ("HistorySettings", "max_done", {"default": 5, "examples": [10]}),
        ("SshSettings", "uv_offline", {"default": False, "examples": [True]}),
        ("SshSettings", "python", {"type": "string", "examples": ["3.10"]}),
        ("Folder", "mode", {"default": "use", "enum": ["use", "backup", "move"]}),
        ("Workspace", "folders", {"type": "array", "items": {"$ref": "#/definitions/Folder"}}),
        ("Workspace", "ssh", {"allOf": [{"$ref": "#/definitions/SshSettings"}]}),
    ],
)
def test_schema_of_a_key(definition: str, key: str, expected: dict[str, Any]) -> None:
    """The schema of a key has its type, default and example."""
    found = json_schema()["definitions"][definition]["properties"][key]
    assert found["description"]
    assert json.loads(json.dumps(expected)).items() <= found.items()
