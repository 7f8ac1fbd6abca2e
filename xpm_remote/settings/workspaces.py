"""Workspaces checked against each other: paths, unique ids, folders, ``alt_workspaces``. Pure."""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeAlias

from xpm_remote.escaping import quoted
from xpm_remote.settings.reading import Reading
from xpm_remote.settings.schema import HistorySettings, SshSettings, Workspace
from xpm_remote.settings.sections import Values
from xpm_remote.workspace.layout import Folder
from xpm_remote.workspace.rows import ASK_INTERVAL

# An experiment's id is the name of a directory, so no longer than this; and matching a glob may take the square
# of its length.
_LONGEST_TRIGGER = 255

AnyPath: TypeAlias = Path | PurePosixPath


class _Draft:
    """A workspace whose own values are read, before it is checked against the others."""

    def __init__(self, reading: Reading, at: str, values: Values) -> None:
        self.at = at
        self.values = values
        self.id: str | None = values.get("id")
        self.is_remote = "ssh" in values
        self.host: str | None = values.get("ssh", {}).get("host")
        self.path: AnyPath | None = None
        if "path" in values:
            self.path = _workspace_path(reading, f"{at}.path", values["path"], self.is_remote)


def build_workspaces(
    reading: Reading, sections: tuple[Values, ...], common: Values
) -> tuple[Workspace, ...]:
    """Make the workspaces from their values, and record what does not fit together.

    Args:
        reading: Collects what is wrong.
        sections: The values of each workspace.
        common: Those of the file.

    Returns:
        The workspaces in file order; none if there is any error so far.
    """
    drafts = [
        _Draft(reading, f"workspaces[{index}]", values) for index, values in enumerate(sections)
    ]
    by_id = _index(reading, drafts)
    folders = [_folders(reading, draft, by_id) for draft in drafts]
    for draft in drafts:
        _check_triggers(reading, draft)
    if reading.errors:
        return ()
    return tuple(_workspace(draft, own, common) for draft, own in zip(drafts, folders, strict=True))


def _index(reading: Reading, drafts: list[_Draft]) -> dict[str, _Draft]:
    by_id: dict[str, _Draft] = {}
    for draft in drafts:
        if draft.id is None:
            continue
        first = by_id.setdefault(draft.id, draft)
        if first is not draft:
            line = reading.positions[f"{first.at}.id"].line
            what = f"{quoted(draft.id)} is already the id of {first.at} on line {line}"
            reading.error(f"{draft.at}.id", what, "an id of its own")
    return by_id


def _check_triggers(reading: Reading, draft: _Draft) -> None:
    for index, trigger in enumerate(draft.values.get("triggers", ())):
        if len(trigger) > _LONGEST_TRIGGER:
            what = f"found a trigger of {len(trigger)} characters"
            allowed = f"at most {_LONGEST_TRIGGER}, the length of an experiment's id"
            reading.error(f"{draft.at}.triggers[{index}]", what, allowed)


def _workspace(draft: _Draft, folders: tuple[Folder, ...], common: Values) -> Workspace:
    values = dict(draft.values)
    ssh = values.pop("ssh", None)
    interval = {**common, **values, **(ssh or {})}.get("slurm_interval", ASK_INTERVAL)
    history = common.get("history", {})
    own = {
        "path": draft.path,
        "folders": folders,
        "history": HistorySettings(**{**history, **values.pop("history", {})}),
        "slurm_interval": interval,
        "ssh": None if ssh is None else SshSettings(**{**ssh, "slurm_interval": interval}),
    }
    return Workspace(**{**values, **own})


def _workspace_path(reading: Reading, at: str, text: str, is_remote: bool) -> AnyPath | None:
    if is_remote:
        return PurePosixPath(text)
    if not is_rooted(text):
        reading.warn(at, "a relative path means another directory wherever you start from")
    return _local(reading, at, text)


def _local(reading: Reading, at: str, text: str) -> Path | None:
    try:
        return local_path(text, home=reading.home, cwd=reading.cwd)
    except LookupError as error:
        reading.error(at, str(error.args[0]), "the home directory in full")
        return None


