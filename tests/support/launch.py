"""The choice of the test server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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


def start_slurm(folder: Path, environ: Mapping[str, str]) -> ContainerServer:
    """Start a container of the same with a SLURM of one node.

    Raises:
        ServerUnavailableError: This machine cannot run it; the message is one line.
    """
    return ContainerServer.start(find_engine(environ), folder, with_slurm=True)


def start_trixie(folder: Path, environ: Mapping[str, str]) -> ContainerServer:
    """Start a container of the same on Debian trixie, which has a newer OpenSSH and a newer python.

    Raises:
        ServerUnavailableError: This machine cannot run it, or no image is named; the message is one line.
    """
    image = environ.get("XPM_TEST_TRIXIE_IMAGE")
    if not image:
        raise ServerUnavailableError(
            "XPM_TEST_TRIXIE_IMAGE names no image of Debian trixie: "
            "`source tools/engine.sh && xpm_engine && xpm_trixie` finds or builds one"
        )
    return ContainerServer.start(replace(find_engine(environ), base_image=image), folder)
