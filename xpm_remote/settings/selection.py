"""The workspace for an experiment: by the flags, else by the triggers, else the first local one. Pure."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Collection
from enum import Enum
from pathlib import Path, PurePath, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from xpm_remote.errors import WorkspaceError
from xpm_remote.escaping import nearest, quoted
from xpm_remote.settings.schema import Settings, Workspace


class Rule(str, Enum):
    """The rule that decided, in order of precedence."""

    WORKSPACE = "workspace"  # --workspace
    WORKDIR = "workdir"  # --workdir
    TRIGGER = "trigger"  # a trigger matches the experiment id
    DEFAULT = "default"  # the first local workspace


class Selection(Struct, frozen=True, kw_only=True):
    """The selected workspace and the reason.

    Attributes:
        workspace: The one to use.
        rule: The rule that decided.
        reason: The same as a clause for a message.
    """

    workspace: Workspace
    rule: Rule
    reason: str


def select_workspace(
    settings: Settings,
    *,
    experiment_id: str | None = None,
    workspace_id: str | None = None,
    workdir: PurePath | None = None,
) -> Selection:
    """Select the workspace; the settings are not changed.

    Args:
        settings: The settings.
        experiment_id: Matched against the triggers of local workspaces.
        workspace_id: ``--workspace``; also finds remote workspaces.
        workdir: ``--workdir``, taken as it is: the caller makes it absolute. With ``workspace_id`` it
            is that workspace's path, on the remote for a remote one.

    Raises:
        WorkspaceError: There is no workspace of that id, or nothing to choose from.
    """
    if workspace_id:
        return _by_id(settings, workspace_id, workdir)
    if workdir is not None:
        path, interval = Path(workdir), settings.slurm_interval
        workspace = Workspace(id="", path=path, history=settings.history, slurm_interval=interval)
        return Selection(
            workspace=workspace, rule=Rule.WORKDIR, reason=f"--workdir {workdir} was given"
        )
    local = [workspace for workspace in settings.workspaces if not workspace.is_remote]
    return _by_trigger(local, experiment_id) or _default(settings, local, experiment_id)


def remote_workspace_at(
    settings: Settings, names: Collection[str], home: PurePath
) -> Workspace | None:
    """Return the remote workspace that has a directory by its path; None where a local one has it too.

    Args:
        settings: The settings.
        names: The names of one directory: as it was written, absolute, without links.
        home: What ``~`` of a shell here stands for, since a shell expands it before we see it.
    """
    wanted = set(map(_normal, names))
    if any(_normal(str(each.path)) in wanted for each in settings.workspaces if not each.is_remote):
        return None
    for workspace in settings.workspaces:
        path = str(workspace.path)
        expanded = str(home) + path[1:] if path == "~" or path.startswith("~/") else path
        if workspace.is_remote and wanted & {_normal(path), _normal(expanded)}:
            return workspace
    return None


def _normal(path: str) -> str:
    normal = posixpath.normpath(path)
    return f"/{normal.lstrip('/')}" if normal.startswith("/") else normal


def _by_id(settings: Settings, workspace_id: str, workdir: PurePath | None) -> Selection:
    known = {workspace.id: workspace for workspace in settings.workspaces}
    workspace = known.get(workspace_id)
    if workspace is None:
        ids = f"there are {', '.join(known)}" if known else "there are no workspaces in it"
        question = nearest(workspace_id, known)
        hint = f"{question} {ids}" if question else ids
        raise WorkspaceError(f"no workspace {quoted(workspace_id)} in {settings.path}", hint)
    reason = f"--workspace {workspace_id} was given"
    if workdir is not None:
        path = PurePosixPath(workdir) if workspace.is_remote else Path(workdir)
        workspace = replace(workspace, path=path)
        reason = f"--workspace {workspace_id} and --workdir {workdir} were given"
    return Selection(workspace=workspace, rule=Rule.WORKSPACE, reason=reason)


def _by_trigger(local: list[Workspace], experiment_id: str | None) -> Selection | None:
    if not experiment_id:
        return None
    for workspace in local:
        for trigger in workspace.triggers:
            if fnmatch.fnmatchcase(experiment_id, trigger):
                reason = (
                    f"the experiment {quoted(experiment_id)} matches its trigger {quoted(trigger)}"
                )
                return Selection(workspace=workspace, rule=Rule.TRIGGER, reason=reason)
    return None


def _default(settings: Settings, local: list[Workspace], experiment_id: str | None) -> Selection:
    if not local:
        some = "only remote workspaces" if settings.workspaces else "no workspaces"
        hint = "name one with --workspace, or give a directory with --workdir"
        raise WorkspaceError(f"there are {some} in {settings.path}", hint)
    unmatched = f"no trigger matches {quoted(experiment_id)}; " if experiment_id else ""
    reason = f"{unmatched}it is the first local workspace in {settings.path}"
    return Selection(workspace=local[0], rule=Rule.DEFAULT, reason=reason)
