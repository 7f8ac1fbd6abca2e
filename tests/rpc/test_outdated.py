"""A server that is older than we support, refused as soon as its age shows, where the agent can serve."""

from __future__ import annotations

import msgspec
import pytest

from xpm_remote.errors import ProtocolError
from xpm_remote.rpc.server_api import MonitorServer


class Answers:
    """A client with prepared answers."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    async def call(self, method: str, params: object) -> msgspec.Raw:
        """Return the answer."""
        del method, params
        return msgspec.Raw(self._answer.encode())


def server(answer: str, *, needs_current: bool = True) -> MonitorServer:
    """Make a server that returns one answer."""
    return MonitorServer(Answers(answer), needs_current=needs_current)  # type: ignore[arg-type]


async def test_protocol() -> None:
    """The protocol version of old releases identifies them."""
    old = '{"protocol_version": "1.0"}'
    with pytest.raises(ProtocolError, match=r"older than 2\.7"):
        await server(old).handshake()
    assert (await server(old, needs_current=False).handshake()).protocol_version == "1.0"
    await server('{"protocol_version": "2.0"}').handshake()


async def test_runs() -> None:
    """Experiments without counted runs identify old releases; no experiments decide nothing."""
    old = '[{"experiment_id": "e"}]'
    with pytest.raises(ProtocolError, match=r"older than 2\.7"):
        await server(old).experiments()
    assert len(await server(old, needs_current=False).experiments()) == 1
    assert len(await server('[{"experiment_id": "e", "runs_count": 1}]').experiments()) == 1
    assert await server("[]").experiments() == []
