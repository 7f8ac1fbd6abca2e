"""An account of the test server, and how its host key is known."""

from __future__ import annotations

import pytest

from tests.support.server import Server


@pytest.fixture
def account(server: Server) -> str:
    """The account of alice."""
    return server.account("alice")


@pytest.fixture
def known(server: Server) -> str:
    """The option that names the pinned host key."""
    return f"-F none -o UserKnownHostsFile={server.known_hosts}"
