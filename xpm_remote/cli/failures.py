"""What goes wrong in a workspace, as the errors of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xpm_remote.errors import WorkspaceError
from xpm_remote.rpc.failures import ERRORS
from xpm_remote.workspace.failures import WorkspaceFailure


@contextmanager
def failures_as_errors() -> Iterator[None]:
    """Raise failures of the workspace as the errors that have their exit codes."""
    try:
        yield
    except WorkspaceFailure as failure:
        raise ERRORS.get(failure.kind, WorkspaceError)(failure.what, failure.hint) from failure
