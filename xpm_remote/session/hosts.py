"""One login per host: the links and the delays that all workspaces of a host share."""

from __future__ import annotations

import asyncio
import random
from typing import NamedTuple

from xpm_remote.link.connection import Sharing
from xpm_remote.link.host import HostLink
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.waits import Limits
from xpm_remote.session.reconnect import CallPerson, SharedBackoff
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import SshEngine
from xpm_remote.waiting import race


class Host(NamedTuple):
    """What all that goes to one host has in common.

    Attributes:
        link: Runs commands there, on one connection.
        backoff: The delays before attempts to restore it.
    """

    link: HostLink
    backoff: SharedBackoff

    async def wait_for_person(self, asked: str, call_person: CallPerson) -> bool | None:
        """Wait for a person who answers what the host asks, or until others are connected.

        Args:
            asked: What the host asks for.
            call_person: Waits for the person.

        Returns:
            Whether there is a person; None if none is needed any more.
        """
        answers: list[bool] = []

        async def call() -> None:
            answers.append(await call_person(asked))

        await race(call(), self.link.wait_connected())
        return answers[0] if answers else None


class Hosts:
    """Finds the host of a target: all targets with the same host and SSH options share one, and its login.

    Of all that they ask a person, one question is open at a time.

    Args:
        sharing: With whom the connections are shared.
    """

    def __init__(self, sharing: Sharing = Sharing.USERS) -> None:
        self._sharing = sharing
        self._turn = asyncio.Lock()
        self._hosts: dict[tuple[ConnectOptions, SshEngine, Limits], Host] = {}

    def at(self, target: Target) -> Host:
        """Return the host of a target, the same one each time."""
        key = (target.options, target.engine, target.limits)
        if key not in self._hosts:
            link = HostLink(target.options, target.engine, target.limits, self._turn, self._sharing)
            self._hosts[key] = Host(link, SharedBackoff(random.random))
        return self._hosts[key]

    def link(self, target: Target) -> HostLink:
        """Return the link to the host of a target, the same one each time."""
        return self.at(target).link
