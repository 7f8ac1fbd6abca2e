"""Bytes to and from a remote process, whatever engine carries them: its start awaited, its shutdown a ladder."""

from __future__ import annotations

import asyncio

from xpm_remote.errors import LinkLostError, RemoteTimeoutError, XpmRemoteError
from xpm_remote.link.engines import choose_engine
from xpm_remote.link.library.keeping import KeptConnection
from xpm_remote.link.library.locked_keys import OpenedKeys
from xpm_remote.link.library.session import start_by_asyncssh
from xpm_remote.link.observer import UNOBSERVED, Observer
from xpm_remote.link.openssh.session import start_by_openssh
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.prompts import Prompter
from xpm_remote.link.remote.startup import RemoteClock, Startup
from xpm_remote.link.remote_exit import RemoteExit
from xpm_remote.link.remote_process import RemoteProcess
from xpm_remote.settings.schema import SshEngine
from xpm_remote.waiting import wait_within

__all__ = ["RemoteExit", "Transport", "open_process", "open_transport"]

START_TIMEOUT = 300.0
"""Seconds until the server starts: modules load and file systems mount slowly on a login node."""

EOF_GRACE = 2.0
"""Seconds for the server to end by itself after its stdin was closed; the reference one takes 0.1."""

TERM_GRACE = 1.0
"""Seconds for it to end after SIGTERM, before the channel is closed under it."""


class Transport:
    """The stdio of one remote process. Use ``open_transport`` to get one.

    Attributes:
        clock: What the remote said of its clock.
    """

    def __init__(self, process: RemoteProcess, clock: RemoteClock | None) -> None:
        self._process = process
        self.clock = clock

    @property
    def exit(self) -> RemoteExit:
        """How the process ended; meaningful once ``receive`` gave no more bytes."""
        return self._process.exit

    async def receive(self) -> bytes:
        """Give what has arrived, waiting for at least one byte; ``b""`` once the process has ended."""
        return await self._process.receive()

    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended."""
        self._process.send(data)

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the process and the connection: close its stdin, then signal it, then leave.

        Args:
            finish: Seconds that it is given, besides the usual ones, to finish what it does.
        """
        process = self._process
        process.close_stdin()
        if not await process.wait_ended(EOF_GRACE + finish):
            process.terminate()
            await process.wait_ended(TERM_GRACE)
        await process.aclose()


async def open_process(
    options: ConnectOptions,
    command: str,
    *,
    engine: SshEngine = SshEngine.ASYNCSSH,
    prompter: Prompter | None = None,
    observer: Observer = UNOBSERVED,
    opened: OpenedKeys | None = None,
    kept: KeptConnection | None = None,
) -> RemoteProcess:
    """Connect to the host and run a command there.

    Args:
        options: Where to connect to, and how.
        command: The remote command line.
        engine: What makes the connection.
        prompter: Who is asked for what only a person knows; None: whoever is at the terminal.
        observer: Looks on.
        opened: Keys that a person has opened before, and will open now, where it is we who open them.
        kept: A connection to the same host that is used if it stands; else the one that is made is kept there. The
            engine openssh always connects anew.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        StartError: The host runs no commands.
    """
    choice = await choose_engine(options, engine)
    if choice.engine is SshEngine.OPENSSH:
        return await start_by_openssh(options, command, prompter, observer)
    return await start_by_asyncssh(options, command, prompter, observer, opened, kept)


async def open_transport(
    options: ConnectOptions,
    command: str,
    *,
    workspace: str,
    has_init: bool,
    engine: SshEngine = SshEngine.ASYNCSSH,
    prompter: Prompter | None = None,
    opened: OpenedKeys | None = None,
    kept: KeptConnection | None = None,
) -> Transport:
    """Connect to the host and start the server there.

    Args:
        options: Where to connect to, and how.
        command: The whole remote command line, as ``link.command`` makes it.
        workspace: The remote directory, for messages.
        has_init: Whether the command begins with a person's ``shell_init``.
        engine: What makes the connection.
        prompter: Who is asked for what only a person knows; None: whoever is at the terminal.
        opened: Keys that a person has opened before, and will open now.
        kept: As in ``open_process``.

    Returns:
        A transport whose next byte is the server's first.

    Raises:
        OptionError: An option cannot be used.
        LinkError: The connection failed.
        RemoteError: The remote shell, its ``shell_init`` or the directory failed.
    """
    process = await open_process(
        options, command, engine=engine, prompter=prompter, opened=opened, kept=kept
    )
    try:
        clock = await _await_start(process, workspace, has_init=has_init)
    except BaseException:
        # By force: what we started has ended, or is not ours to wait for.
        await process.aclose(by_force=True)
        raise
    return Transport(process, clock)


async def _await_start(
    process: RemoteProcess, workspace: str, *, has_init: bool
) -> RemoteClock | None:
    """Read the marks of the remote command; what follows them is put back."""
    startup = Startup(has_init=has_init)
    try:
        rest = await wait_within(_read_marks(process, startup), START_TIMEOUT)
    except (TimeoutError, asyncio.TimeoutError):
        raise RemoteTimeoutError(
            f"the remote shell has not come to start the server within {START_TIMEOUT:g} s"
            f" (it is at the stage {startup.stage.value})",
            "look for a command there that waits for an answer",
        ) from None
    if rest is None:
        raise ended_before_start(process.exit, startup, workspace)
    process.put_back(rest)
    return startup.clock


async def _read_marks(process: RemoteProcess, startup: Startup) -> bytes | None:
    while True:
        data = await process.receive()
        if not data:
            return None
        rest = startup.feed(data)
        if rest is not None:
            return rest


def ended_before_start(ended: RemoteExit, startup: Startup, workspace: str) -> XpmRemoteError:
    """Say why the remote command ended before the server started."""
    if ended.lost is not None:
        return LinkLostError(f"the connection broke while the remote side started: {ended.lost}")
    return startup.failure(ended.status, ended.stderr, workspace)
