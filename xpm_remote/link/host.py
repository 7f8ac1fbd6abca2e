"""The connection to one host: the choice of its engine, and what of it is kept for the next command."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from xpm_remote.errors import NegotiationError
from xpm_remote.link.asyncssh_engine.reaching import reach
from xpm_remote.link.connection import Connection, Sharing
from xpm_remote.link.negotiation import KINDS
from xpm_remote.link.observer import Observer, Step
from xpm_remote.link.openssh_engine.arguments import KEEPALIVE
from xpm_remote.link.openssh_engine.connection import open_by_openssh
from xpm_remote.link.openssh_engine.masters import is_master_alive
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.keywords import NEEDS_GSSAPI
from xpm_remote.link.prompts import InTurn, Prompter, TerminalPrompter
from xpm_remote.link.sharing import SharedLogin, may_ask
from xpm_remote.link.ssh_config.files import located
from xpm_remote.link.ssh_config.reader import find_reader, read_for_openssh, read_route, require_ssh
from xpm_remote.link.ssh_config.text import SshConfig
from xpm_remote.link.ssh_config.unsupported import UnsupportedSetting
from xpm_remote.link.waits import DEFAULT_LIMITS, Limits
from xpm_remote.settings.schema import SshEngine

if TYPE_CHECKING:
    from xpm_remote.link.asyncssh_engine.keys import OpenedKeys

log = logging.getLogger(__name__)

Facts = dict[str, str | int | list[str]]


async def load_library() -> None:
    """Import the SSH library where it is needed; it takes as long as two round trips, so other tasks run meanwhile."""
    await asyncio.to_thread(_import_library)


def _import_library() -> None:
    import xpm_remote.link.asyncssh_engine.connection  # noqa: F401


class EngineChoice(NamedTuple):
    """The engine that makes a connection.

    Attributes:
        engine: The engine, never ``auto``.
        why: The reason, as part of a sentence.
    """

    engine: SshEngine
    why: str


_logged: set[tuple[str, EngineChoice]] = set()


class HostLink(SharedLogin):
    """Runs commands on one host, on one connection as long as it stands and has room for them.

    Keys that a person unlocks stay unlocked, in memory, as long as this object lives; with the engine openssh the keys
    are those of ``ssh``.

    Args:
        options: The host and the options of the connection.
        engine: The engine that makes the connections, or ``auto``.
        limits: The seconds of each wait.
        turn: Is held while the person is asked; links that ask the same person share it.
        sharing: With whom the connection is shared, by the engine openssh only.

    Attributes:
        reads_input: Whether login files there read input that is not theirs, as the first command has shown.
    """

    def __init__(
        self,
        options: ConnectOptions,
        engine: SshEngine = SshEngine.ASYNCSSH,
        limits: Limits = DEFAULT_LIMITS,
        turn: asyncio.Lock | None = None,
        sharing: Sharing = Sharing.USERS,
    ) -> None:
        super().__init__(options.host, limits)
        self.options = options
        self.engine = engine
        self.reads_input = False
        self._turn = turn or asyncio.Lock()
        self._sharing = sharing
        self._opened: OpenedKeys | None = None
        self._forced: EngineChoice | None = None

    async def _connect(self, prompter: Prompter | None, observer: Observer) -> Connection:
        choice = self._forced or await choose_engine(self.options, self.engine)
        host, is_openssh = self.options.host, choice.engine is SshEngine.OPENSSH
        is_news = is_openssh and self.engine is not choice.engine and (host, choice) not in _logged
        _logged.add((host, choice))
        level = logging.INFO if is_news else logging.DEBUG
        log.log(level, "the SSH engine for %s is %s: %s", host, choice.engine.value, choice.why)
        if is_openssh:
            # ssh asks by itself, at any moment of its login.
            async with self._turn if may_ask(prompter) else contextlib.nullcontext():
                sharing = Sharing.ALONE if self.is_alone else self._sharing
                return await open_by_openssh(self.options, prompter, observer, self.limits, sharing)
        loading = asyncio.create_task(load_library(), name="load-library")
        reached = await reach(self.options, observer, self.limits)
        try:
            await loading
            from xpm_remote.link.asyncssh_engine.connection import open_connection
            from xpm_remote.link.asyncssh_engine.keys import OpenedKeys

            self._opened = self._opened or OpenedKeys()
            asking = InTurn(prompter or TerminalPrompter(), self._turn)
            connection = await open_connection(
                self.options, asking, observer, self._opened, self.limits, reached
            )
            observer.enter(Step.SHELL, host)
            return connection
        except NegotiationError as error:
            if not await is_agreed_by_openssh(self.options, error):
                raise
            if self.engine is not SshEngine.AUTO:
                error.hint = "the program ssh can connect: --ssh-engine openssh"
                raise
            what = KINDS[error.keyword]
            self._forced = EngineChoice(SshEngine.OPENSSH, f"asyncssh has no {what} of the host's")
        finally:
            reached.close()
        return await self._connect(prompter, observer)


async def describe_link(options: ConnectOptions, engine: SshEngine) -> Facts:
    """Return the engine and the destination of a connection, without connecting.

    Raises:
        OptionError: An option, or a config file, has a value that cannot be used.
    """
    choice = await choose_engine(options, engine)
    if choice.engine is SshEngine.ASYNCSSH:
        await load_library()
        from xpm_remote.link.asyncssh_engine.connection import describe_connection

        facts: Facts = await describe_connection(options)
    else:
        facts = _describe(options, await read_for_openssh(require_ssh(), located(options)))
    return {**facts, "engine": choice.engine.value, "because": choice.why}


async def choose_engine(options: ConnectOptions, engine: SshEngine) -> EngineChoice:
    """Return the engine for a connection, and why.

    Raises:
        OptionError: The program ``ssh`` is needed and missing, or it cannot use an option or a config file.
    """
    if engine is SshEngine.ASYNCSSH:
        return EngineChoice(engine, "it is the default")
    if engine is SshEngine.OPENSSH:
        require_ssh()
        return EngineChoice(engine, "it is asked for")
    await load_library()
    from xpm_remote.link.asyncssh_engine.algorithms import library_abilities

    needed = needed_by_options(options, library_abilities().lacking)
    if needed:
        require_ssh()
        return EngineChoice(SshEngine.OPENSSH, needed)
    program = await find_reader()
    if program is None:
        why = "there is no program ssh on this machine that could read the config files"
        return EngineChoice(SshEngine.ASYNCSSH, why)
    options = located(options)
    found = await read_route(program, options, library_abilities())
    needed = needed_by_config(found.unsupported)
    if not needed and found.config.has_control_path and await is_master_alive(program, options):
        needed = "a ControlMaster that is alive leads to the host"
    if needed:
        return EngineChoice(SshEngine.OPENSSH, needed)
    return EngineChoice(SshEngine.ASYNCSSH, "no ControlMaster is alive, and nothing asks for ssh")


async def is_agreed_by_openssh(options: ConnectOptions, error: NegotiationError) -> bool:
    """Return whether the program ssh offers an algorithm that a host has and asyncssh does not offer."""
    program = await find_reader()
    if program is None or not error.keyword:
        return False
    config = await read_for_openssh(program, located(options))
    offered = (config.get(error.keyword) or "").split(",")
    return any(each in error.theirs for each in offered)


def needed_by_options(options: ConnectOptions, lacking: frozenset[str]) -> str | None:
    """Return why the options need the program ``ssh``; None if they do not.

    Args:
        options: The options as given.
        lacking: Keywords that asyncssh honours only with a package that is not installed.
    """
    if options.beyond:
        return f"asyncssh cannot honour {', '.join(options.beyond)}"
    gssapi = ", ".join(n for n in sorted(NEEDS_GSSAPI & lacking) if options.get(n) == "yes")
    return f"asyncssh cannot honour {gssapi} without the package gssapi" if gssapi else None


def needed_by_config(unsupported: Iterable[UnsupportedSetting]) -> str | None:
    """Return why settings of config files that asyncssh cannot honour need ``ssh``; None if they do not."""
    needed = [f"{each.keyword} ({each.place})" for each in unsupported if each.is_needed]
    return f"asyncssh cannot honour {', '.join(dict.fromkeys(needed))}" if needed else None


def _describe(options: ConnectOptions, config: SshConfig) -> Facts:
    jumps = config.get("ProxyJump")
    interval = config.get("ServerAliveInterval") if config.is_keepalive_set else str(KEEPALIVE)
    strict = config.get("StrictHostKeyChecking") or ""
    files = f"{config.get('UserKnownHostsFile')} {config.get('GlobalKnownHostsFile')}"
    return {
        "host": config.get("Hostname") or options.host,
        "port": int(config.get("Port") or 0),
        "user": config.get("User") or "",
        "jump hosts": jumps.split(",") if jumps else [],
        "keys": list(config.get_all("IdentityFile")),
        "host keys": files.split(),
        "checking": {"true": "yes", "false": "no"}.get(strict, strict),
        "keepalive": f"{interval} s, {config.get('ServerAliveCountMax')} times",
    }
