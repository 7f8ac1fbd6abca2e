"""The variables of what we start here; a remote host has its own."""

from __future__ import annotations

from collections.abc import Mapping

from xpm_remote.settings.schema import Settings, Workspace


def environment(
    settings: Settings, workspace: Workspace, process: Mapping[str, str]
) -> dict[str, str]:
    """The workspace's variables over the settings' over the process's own; a new mapping."""
    return {**process, **settings.env, **workspace.env}
