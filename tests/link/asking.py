"""A server that prompts for passwords and codes, for which OpenSSH's server would need PAM."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncssh

START_LIMIT = 10.0
"""Seconds for the asking server to listen, and to stop."""
HOST = "127.0.0.1"
PASSWORD = "correct horse"
CODE = "271828"
WELCOME = "the command ran"
"""What its command writes to stderr before it fails: the login has succeeded."""


class AskingServer(asyncssh.SSHServer):
    """Admits a client that answers.

    Args:
        methods: ``password``, ``interview``, or both.
        begun: Collects the names of those who are asked questions.
        connections: Collects the connections.
    """

    def __init__(
        self,
        methods: Sequence[str],
        begun: list[str],
        connections: list[asyncssh.SSHServerConnection],
    ) -> None:
        self._methods = methods
        self._begun = begun
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection."""
        self._connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        """Require authentication."""
        return True

    def password_auth_supported(self) -> bool:
        """Accept passwords if the server is to."""
        return "password" in self._methods

    def validate_password(self, username: str, password: str) -> bool:
        """Accept one password."""
        return password == PASSWORD

    def kbdint_auth_supported(self) -> bool:
        """Prompt with questions if the server is to."""
        return "interview" in self._methods

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """Prompt for a secret and for a code, with a text that tries to move the cursor."""
        self._begun.append(username)
        return (
            "Two steps",
            "Your card\x1b[2J shows a code.",
            lang,
            [("Secret: ", False), ("Code: ", True)],
        )

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        """Accept the right two answers."""
        return list(responses) == [PASSWORD, CODE]


class Asking:
    """A server that prompts, in a thread of its own, since the test waits at the terminal meanwhile.

    Args:
        folder: Where the home of a client is.
        methods: As for ``AskingServer``.
        patience: Seconds until it ends a login.
        runs: Whether it runs commands, on this machine; else each fails after it has said ``WELCOME``.

    Attributes:
        begun: The names that were prompted.
        connections: The connections that were made to it.
    """

    def __init__(
        self, folder: Path, *methods: str, patience: float = 60, runs: bool = False
    ) -> None:
        self.home = folder
        self.known_hosts = folder / ".ssh" / "known_hosts"
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self.begun: list[str] = []
        self.connections: list[asyncssh.SSHServerConnection] = []
        self._methods = methods
        self._patience = patience
        self._process = _run if runs else _fail
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Asking:
        self._thread.start()
        self._server = self._call(
            asyncssh.listen(
                "127.0.0.1",
                0,
                server_host_keys=[self.key],
                server_factory=lambda: AskingServer(self._methods, self.begun, self.connections),
                process_factory=self._process,
                encoding=None,
                login_timeout=self._patience,
            )
        )
        self.port = self._server.get_port()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)  # asyncio is not thread-safe
        self._call(self._server.wait_closed())
        self._call(self._close_connections())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_LIMIT)
        self._loop.close()

    @property
    def entry(self) -> str:
        """The server's line for known_hosts."""
        public = self.key.export_public_key("openssh").decode().strip()
        return f"[127.0.0.1]:{self.port} {public}\n"

    def know(self) -> None:
        """Record its key."""
        self.known_hosts.parent.mkdir(mode=0o700, exist_ok=True)
        self.known_hosts.write_text(self.entry)

    @property
    def options(self) -> tuple[str, str]:
        """The options that lead to it."""
        return f"-F none -p {self.port}", f"UserKnownHostsFile={self.known_hosts}"

    def cut(self) -> None:
        """End all connections without a message."""
        for connection in self.connections:
            self._loop.call_soon_threadsafe(connection.abort)

    async def _close_connections(self) -> None:
        """Close the connections that clients have just left, which the listener's end does not close."""
        for connection in self.connections:
            connection.abort()
            await connection.wait_closed()
        # A transport closes its socket in the turn of the loop after it has reported that it is closed.
        await asyncio.sleep(0)

    def _call(self, work: Any) -> Any:
        async def run() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(START_LIMIT)


async def _fail(process: asyncssh.SSHServerProcess[bytes]) -> None:
    process.stderr.write(f"{WELCOME}\n".encode())
    process.exit(9)


async def _run(process: asyncssh.SSHServerProcess[bytes]) -> None:
    pipe = asyncio.subprocess.PIPE
    shell = await asyncio.create_subprocess_shell(
        process.command or "exit", stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    feeding = asyncio.create_task(_pump(process.stdin, shell.stdin), name="feeding")
    await asyncio.gather(_pump(shell.stdout, process.stdout), _pump(shell.stderr, process.stderr))
    feeding.cancel()
    await asyncio.wait({feeding})
    process.exit(await shell.wait())


async def _pump(source: Any, sink: Any) -> None:
    """Pass on data until it ends, and its end."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(65536):
            sink.write(data)
        sink.write_eof()
