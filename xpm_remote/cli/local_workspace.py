"""The workspace of this machine that a command is about, with its folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.failures import failures_as_errors
from xpm_remote.errors import WorkspaceError
from xpm_remote.escaping import quoted
from xpm_remote.settings.schema import Settings, Workspace
from xpm_remote.settings.selection import select_workspace
from xpm_remote.workspace.folders.folder import Folder, Mode
from xpm_remote.workspace.layout import Layout
from xpm_remote.workspace.reading.reader import check_workspace

_Command = TypeVar("_Command", bound=Callable[..., Any])


class LocalWorkspace(NamedTuple):
    """A workspace of this machine.

    Attributes:
        id: Its id in the settings; empty when it is not in them.
        layout: Its paths.
        folders: Its folders, in their order.
        keepers: The ids of other workspaces that have it as a folder.
    """

    id: str
    layout: Layout
    folders: tuple[Folder, ...]
    keepers: tuple[str, ...]

    @property
    def places(self) -> tuple[Layout, ...]:
        """JobsLocation its jobs may lie: first in itself, then in its folders."""
        return self.layout, *(folder.layout for folder in self.folders)


def location_options(command: _Command) -> _Command:
    """Add ``--workdir`` and ``--workspace`` to a command; the group's hold where these are not given."""
    workspace = click.option("--workspace", metavar="ID", help="The id of the workspace.")
    workdir = click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
    return workspace(workdir(command))


def local_workspace(
    context: Context, workspace: str | None = None, workdir: str | None = None
) -> LocalWorkspace:
    """Find the workspace that is meant, of this machine only.

    Raises:
        WorkspaceError: There is none, or it is on another host.
        SettingsError: The settings cannot be used.
        UsageError: The directory names a user that does not exist.
    """
    settings = context.load_settings()
    name, directory = workspace or context.workspace, workdir or context.workdir
    if name:
        _require_local(select_workspace(settings, workspace_id=name).workspace)
    return find_local(context, settings, name, directory)


def find_local(
    context: Context, settings: Settings, workspace: str | None, workdir: str | None
) -> LocalWorkspace:
    """Find a workspace of this machine.

    That is the one of an id, the one at a directory, whose folders are those of the settings, or the default one. A
    directory that is given besides an id takes the place of that workspace's own.

    Raises:
        WorkspaceError: There is none.
        UsageError: The directory names a user that does not exist.
    """
    directory = context.directory(workdir)
    found = (
        None if workspace or directory is None else _at(settings, directory)
    ) or select_workspace(settings, workspace_id=workspace, workdir=directory).workspace
    root = Path(os.path.abspath(found.path))  # noqa: PTH100  (links stay)
    with failures_as_errors():
        check_workspace(root)
    return LocalWorkspace(
        id=found.id,
        layout=Layout(root),
        folders=as_folders(found),
        keepers=_keepers(settings, found.id, root),
    )


def as_folders(workspace: Workspace) -> tuple[Folder, ...]:
    """Give the folders of a local workspace as the engine takes them."""
    return tuple(Folder(Path(each.path), Mode(each.mode.value)) for each in workspace.folders)


def _at(settings: Settings, directory: Path) -> Workspace | None:
    """Find the workspace of the settings that lies at a directory, by whatever path."""
    real = os.path.realpath(directory)
    local = (each for each in settings.workspaces if not each.is_remote)
    return next((each for each in local if os.path.realpath(each.path) == real), None)


def _keepers(settings: Settings, own_id: str, root: Path) -> tuple[str, ...]:
    real = os.path.realpath(root)
    return tuple(
        each.id
        for each in settings.workspaces
        if not each.is_remote
        and each.id != own_id
        and any(os.path.realpath(folder.path) == real for folder in each.folders)
    )


def _require_local(workspace: Workspace) -> None:
    if workspace.ssh is not None:
        raise WorkspaceError(
            f"the workspace {quoted(workspace.id)} is on {workspace.ssh.host}, and this command works here only",
            "name a local one with --workspace, or give its directory with --workdir",
        )
