"""Which remote side serves a workspace: chosen at the first connection, kept for all others."""

from __future__ import annotations

import logging

from xpm_remote.errors import ProtocolError, RemoteTimeoutError, StartError, XpmRemoteError
from xpm_remote.session.serving import Needs, RemoteSide, open_by_agent, open_experimaestro
from xpm_remote.session.state import BackendChoice
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import Backend

log = logging.getLogger(__name__)

CANNOT_SERVE = (StartError, ProtocolError, RemoteTimeoutError)
"""The failures of a remote experimaestro that our agent need not share."""


class Chooser:
    """Opens the remote side of a target, and remembers which one that is.

    Args:
        target: The workspace.
    """

    def __init__(self, target: Target | LocalTarget) -> None:
        self._target = target
        self._failure: XpmRemoteError | None = None
        self._is_settled = True
        if isinstance(target, LocalTarget):
            self.choice = BackendChoice(Backend.AGENT, "the workspace is on this machine")
        elif target.backend is Backend.AUTO:
            self.choice = BackendChoice(Backend.EXPERIMAESTRO, "it can be started on the host")
            self._is_settled = False
        else:
            self.choice = BackendChoice(target.backend, "it is asked for")

    async def open(self, needs: Needs) -> RemoteSide:
        """Open the side that is chosen.

        Raises:
            XpmRemoteError: Any of its kinds: this did not succeed.
        """
        target = self._target
        if isinstance(target, LocalTarget) or self.choice.backend is Backend.AGENT:
            return await self._open_agent(needs)
        return await open_experimaestro(target, needs, needs_current=not self._is_settled)

    def settle(self) -> None:
        """Keep the choice: everything has been learnt from that side."""
        if not self._is_settled:
            log.debug("served by %s: %s", self.choice.backend.value, self.choice.why)
        self._is_settled = True
        self._failure = None

    def has_other(self, error: XpmRemoteError) -> bool:
        """Choose the other side, if this one failed by itself and nothing is settled; tell whether there is one."""
        is_first = not self._is_settled and self.choice.backend is Backend.EXPERIMAESTRO
        if not is_first or not isinstance(error, CANNOT_SERVE):
            return False
        self._failure = error
        self.choice = BackendChoice(Backend.AGENT, error.what, is_fallback=True)
        log.info("%s is served by our agent: %s", self._target.name, error.what)
        return True

    async def _open_agent(self, needs: Needs) -> RemoteSide:
        try:
            return await open_by_agent(self._target, needs)
        except StartError as error:
            first = self._failure
            if first is None:
                raise
            raise StartError(f"{first.what}; and by the agent: {error.what}", first.hint) from error
