"""settings.yaml to ``Settings``: reads the file, then its text."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from xpm_remote.settings import document
from xpm_remote.settings.keys import SETTINGS
from xpm_remote.settings.reading import Reading, is_null
from xpm_remote.settings.schema import (
    CarbonSettings,
    HistorySettings,
    InvalidSettingsError,
    NoticeSettings,
    Problem,
    ServerSettings,
    Settings,
    SourcePosition,
    in_file_order,
)
from xpm_remote.settings.sections import read_section
from xpm_remote.settings.workspaces import build_workspaces
from xpm_remote.workspace.rows import ASK_INTERVAL

PATH_VARIABLE = "XPM_REMOTE_SETTINGS"

KeysCheck = Callable[[Mapping[str, tuple[str, ...]]], Iterable[tuple[str, str, str]]]
"""Yields the action, what is wrong with its keys, and what is allowed: only the dashboard knows its actions."""


def no_problems(_: Mapping[str, tuple[str, ...]]) -> Iterable[tuple[str, str, str]]:
    """Find nothing wrong with keys."""
    return ()


def default_settings_path(environ: Mapping[str, str], home: Path) -> Path:
    """Return the settings file to use by default: that of the variable, or the usual one."""
    named = environ.get(PATH_VARIABLE)
    if not named:
        return _usual_path(home)
    return home / named[2:] if named.startswith("~/") else Path(named)


def load_settings(
    path: Path,
    environ: Mapping[str, str],
    home: Path,
    *,
    cwd: Path | None = None,
    check_keys: KeysCheck = no_problems,
) -> Settings:
    """Read the settings file. Only the usual file may be absent.

    Args:
        path: The file.
        environ: The variables that the file may refer to.
        home: What ``~`` stands for in a local path.
        cwd: What a relative local path starts from; by default the process's own.
        check_keys: Finds what is wrong with the keys of the dashboard; by default nothing.

    Raises:
        InvalidSettingsError: The file cannot be used; has every problem that was found.
    """
    if path == _usual_path(home) and _is_absent(path):
        return Settings(path=path)
    text = read_text(path)
    return read_settings(
        text, path=path, environ=environ, home=home, cwd=cwd or _cwd(home), check_keys=check_keys
    )


def read_text(path: Path) -> str:
    """Return the text of a settings file.

    Raises:
        InvalidSettingsError: It is absent, no regular file, unreadable, too long, or not UTF-8.
    """
    data, what = b"", ""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            what = "is a directory, not a settings file"
        elif not stat.S_ISREG(mode):  # a pipe or a device may block or never end
            what = "is not a regular file"
        else:
            with path.open("rb") as file:
                data = file.read(document.MAX_SIZE + 1)
            what = document.TOO_LONG if len(data) > document.MAX_SIZE else ""
    except FileNotFoundError:
        what = "a link to nowhere" if path.is_symlink() else "no such file"
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    if what:
        raise InvalidSettingsError([Problem(file=path, what=what)])
    return _decode(data, path)


def read_settings(
    text: str,
    *,
    path: Path,
    environ: Mapping[str, str],
    home: Path,
    cwd: Path | None = None,
    check_keys: KeysCheck = no_problems,
) -> Settings:
    """Convert the text of a settings file, without I/O.

    Args:
        text: The file's content.
        path: The file, for messages and ``Settings.path``.
        environ: The variables that the text may refer to.
        home: What ``~`` stands for in a local path.
        cwd: What a relative local path starts from; by default ``home``.
        check_keys: Finds what is wrong with the keys of the dashboard; by default nothing.

    Raises:
        InvalidSettingsError: The file cannot be used; has every problem that was found.
    """
    root = document.compose(text, path)
    reading = Reading(file=path, environ=environ, home=home, cwd=cwd or home)
    values = {}
    if root is not None and not is_null(root):
        reading.visit("", root)
        values = read_section(reading, "", root, SETTINGS)
    history = values.get("history", {})
    workspaces = build_workspaces(reading, values.get("workspaces", ()), values)
    for action, what, allowed in check_keys(values.get("keys", {})):
        reading.error(f"keys.{action}", what, allowed)
    if reading.errors:
        raise InvalidSettingsError(reading.errors, reading.warnings)
    return Settings(
        path=path,
        server=ServerSettings(**values.get("server", {})),
        env=values.get("env", {}),
        history=HistorySettings(**history),
        carbon=CarbonSettings(**values.get("carbon", {})),
        slurm_interval=values.get("slurm_interval", ASK_INTERVAL),
        keys=values.get("keys", {}),
        notices=NoticeSettings(**values.get("notices", {})),
        workspaces=workspaces,
        warnings=in_file_order(reading.warnings),
        positions=reading.positions,
        variables=reading.variables,
    )


def _usual_path(home: Path) -> Path:
    return home / ".config" / "experimaestro" / "settings.yaml"


def _cwd(home: Path) -> Path:
    """Return the current directory, or ``home`` if it was deleted; only relative paths need it."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return home


def _is_absent(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8-sig")
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        what = f"not UTF-8 text: the byte 0x{error.object[error.start]:02x} does not belong there"
        problem = Problem(file=path, position=SourcePosition(line, column), what=what)
    raise InvalidSettingsError([problem])
