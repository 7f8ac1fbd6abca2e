"""Paths as settings mean them: local ones made absolute, remote ones left alone, folders compared."""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePath, PurePosixPath

from xpm_remote.settings.problems import quoted


def local_path(text: str, *, home: Path, cwd: Path) -> Path:
    """Make a local path absolute; ``~`` is ``home``, a relative path starts at ``cwd``.

    The system's user database is asked for ``~name`` only. Symlinks are not followed.

    Raises:
        LookupError: There is no user of that name.
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
    """Whether a path means the same from every directory."""
    return text.startswith(("/", "~"))


def above_jobs(path: Path | PurePosixPath) -> Path | PurePosixPath:
    """The root of a folder: people also write its ``jobs`` directory."""
    return path.parent if path.name == "jobs" else path


def normal(path: PurePath) -> PurePosixPath:
    """The path for comparisons: without ``..`` and doubled slashes, as far as its text tells."""
    text = posixpath.normpath(path)
    return PurePosixPath("/" + text.lstrip("/") if text.startswith("/") else text)


def is_inside(path: PurePath, directory: PurePath) -> bool:
    """Whether a path lies below a directory or is it, as far as their texts tell."""
    return normal(path).is_relative_to(normal(directory))