def _folders(reading: Reading, draft: _Draft, by_id: dict[str, _Draft]) -> tuple[Folder, ...]:
    """Return the valid folders of a workspace, ``alt_workspaces`` first."""
    found: list[tuple[str, Folder]] = []
    if "alt_workspaces" in draft.values:
        what = "deprecated; write folders with mode: use (workspaces migrate does it)"
        reading.warn(f"{draft.at}.alt_workspaces", what)
    for index, entry in enumerate(draft.values.get("alt_workspaces", ())):
        at = f"{draft.at}.alt_workspaces[{index}]"
        path = _alternative(reading, at, entry, draft, by_id)
        if path is not None:
            found.append((at, Folder(Path(path))))
    for index, values in enumerate(draft.values.get("folders", ())):
        at = f"{draft.at}.folders[{index}]"
        path = _folder_path(reading, f"{at}.path", values.get("path"), draft.is_remote)
        if path is not None:
            found.append((f"{at}.path", Folder(**{**values, "path": Path(path)})))
    _check_apart(reading, draft, found)
    return tuple(folder for _, folder in found)


def _alternative(
    reading: Reading, at: str, entry: str, draft: _Draft, by_id: dict[str, _Draft]
) -> AnyPath | None:
    """Return the path of an ``alt_workspaces`` entry, which is an id or a path; None after an error."""
    other = by_id.get(entry)
    if other is None:
        if is_rooted(entry):
            return _folder_path(reading, at, entry, draft.is_remote)
        what = f"{quoted(entry)} is neither the id of a workspace nor an absolute path"
        reading.error(at, what, f"an id or a path{reading.guess(entry, by_id)}")
        return None
    if (other.is_remote, other.host) != (draft.is_remote, draft.host):
        what = f"the workspace {quoted(entry)} lies on another host"
        reading.error(at, what, "a workspace on the same host")
        return None
    return other.path


def _folder_path(reading: Reading, at: str, text: str | None, is_remote: bool) -> AnyPath | None:
    if text is None:
        return None
    if not is_rooted(text):
        what = f"the folder {quoted(text)} is relative, so each process would look elsewhere"
        reading.error(at, what, "a path that starts with / or ~")
        return None
    path = PurePosixPath(text) if is_remote else _local(reading, at, text)
    if path is None:
        return None
    root = above_jobs(path)
    if root != path:
        what = (
            f"read as {quoted(str(root))}: jobs/ is added to a folder's path, by experimaestro too"
        )
        reading.warn(at, what)
    return root


def _check_apart(reading: Reading, draft: _Draft, found: list[tuple[str, Folder]]) -> None:
    """Record folders that overlap their workspace, and folders that are the same directory."""
    seen: dict[PurePosixPath, str] = {}
    for at, folder in found:
        place = quoted(str(folder.path))
        first = seen.setdefault(normal(folder.path), at)
        if first != at:
            reading.error(at, f"{place} is already {first}", "another path")
        relation = _relation(folder.path, draft.path) if draft.path else ""
        if relation:
            what = f"{place} {relation} its own workspace {quoted(str(draft.path))}"
            reading.error(at, what, "a path outside the workspace")


def _relation(folder: AnyPath, workspace: AnyPath) -> str:
    """Return how a folder and its workspace overlap; empty where they do not."""
    if normal(folder) == normal(workspace):
        return "is"
    if is_inside(folder, workspace):
        return "lies inside"
    return "contains" if is_inside(workspace, folder) else ""


def local_path(text: str, *, home: Path, cwd: Path) -> Path:
    """Make a local path absolute; ``~`` is ``home``, a relative path starts at ``cwd``.

    Only ``~name`` is looked up in the system's user database. Symlinks are not followed.

    Raises:
        LookupError: No user has that name.
    """
    first, _, rest = text.partition("/")
    if first == "~":
        return home / rest.lstrip("/")
    if first.startswith("~"):
        try:
            return Path(text).expanduser()
        except RuntimeError as error:
            message = f"this machine has no user {quoted(first[1:])}"
            raise LookupError(message) from error
    return cwd / text


def is_rooted(text: str) -> bool:
    """Return whether a path does not depend on the current directory."""
    return text.startswith(("/", "~"))


def above_jobs(path: Path | PurePosixPath) -> Path | PurePosixPath:
    """Return the root of a folder, which may be given by its ``jobs`` directory."""
    return path.parent if path.name == "jobs" else path


def normal(path: PurePath) -> PurePosixPath:
    """Return a path for comparisons: without ``..`` and doubled slashes, by its text alone."""
    text = posixpath.normpath(path)
    return PurePosixPath("/" + text.lstrip("/") if text.startswith("/") else text)


def is_inside(path: PurePath, directory: PurePath) -> bool:
    """Return whether a path is a directory or lies below it, by their texts alone."""
    return normal(path).is_relative_to(normal(directory))
