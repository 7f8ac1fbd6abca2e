"""How the real experimaestro is told a workspace: it reads the settings again, by itself and its own way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xpm_remote.cli.context import Context
from xpm_remote.errors import SettingsError, UsageError
from xpm_remote.settings.effective import Effective, effective_values
from xpm_remote.settings.reader import load_settings
from xpm_remote.settings.schema import Settings, Workspace
from xpm_remote.settings.selection import Rule, Selection

_ENV = "env."
# What the words of a command line can tell, or what only the choice needs.
_TOLD = ("id", "path", "triggers")


def peer_words(
    context: Context,
    settings: Settings,
    selection: Selection,
    environ: Mapping[str, str],
    *,
    is_moved: bool,
) -> list[str]:
    """Give the options by which experimaestro runs an experiment in the selected workspace.

    Args:
        context: Says which settings file is ours.
        settings: What is in it.
        selection: A local workspace.
        environ: The environment in which experimaestro will start.
        is_moved: Whether the workspace is to lie at another directory than its own.

    Raises:
        UsageError: The settings are not in experimaestro's own file, and hold more than can be told.
        SettingsError: In that environment the settings mean something else.
    """
    workspace = selection.workspace
    place = ["--workdir", str(workspace.path)]
    env = {**settings.env, **workspace.env}
    if not context.is_shared:
        _check_tellable(context, settings, workspace)
        return [*place, *_env_words(env)]
    name = [] if selection.rule is Rule.WORKDIR else ["--workspace", workspace.id]
    changed = _changed_env(settings, workspace, environ)
    env_words = _env_words({key: env[key] for key in changed})
    return [*name, *(place if is_moved or not name else []), *env_words]


def _env_words(env: Mapping[str, str]) -> list[str]:
    return [word for name, value in env.items() for word in ("--env", name, value)]


def _check_tellable(context: Context, settings: Settings, workspace: Workspace) -> None:
    given = [each.key for each in effective_values(settings, workspace) if each.position]
    untold = [key for key in given if key not in _TOLD and not key.startswith(_ENV)]
    if untold:
        what = (
            f"experimaestro reads {context.shared_path} only, so {', '.join(untold)}"
            f" of {settings.path} would have no effect"
        )
        raise UsageError(what, "put the workspace into that file")


def _changed_env(settings: Settings, workspace: Workspace, environ: Mapping[str, str]) -> list[str]:
    """The variables of the workspace that experimaestro would read otherwise.

    It fills in ``${env:X}`` from the environment in which it starts: the one that the settings made.
    """
    try:
        again = load_settings(settings.path, environ, Path.home())
    except SettingsError as error:
        what = f"with the variables that it sets under env, {settings.path} has errors: {error}"
        raise SettingsError(what, "write out what stands for ${env:…} there") from error
    before, after = _values(settings, workspace), _values(again, workspace)
    changed = [key for key in before if before[key].value != getattr(after.get(key), "value", None)]
    other = [key for key in changed if not key.startswith(_ENV)]
    if other:
        where = ", ".join(f"{key} ({' '.join(before[key].variables)})" for key in other)
        what = f"the variables under env in {settings.path} change what is meant elsewhere: {where}"
        raise SettingsError(what, "write out what stands for ${env:…} there")
    return [key.removeprefix(_ENV) for key in changed]


def _values(settings: Settings, workspace: Workspace) -> dict[str, Effective]:
    """What holds for a workspace, by key, in one reading of the settings."""
    found = next((each for each in settings.workspaces if each.id == workspace.id), workspace)
    return {each.key: each for each in effective_values(settings, found)}
