"""How a remote process ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass

STDERR_KEPT = 8192
"""Bytes of the end of stderr that are kept for an error message: a traceback."""


@dataclass(frozen=True)
class RemoteExit:
    """How a remote process ended.

    Attributes:
        status: Its exit status; None when a signal or the loss of the connection ended it.
        stderr: The last lines that it wrote there.
        lost: Why the connection broke; None when it did not.
    """

    status: int | None
    stderr: str
    lost: str | None
