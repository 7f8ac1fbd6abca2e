"""The choice of the test server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.container import ContainerServer
from tests.support.engine import find_engine
from tests.support.errors import ServerUnavailableError
from tests.support.local import LocalServer
from tests.support.server import Server


def start_server(folder: Path, environ: Mapping[str, str]) -> Server:
    """Start the server of ``XPM_TEST_SSH``: a container, or ``local`` for a private sshd.

    Raises:
        ServerUnavailableError: This machine cannot run it; the message is one line.
    """
    kind = environ.get("XPM_TEST_SSH", "")
    if kind == "local":
        return LocalServer.start(folder, environ)
    if kind:
        raise ServerUnavailableError(f"XPM_TEST_SSH is {kind!r}; it may be unset or 'local'")
    return ContainerServer.start(find_engine(environ), folder)
