"""A connection that outlives the command for which it was made: the next one needs no other login."""

from __future__ import annotations

from types import TracebackType

from xpm_remote.link.library.connection import Connection


class KeptConnection:
    """Keeps the connection of one command for the next, until this context ends.

    What still runs on the connection then holds it alone.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None

    @property
    def standing(self) -> Connection | None:
        """The connection, if there is one and nobody has closed it."""
        connection = self._connection
        return None if connection is None or connection.ssh.is_closed() else connection

    async def keep(self, connection: Connection) -> None:
        """Keep a connection in place of the one before."""
        connection.hold()
        before, self._connection = self._connection, connection
        if before is not None:
            await before.aclose(by_force=True)

    async def __aenter__(self) -> KeptConnection:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose(by_force=kind is not None)
