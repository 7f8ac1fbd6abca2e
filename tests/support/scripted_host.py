"""A host within the test's process that says what a test wants; its commands are answered by a script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh

from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.link.remote.startup import MARK
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend, SshEngine

HOST = "127.0.0.1"
PAUSE = 0.05
"""Seconds between two bytes of an answer that trickles."""
STARTED = f"\n{MARK} init\n\n{MARK} ready 1795358688 +0000 UTC\n"


class Host:
    """What a host says: the greeting of an agent, if it is one, and the same answer to all but the handshake.

    Args:
        answer: The answer, in which the id is put; without a newline at its end it comes byte by byte.
        greeting: What comes before the first answer.
        packed: Whether all after the greeting is a deflate stream.

    Attributes:
        said: The results of methods that are answered otherwise.
    """

    def __init__(self, answer: bytes, greeting: str = "", *, packed: bool = False) -> None:
        self._answer = answer
        self._greeting = greeting
        self._pack = zlib.compressobj() if packed else None
        self._turn = asyncio.Lock()
        self._connections: list[Any] = []
        self.server: asyncssh.SSHAcceptor | None = None
        self.said = {
            "get_sync_info": {
                "protocol_version": "2.0",
                "workspace_path": "/d",
                "agent": {"python": "3"},
            },
            "ping": {},
        }

    def close_port(self) -> None:
        """Accept no more connections."""
        assert self.server is not None
        self.server.close()

    def drop(self) -> None:
        """Break all connections."""
        for each in self._connections:
            each.abort()

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Serve one command."""
        self._connections.append(process.channel.get_connection())
        process.stdout.write((STARTED + self._greeting).encode())
        # The first requests to an agent are on its command line.
        asked = re.search(r"\[\{.*?\}\]", process.command or "")
        requests = json.loads(asked[0]) if asked else []
        replies = [asyncio.create_task(self._reply(process, each)) for each in requests]
        with contextlib.suppress(asyncssh.BreakReceived, asyncssh.TerminalSizeChanged, OSError):
            while line := await process.stdin.readline():
                start = line.find(b'{"jsonrpc"')
                if start >= 0:  # and not the agent
                    request = json.loads(line[start:])
                    replies.append(asyncio.create_task(self._reply(process, request)))
        for reply in replies:
            reply.cancel()
        process.exit(0)

    async def _reply(self, process: asyncssh.SSHServerProcess[bytes], request: Any) -> None:
        async with self._turn:
            said = self.said.get(request["method"])
            if said is not None:
                whole = {"jsonrpc": "2.0", "id": request["id"], "result": said}
                self._write(process, json.dumps(whole).encode() + b"\n")
                return
            answer = self._answer.replace(b"%d", str(request["id"]).encode())
            if answer.endswith(b"\n"):
                self._write(process, answer)
                return
            for byte in answer:
                self._write(process, bytes([byte]))
                await asyncio.sleep(PAUSE)

    def _write(self, process: asyncssh.SSHServerProcess[bytes], data: bytes) -> None:
        if self._pack is not None:
            data = self._pack.compress(data) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        process.stdout.write(data)


@asynccontextmanager
async def serving(host: Host, engine: SshEngine, backend: Backend) -> AsyncIterator[Target]:
    """Serve a host; yield a workspace there."""
    server = await asyncssh.listen(
        HOST,
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        server_factory=_Open,
        encoding=None,
        process_factory=host.serve,
    )
    host.server = server
    async with server:
        options = [
            f"-F none -p {server.get_port()} -o StrictHostKeyChecking=no",
            "-o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null",
        ]
        yield Target(
            name=HOST,
            workspace="/d",
            options=parse_ssh_options(HOST, options, engine),
            remote=RemoteExperimaestro(),
            engine=engine,
            backend=backend,
            shell_init="true",
        )


class _Open(asyncssh.SSHServer):
    """Lets everyone in."""

    def begin_auth(self, username: str) -> bool:
        """Ask for no login."""
        return False
