"""Refusals of a server as errors. Those of the agent say their kind, and have the exit codes of local commands.

Pure.
"""

from __future__ import annotations

import msgspec

from xpm_remote.errors import (
    BadJobIdError,
    BusyError,
    FolderError,
    NoJobFoundError,
    RequestError,
    WorkspaceError,
    XpmRemoteError,
)
from xpm_remote.rpc.protocol import ErrorResponse
from xpm_remote.workspace.failures import (
    BadIdFailure,
    BusyFailure,
    DamagedFailure,
    FolderFailure,
    NoJobFailure,
    NotAWorkspaceFailure,
    WorkspaceFailure,
)

ERRORS: dict[str, type[XpmRemoteError]] = {
    WorkspaceFailure.kind: WorkspaceError,
    NotAWorkspaceFailure.kind: WorkspaceError,
    BadIdFailure.kind: BadJobIdError,
    NoJobFailure.kind: NoJobFoundError,
    FolderFailure.kind: FolderError,
    BusyFailure.kind: BusyError,
    DamagedFailure.kind: FolderError,
}
"""The error of each kind of failure of the workspace engine."""


class _Failure(msgspec.Struct):
    kind: str
    what: str
    hint: str = ""


def refusal(method: str, response: ErrorResponse) -> XpmRemoteError:
    """Give the error for a request that was refused.

    Args:
        method: What was asked.
        response: The refusal.
    """
    try:
        failure = msgspec.json.decode(response.data, type=_Failure)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return RequestError(method, response.code, response.message)
    kind = ERRORS.get(failure.kind)
    if kind is None:
        return RequestError(method, response.code, response.message)
    return kind(failure.what, failure.hint)
