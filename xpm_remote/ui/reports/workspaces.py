"""Workspaces and what is wrong with the settings, as text and as documents; described in docs/commands.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from msgspec import to_builtins

from xpm_remote.escaping import safe
from xpm_remote.settings.effective import Effective, effective_values
from xpm_remote.settings.schema import Problem, Settings, Workspace
from xpm_remote.settings.selection import Selection
from xpm_remote.ui.text import Line
from xpm_remote.workspace.layout import Folder
from xpm_remote.workspace.outcomes import to_wire

LIST_SCHEMA = "xpm-remote/workspaces/1"
SHOW_SCHEMA = "xpm-remote/workspace/1"
WHICH_SCHEMA = "xpm-remote/selection/1"
CHECK_SCHEMA = "xpm-remote/check/1"


def is_default(settings: Settings, workspace: Workspace) -> bool:
    """Whether experiments that match no trigger go to a workspace."""
    local = (each.id for each in settings.workspaces if not each.is_remote)
    return workspace.id == next(local, None)


def place(workspace: Workspace) -> str:
    """Return where a workspace is, with its host if that is another one."""
    return f"{workspace.ssh.host}:{workspace.path}" if workspace.ssh else str(workspace.path)


def list_lines(settings: Settings, *, is_verbose: bool) -> Iterator[Line]:
    """Yield a line for each workspace; a verbose list has what stands in the file below it."""
    rows = [(each.id, _kind(settings, each), place(each)) for each in settings.workspaces]
    for workspace, line in zip(settings.workspaces, _table(rows), strict=True):
        yield line
        if is_verbose:
            values = effective_values(settings, workspace)
            given = [each for each in values if each.position and each.key not in ("id", "path")]
            yield from _table([("   ", each.key, setting_text(each.value)) for each in given])


def list_document(settings: Settings) -> dict[str, Any]:
    """Return all workspaces."""
    workspaces = [workspace_document(settings, each) for each in settings.workspaces]
    return {"schema": LIST_SCHEMA, "settings": str(settings.path), "workspaces": workspaces}


def workspace_document(settings: Settings, workspace: Workspace) -> dict[str, Any]:
    """Return a workspace with all its values."""
    document: dict[str, Any] = to_builtins(workspace, enc_hook=str)
    return {
        **document,
        "folders": [to_wire(each) for each in workspace.folders],
        "remote": workspace.is_remote,
        "default": is_default(settings, workspace),
    }


def show_lines(settings: Settings, workspace: Workspace) -> Iterator[Line]:
    """Yield a line for each value of a workspace: the key, where it comes from, the value."""
    kind = _kind(settings, workspace).replace("default", "local, the default")
    yield Line(safe(f"workspace {workspace.id} ({kind}) in {settings.path}"))
    yield Line("")
    values = effective_values(settings, workspace)
    yield from _table(
        [(each.key, _source(settings, each), setting_text(each.value)) for each in values]
    )


def show_document(settings: Settings, workspace: Workspace) -> dict[str, Any]:
    """Return each value of a workspace with its place in the file; without one it is a default."""
    return {
        "schema": SHOW_SCHEMA,
        "settings": str(settings.path),
        "id": workspace.id,
        "remote": workspace.is_remote,
        "default": is_default(settings, workspace),
        "values": [
            {
                "key": each.key,
                "value": _value_document(each.value),
                "position": to_builtins(each.position),
                "variables": list(each.variables),
            }
            for each in effective_values(settings, workspace)
        ],
    }


def facts_lines(facts: Mapping[str, Any]) -> Iterator[Line]:
    """Yield a line for each fact about a connection."""
    return _table([(name, setting_text(value)) for name, value in facts.items()])


def which_lines(selection: Selection) -> Iterator[Line]:
    """Yield which workspace it is, where, and why."""
    workspace = selection.workspace
    yield from _table(
        [
            ("workspace", workspace.id or "none of the settings"),
            ("path", place(workspace)),
            ("because", selection.reason),
        ]
    )


def which_document(settings: Settings, selection: Selection, experiment: str) -> dict[str, Any]:
    """Return the selected workspace, and the rule that made it."""
    return {
        "schema": WHICH_SCHEMA,
        "settings": str(settings.path),
        "experiment": experiment,
        "rule": selection.rule.value,
        "reason": selection.reason,
        "workspace": workspace_document(settings, selection.workspace),
    }


def problem_lines(errors: Iterable[Problem], warnings: Iterable[Problem]) -> Iterator[Line]:
    """Yield a line for each problem."""
    yield from (Line(safe(f"error: {each}")) for each in errors)
    yield from (Line(safe(f"warning: {each}")) for each in warnings)


def check_document(
    file: str, errors: Iterable[Problem], warnings: Iterable[Problem]
) -> dict[str, Any]:
    """Return all problems."""
    return {
        "schema": CHECK_SCHEMA,
        "settings": file,
        "errors": [_problem_document(each) for each in errors],
        "warnings": [_problem_document(each) for each in warnings],
    }


def setting_text(value: object) -> str:
    """Write a value of the settings on a line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Folder):
        return f"{value.mode.value} {value.path}"
    if isinstance(value, tuple | list):
        return ", ".join(map(setting_text, value)) or "none"
    return "none" if value is None else str(value)


def _value_document(value: object) -> object:
    return to_wire(value) if isinstance(value, Folder) else to_builtins(value, enc_hook=str)


def _problem_document(problem: Problem) -> dict[str, Any]:
    document: dict[str, Any] = to_builtins(problem, enc_hook=str)
    del document["file"]
    return document


def _kind(settings: Settings, workspace: Workspace) -> str:
    if workspace.is_remote:
        return "remote"
    return "default" if is_default(settings, workspace) else "local"


def _source(settings: Settings, value: Effective) -> str:
    if value.position is None:
        return "default"
    place = f"{settings.path.name}:{value.position.line}"
    names = " ".join(f"${name}" for name in value.variables)
    return f"{place} {names}".strip()


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[Line]:
    """Yield rows with aligned columns; the last column is not padded."""
    cells = [tuple(safe(cell) for cell in row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [f"{cell:<{width}}  " for cell, width in zip(row[:-1], widths, strict=False)]
        start = "".join(padded)
        yield Line(f"{start}{row[-1]}".rstrip(), len(start))
