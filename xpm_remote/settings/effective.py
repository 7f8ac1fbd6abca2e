"""The values in force for one workspace, and where each comes from. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from xpm_remote.settings.keys import HISTORY, SSH, WORKSPACE
from xpm_remote.settings.schema import Settings, SourcePosition, Workspace

# The key, its value, and the keys that may have set it.
_Found = tuple[str, object, tuple[str, ...]]

_COMPOSED = ("env", "folders", "alt_workspaces", "slurm_interval", "history", "ssh")


class Effective(Struct, frozen=True, kw_only=True):
    """One value in force.

    Attributes:
        key: Within the workspace, as in ``ssh.host``, ``env.JAVA_HOME`` or ``folders[0]``.
        value: The value, as in ``Workspace``.
        position: Where in the settings file it stands; None for a default.
        variables: The environment variables that it refers to.
    """

    key: str
    value: object
    position: SourcePosition | None
    variables: tuple[str, ...] = ()


def effective_values(settings: Settings, workspace: Workspace) -> tuple[Effective, ...]:
    """Return every value of a workspace of these settings, in the order of the reference."""
    ids = [each.id for each in settings.workspaces]
    at = f"workspaces[{ids.index(workspace.id)}]" if workspace.id in ids else ""
    return tuple(_effective(settings, *each) for each in _values(settings, workspace, at))


def _effective(settings: Settings, key: str, value: object, places: tuple[str, ...]) -> Effective:
    place = next((place for place in places if place in settings.positions), None)
    if place is None:
        return Effective(key=key, value=value, position=None)
    variables = _variables(settings, place)
    return Effective(key=key, value=value, position=settings.positions[place], variables=variables)


def _variables(settings: Settings, place: str) -> tuple[str, ...]:
    """Return the variables that a value refers to, in its items and keys too."""
    inside = (f"{place}[", f"{place}.")
    found = [
        name
        for key, names in settings.variables.items()
        if key == place or key.startswith(inside)
        for name in names
    ]
    return tuple(dict.fromkeys(found))


def _values(settings: Settings, workspace: Workspace, at: str) -> Iterator[_Found]:
    for key in WORKSPACE.keys:
        if key.name not in _COMPOSED:
            yield key.name, getattr(workspace, key.name), (f"{at}.{key.name}",)
    for name, value in {**settings.env, **workspace.env}.items():
        yield f"env.{name}", value, (f"{at}.env.{name}", f"env.{name}")
    old = len(workspace.alt_workspaces)
    for index, folder in enumerate(workspace.folders):
        place = f"alt_workspaces[{index}]" if index < old else f"folders[{index - old}]"
        yield f"folders[{index}]", folder, (f"{at}.{place}",)
    places = tuple(f"{place}slurm_interval" for place in (f"{at}.ssh.", f"{at}.", ""))
    yield "slurm_interval", workspace.slurm_interval, places
    for key in HISTORY.keys:
        places = (f"{at}.history.{key.name}", f"history.{key.name}")
        yield f"history.{key.name}", getattr(workspace.history, key.name), places
    for key in SSH.keys if workspace.ssh else ():
        if key.name in _COMPOSED:
            continue
        yield f"ssh.{key.name}", getattr(workspace.ssh, key.name), (f"{at}.ssh.{key.name}",)
