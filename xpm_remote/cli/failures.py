"""What goes wrong in a workspace, as the errors of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xpm_remote.errors import (
    BadJobIdError,
    BusyError,
    FolderError,
    NoJobFoundError,
    WorkspaceError,
    XpmRemoteError,
)
from xpm_remote.workspace.failures import (
    BadIdFailure,
    BusyFailure,
    DamagedFailure,
    FolderFailure,
    NoJobFailure,
    NotAWorkspaceFailure,
    WorkspaceFailure,
)

_ERRORS: dict[str, type[XpmRemoteError]] = {
    NotAWorkspaceFailure.kind: WorkspaceError,
    BadIdFailure.kind: BadJobIdError,
    NoJobFailure.kind: NoJobFoundError,
    FolderFailure.kind: FolderError,
    BusyFailure.kind: BusyError,
    DamagedFailure.kind: FolderError,
}


@contextmanager
def failures_as_errors() -> Iterator[None]:
    """Raise failures of the workspace as the errors that have their exit codes."""
    try:
        yield
    except WorkspaceFailure as failure:
        raise _ERRORS.get(failure.kind, WorkspaceError)(failure.what, failure.hint) from failure
