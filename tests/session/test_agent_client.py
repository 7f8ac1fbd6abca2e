"""The client of an agent, before its first answer."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from xpm_remote.link.transport import AgentTransport
from xpm_remote.rpc.client import RpcClient
from xpm_remote.rpc.protocol import Notification
from xpm_remote.session.agent_client import AgentClient


class Stdio:
    """The stdio of an agent of a host whose clock is unknown."""

    clock = None


def test_what_is_read_at_once_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification that comes while the client is made, as where tasks are eager, reaches its listener."""
    told = Notification("notification.loaded", msgspec.Raw(b"{}"))

    def read(_: RpcClient, *__: object, listener: Any, **___: object) -> None:
        listener(told)

    monkeypatch.setattr(RpcClient, "__init__", read)
    heard: list[Notification] = []
    AgentClient(cast("AgentTransport", Stdio()), listener=heard.append, timeout=1.0)
    assert heard == [told]
