"""A connection to a host as an engine makes it: what runs commands, and is closed by the last of its holders."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from enum import Enum

from xpm_remote.link.process import RemoteProcess

CLOSE_TIMEOUT = 1.0
"""Seconds for a channel or a connection to close after its process has ended; then it is aborted."""


class Sharing(Enum):
    """Whether a connection is shared with programs of the same user, with the same options of SSH."""

    ALONE = "not at all"
    USERS = "a connection that the user has made is used"
    LENDS = "the same, and other programs of ours may use ours"
    BORROWS = "the same as USERS, and that of another program of ours is used"


class SessionRefused(Exception):
    """The host runs no further command on a connection, as with ``MaxSessions``; the text is its reason."""


class Connection(ABC):
    """An open connection; counts its holders, of which the opener is the first.

    Each of its processes holds it until that is closed.

    Attributes:
        room: How many commands the host runs on it at once, as far as it has refused one.
        is_silent: Whether the host has not confirmed the end of a command: the connection may be dead.
    """

    is_own = True
    """Whether it was made here, and not by the user before."""

    def __init__(self) -> None:
        self._holders = 1
        self._processes = 0
        self.room: float = math.inf
        self.is_silent = False

    @property
    def is_open(self) -> bool:
        """Whether it can still carry something."""
        return self._holders > 0 and self._is_alive

    @property
    def processes(self) -> int:
        """The number of its processes."""
        return self._processes

    @property
    def is_shared(self) -> bool:
        """Whether it has more than one holder."""
        return self._holders > 1

    def hold(self) -> None:
        """Add a holder."""
        self._holders += 1

    async def aclose(self, *, by_force: bool = False) -> None:
        """Remove a holder; after the last, close the connection and what carried it.

        Args:
            by_force: Whether to close it without waiting for the host.
        """
        self._holders -= 1
        if not self._holders:
            await self._close(by_force=by_force)

    async def run(self, command: str) -> RemoteProcess:
        """Run a command, whose process releases the connection when it is closed.

        Args:
            command: The remote command line.

        Raises:
            SessionRefused: The host runs no further command on this connection.
            LinkLostError: The connection broke.
        """
        self.hold()
        self._processes += 1
        try:
            return await self._run(command)
        except BaseException as error:
            if isinstance(error, SessionRefused):
                self.room = self._processes - 1
            await self.release_process(by_force=True)
            raise

    async def release_process(self, *, by_force: bool = False) -> None:
        """Remove a process from the holders."""
        self._processes -= 1
        await self.aclose(by_force=by_force)

    @property
    @abstractmethod
    def _is_alive(self) -> bool:
        """Whether its end has not been seen."""

    @abstractmethod
    async def _run(self, command: str) -> RemoteProcess:
        """Run a command; the caller has added its process to the holders."""

    @abstractmethod
    async def _close(self, *, by_force: bool) -> None:
        """Close the connection."""
