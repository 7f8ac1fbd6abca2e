"""What is in a directory of a workspace, as far as its names can be parts of ids."""

from __future__ import annotations

import os

from xpm_remote.workspace.layout import is_name
from xpm_remote.workspace.reading.json_files import Problems, reason


def list_named(path: str, problems: Problems) -> list[os.DirEntry[str]]:
    """List a directory; empty when it is not there.

    Hidden names are left out (files that are being written have such); names that can be part of no id are noted.
    """
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if _is_fit(entry, problems)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.note(path, reason(error))
        return []


def is_directory(entry: os.DirEntry[str], problems: Problems, *, follow: bool = False) -> bool:
    """Tell whether an entry is a directory, by default not through a link."""
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError as error:
        problems.note(entry.path, reason(error))
        return False


def _is_fit(entry: os.DirEntry[str], problems: Problems) -> bool:
    name = entry.name
    if name.startswith("."):
        return False
    # A name that is no UTF-8 could be in no message; nobody gives such a name to a task or an experiment.
    if is_name(name) and (name.isascii() or _is_utf8(name)):
        return True
    problems.note(entry.path, "has a name that cannot be part of an id")
    return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
