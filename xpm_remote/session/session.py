"""One connection's life: connect, handshake, snapshot, stream, until it ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from xpm_remote.errors import LinkError, XpmRemoteError
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.link.remote.startup import RemoteClock
from xpm_remote.session.choosing import Chooser
from xpm_remote.session.racing import race
from xpm_remote.session.serving import Client, Needs, RemoteSide
from xpm_remote.session.state import Phase

RECONCILE_INTERVAL = 10.0
"""Seconds between two reconciliations: what an announcement did not tell is seen this much later."""

ASKED_ALREADY = "nobody is asked a second time"
"""Why nobody answers while our agent is tried in place of an experimaestro that cannot be started."""


class Session:
    """One connection to a workspace, feeding a store.

    Args:
        chooser: Opens the remote side.
        needs: The store, and what else that needs.
        enter: Is told of each phase that is reached.
    """

    def __init__(self, chooser: Chooser, needs: Needs, enter: Callable[[Phase], None]) -> None:
        self._chooser = chooser
        self._needs = needs
        self._enter = enter
        self._client: Client | None = None
        self.skew = 0.0

    @property
    def heard(self) -> float | None:
        """When the remote side was last heard, in local epoch seconds; None before it was."""
        return None if self._client is None else self._client.last_heard

    async def snapshot(self) -> None:
        """Connect, learn everything once, and end.

        Raises:
            XpmRemoteError: Any of its kinds: this did not succeed.
        """
        side = await self._start()
        try:
            side.feed.catch_up()
            self._enter(Phase.LIVE)
        finally:
            await side.client.aclose()

    async def run(self, interval: float = RECONCILE_INTERVAL) -> None:
        """Connect and keep the store true until the link ends, which it always does by an error.

        Args:
            interval: Seconds between two reconciliations.

        Raises:
            XpmRemoteError: Any of its kinds: why the link ended.
        """
        side = await self._start()
        try:
            self._enter(Phase.LIVE)
            side.feed.catch_up()
            await race(_end(side.client), side.feed.follow(interval))
        finally:
            await side.client.aclose()

    async def _start(self) -> RemoteSide:
        """Connect and learn everything; from the other side, where that is the way out."""
        needs = self._needs
        async with contextlib.nullcontext() if needs.link is None else needs.link.keeping():
            try:
                return await self._try(needs)
            except XpmRemoteError as error:
                if not self._chooser.has_other(error):
                    raise
                return await self._try_other(needs, error)

    async def _try_other(self, needs: Needs, first: XpmRemoteError) -> RemoteSide:
        # Where the connection cannot be kept it is another login: a person is not asked for the same again.
        prompter = needs.prompter or RefusingPrompter(ASKED_ALREADY)
        try:
            return await self._try(replace(needs, prompter=prompter))
        except LinkError as error:
            if needs.prompter is not None or not error.unanswered:
                raise
            hint = f"{first.hint}; or take our agent at once: --backend agent"
            raise type(first)(first.what, hint.removeprefix("; or ")) from error

    async def _try(self, needs: Needs) -> RemoteSide:
        self._enter(Phase.CONNECTING)
        side = await self._chooser.open(needs)
        try:
            self._client = side.client
            self._set_clock(side.clock)
            self._enter(Phase.LOADING)
            await race(side.feed.snapshot(), _end(side.client))
        except BaseException:
            await side.client.aclose()
            raise
        self._chooser.settle()
        return side

    def _set_clock(self, clock: RemoteClock | None) -> None:
        if clock is not None:
            self._needs.store.zone = clock.zone
            self.skew = clock.epoch - time.time()


async def _end(client: Client) -> None:
    """Wait for the end of the link, and raise why it came."""
    raise await client.wait_ended()
