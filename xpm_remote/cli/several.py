"""Which workspaces a command watches together: those that ``--workspace`` names several times, or ``--all``."""

from __future__ import annotations

import os
import platform
import posixpath
from collections.abc import Hashable, Sequence
from typing import Any

from xpm_remote.cli.context import Context
from xpm_remote.cli.hanging import watch_calls
from xpm_remote.errors import UsageError, WorkspaceError
from xpm_remote.escaping import quoted
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import Settings
from xpm_remote.settings.selection import select_workspace

OF_ONE = {
    "host": ("HOST", ""),
    "workdir": ("--workdir", ""),
    "options": ("--ssh-option", "options"),
    "remote_shell_init": ("--remote-shell-init", "shell_init"),
    "remote_xpm": ("--remote-xpm", "xpm_path"),
    "remote_python": ("--remote-python", "python"),
}
"""What is about one workspace only: by the name of the parameter, the words for it, and its key in ``ssh``."""


def is_several(context: Context, given: dict[str, Any]) -> bool:
    """Return whether several workspaces are asked for.

    Raises:
        UsageError: All of them are, and one by its name.
    """
    words = list(filter(None, given["workspace"]))
    if given["is_all"] and (words or context.workspace):
        raise UsageError("--all has every workspace of the settings", "leave --workspace out")
    return given["is_all"] or len(words) > 1


def one_name(given: dict[str, Any]) -> str | None:
    """Return the name of the one workspace that ``--workspace`` asks for; None without it."""
    return next((word for word in given["workspace"] if word), None)


def find_targets(
    context: Context, settings: Settings, given: dict[str, Any]
) -> list[Target | LocalTarget]:
    """Return the workspaces to watch together, of this machine and of hosts, each once, in their order.

    Raises:
        UsageError: An option is about one workspace.
        WorkspaceError: One is unknown, or there are none.
        OptionError: An SSH option is malformed or cannot be honoured.
    """
    for name, (words, key) in OF_ONE.items():
        if given.get(name) or (name == "workdir" and context.workdir):
            hint = (
                f"write it into the settings of its workspace (ssh.{key}), or watch"
                if key
                else "watch"
            )
            raise UsageError(
                f"{words} is about one workspace, not several", f"{hint} that one alone"
            )
    places: dict[Hashable, str] = {}
    targets = []
    for name in _names(context, settings, given):
        target = _find(context, settings, name, given)
        place = _place(target)
        if place in places:
            context.warn(
                f"{quoted(name)} is the same directory as {quoted(places[place])}; it is watched once,"
                " under that name"
            )
            continue
        places[place] = name
        targets.append(target)
    return targets


def _names(context: Context, settings: Settings, given: dict[str, Any]) -> Sequence[str]:
    if given["is_all"]:
        if not settings.workspaces:
            raise WorkspaceError(
                f"there are no workspaces in {settings.path}", "add them; see docs/settings.md"
            )
        return [each.id for each in settings.workspaces]
    words = list(filter(None, given["workspace"]))
    for name in dict.fromkeys(words):
        if words.count(name) > 1:
            context.warn(f"the workspace {quoted(name)} is named twice; it is watched once")
    return list(dict.fromkeys(words))


def _find(
    context: Context, settings: Settings, name: str, given: dict[str, Any]
) -> Target | LocalTarget:
    workspace = select_workspace(settings, workspace_id=name).workspace
    if workspace.ssh is None:
        root = os.path.abspath(workspace.path)  # noqa: PTH100  (links stay)
        return LocalTarget(platform.node(), root, name, workspace.slurm_interval)
    # Those of a command about this machine have no options of a connection.
    return context.find_target(settings, {**NOTHING_GIVEN, **given, "workspace": name})


def _place(target: Target | LocalTarget) -> Hashable:
    """Return what two names of one directory have in common, as far as it can be seen from here."""
    if isinstance(target, LocalTarget):
        watch_calls()
        return os.path.realpath(target.workspace)
    options = target.options
    way = tuple(options.get_all(name) for name in _DESTINATION)
    path = posixpath.normpath(target.workspace)
    return options.host, options.user, options.port, options.config_file, way, path


_DESTINATION = ("Hostname", "ProxyJump", "ProxyCommand")
"""Keywords by which the same name leads to another machine."""


NOTHING_GIVEN: dict[str, Any] = {
    "host": None,
    "remote_workdir": None,
    "options": (),
    "engine": None,
    "remote_shell_init": None,
    "start_timeout": None,
    "backend": None,
    "remote_xpm": None,
    "remote_python": None,
    "uv_offline": None,
    "force_version": False,
}
"""The values of the options of a connection where none is given."""
