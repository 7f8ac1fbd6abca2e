"""What a host shows during the login: to a person at once, and in the error where it then refuses."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from tests.link.readers import Reader
from xpm_remote.errors import AuthenticationError, UnreachableError
from xpm_remote.link.host import HostLink
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import Prompter, RefusingPrompter
from xpm_remote.settings.schema import SshEngine

HOST = "127.0.0.1"
LIMIT = 30.0
"""Seconds for what takes a moment, on a machine that runs other tests, too."""
SIGN_IN = "To sign in, visit https://login.example.org/{}\x1b[2J"


class Latin(str):
    """A text that goes out in Latin-1, as from hosts that were set up long ago."""

    def encode(self, *_: object, **__: object) -> bytes:
        """Return it in Latin-1."""
        return super().encode("latin-1")


class Showing(asyncssh.SSHServer):
    """Shows a banner; then admits, refuses, or ends the connection."""

    def __init__(self, banner: str, then: str) -> None:
        self._banner = banner
        self._then = then

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection."""
        self._connection = conn

    async def begin_auth(self, username: str) -> bool:
        """Show the banner, which is sent at once."""
        self._connection.send_auth_banner(type(self._banner)(self._banner + "\r\n"))
        if self._then == "closes":
            self._connection.abort()
            await self._connection.wait_closed()
        return self._then != "admits"

    def connection_requested(self, *_: object) -> bool:
        """Forward connections, as a jump host."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Claim that keys are of use."""
        return True


Open = Callable[[str, str, Prompter], AbstractAsyncContextManager[None]]


@pytest.fixture
def connect(engine: SshEngine) -> Open:
    """Connect to a host that shows something, and then does something."""

    @asynccontextmanager
    async def connecting(banner: str, then: str, prompter: Prompter) -> AsyncIterator[None]:
        listener = await asyncssh.listen(
            HOST,
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            server_factory=lambda: Showing(banner, then),
            process_factory=lambda process: process.exit(0),
        )
        try:
            options = parse_ssh_options(
                f"me@{HOST}",
                [
                    f"-F none -p {listener.get_port()} -o IdentityAgent=none",
                    "StrictHostKeyChecking=no",
                    "UserKnownHostsFile=/dev/null",
                ],
                engine,
            )
            opening = HostLink(options, engine).open_process("true", prompter)
            process = await asyncio.wait_for(opening, LIMIT)
            await process.aclose(by_force=True)
            yield
        finally:
            listener.close()
            await listener.wait_closed()

    return connecting


async def test_banner_is_shown(connect: Open, engine: SshEngine) -> None:
    """A banner is shown without any question."""
    person, banner = Reader(), SIGN_IN.format(os.urandom(4).hex())
    async with connect(banner, "admits", person):
        pass
    shown = "\n".join(person.told)
    assert shown.count(banner.partition("\x1b")[0]) == 1


async def test_banner_in_another_encoding(connect: Open, engine: SshEngine) -> None:
    """A banner that is not UTF-8 is shown with escapes, and is no reason to refuse the host."""
    person, number = Reader(), os.urandom(4).hex()
    async with connect(Latin(f"Acc\xe8s r\xe9serv\xe9 {number}"), "admits", person):
        pass
    forms = {
        SshEngine.ASYNCSSH: r"Acc\xe8s r\xe9serv\xe9",
        SshEngine.OPENSSH: r"Acc\350s r\351serv\351",
    }
    assert f"{forms[engine]} {number}" in "\n".join(person.told)


async def test_banner_of_a_jump_host(
    engine: SshEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A banner of a jump host is shown as well, such as an address to sign in at."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    person, banner = Reader(), SIGN_IN.format(os.urandom(4).hex())
    ports = []
    async with AsyncExitStack() as stack:
        for shown in (banner, "inner"):
            server = await asyncssh.listen(
                HOST,
                0,
                server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
                server_factory=lambda shown=shown: Showing(shown, "admits"),
                process_factory=lambda process: process.exit(0),
            )
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
            ports.append(server.get_port())
        config = tmp_path / "config"
        config.write_text(
            f"Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  IdentityAgent none\n"
            f"Host inside\n  HostName {HOST}\n  Port {ports[1]}\n  ProxyJump me@{HOST}:{ports[0]}\n"
        )
        options = parse_ssh_options("me@inside", [f"-F {config}"], engine)
        opening = HostLink(options, engine).open_process("true", person)
        process = await asyncio.wait_for(opening, LIMIT)
        await process.aclose(by_force=True)
    shown = "\n".join(person.told)
    assert shown.count(banner.partition("\x1b")[0]) == 1
    assert "Warning: " not in shown


async def test_banner_is_in_the_error(connect: Open) -> None:
    """What a host shows and then ends the connection is in the error."""
    banner = "System is going down, back at noon."
    with pytest.raises(UnreachableError, match="back at noon") as caught:
        async with connect(banner, "closes", RefusingPrompter("it is night")):
            pass
    assert "ends the login" in str(caught.value)


async def test_account_has_expired(connect: Open) -> None:
    """An account that has expired is not to be tried again."""
    banner = "Your account has expired; please contact your system administrator."
    with pytest.raises(AuthenticationError, match="has expired"):
        async with connect(banner, "closes", RefusingPrompter("it is night")):
            pass


async def test_refusal(connect: Open) -> None:
    """A host that refuses may have said why."""
    with pytest.raises(AuthenticationError, match="Members of physics only"):
        async with connect("Members of physics only", "refuses", RefusingPrompter("it is night")):
            pass
