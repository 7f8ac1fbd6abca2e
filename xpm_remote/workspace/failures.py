"""What goes wrong in a workspace, as values that a person or a program can act upon.

A failure is sent to other programs as its ``kind``, so the kinds keep their meaning. Text in a failure may come from
file names: it is escaped where it is printed. Pure.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NamedTuple

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a disk that is full, and of a quota that is used up."""

STILL_USED = frozenset({errno.ENOTEMPTY, errno.EBUSY})
"""Error numbers of a directory that stays: on a share, a file that is open keeps a name until it is closed."""

NOT_A_WORKSPACE = 66
"""Exit status of an agent when the directory cannot be served: EX_NOINPUT of sysexits.h."""


class WorkspaceFailure(Exception):
    """Something in a workspace, or in one of its folders, that a person can act upon.

    Args:
        what: What happened and where, without a final full stop.
        hint: What to do next; empty when ``what`` says it all.
    """

    kind = "workspace"

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}; {self.hint}" if self.hint else self.what


class NotAWorkspaceFailure(WorkspaceFailure):
    """The directory is not a workspace, or cannot be entered."""

    kind = "not-a-workspace"


class UsageFailure(WorkspaceFailure):
    """What is asked for cannot be answered, whatever the workspace holds."""

    kind = "usage"


class BadIdFailure(WorkspaceFailure):
    """A text is not the id of a job, and cannot become one."""

    kind = "bad-id"


class NoJobFailure(WorkspaceFailure):
    """No job has that id, or more than one could be meant."""

    kind = "no-job"


class FolderFailure(WorkspaceFailure):
    """A folder of the workspace is missing, not mounted, full or read-only."""

    kind = "folder"


class BusyFailure(WorkspaceFailure):
    """Another process works on the same job, or an experiment runs."""

    kind = "busy"


class DamagedFailure(WorkspaceFailure):
    """A copy differs from its source, or is not whole."""

    kind = "damaged"


class UnreadableFailure(WorkspaceFailure):
    """Something of the workspace cannot be read."""

    kind = "unreadable"


class UnreadFile(NamedTuple):
    """A file or directory that cannot be used; its texts may come from the workspace.

    Attributes:
        path: The file or directory.
        why: Why it cannot be used.
        error: The name of the system's error (``ESTALE``) where reading failed; empty where the content is of no use.
    """

    path: str
    why: str
    error: str = ""


def path_of(error: OSError) -> str:
    """Return the path that a system error names; empty if it names none, but a part of one or a descriptor."""
    name = error.filename
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return name if isinstance(name, str) and name.startswith("/") else ""


def explain(error: OSError, where: Path) -> str:
    """Return a line with the file and the reason of a system error; ``where`` is the file if the error has no path."""
    name = path_of(error) or str(where)
    if error.errno in NO_SPACE:
        return f"no space is left for {name} ({error.strerror})"
    if error.errno in STILL_USED:
        return f"{name} is still open, or in use ({error.strerror})"
    return f"{name}: {error.strerror or error}"


def explain_any(error: Exception) -> str:
    """Return a line with the reason of an error that no system call raised; one that is no failure of ours is a bug."""
    if isinstance(error, WorkspaceFailure):
        return str(error)
    return f"unexpected error, report it: {type(error).__name__}: {error}"
