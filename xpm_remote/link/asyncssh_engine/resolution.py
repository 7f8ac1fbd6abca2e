"""The values of options and config files for asyncssh, and of the keywords that its parser does not honour."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import logging
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import asyncssh
from asyncssh.config import SSHClientConfig, SSHConfig

from xpm_remote.errors import OptionError
from xpm_remote.link.asyncssh_engine.algorithms import algorithm_arguments, library_abilities
from xpm_remote.link.asyncssh_engine.sockets import fill_in
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.destination import parse_jumps
from xpm_remote.link.options.keywords import BY_NAME
from xpm_remote.link.ssh_config.effective import HostReading, next_hop
from xpm_remote.link.ssh_config.files import config_files, configured, read_mentions, with_home
from xpm_remote.link.ssh_config.reader import read_config
from xpm_remote.link.ssh_config.text import Dump
from xpm_remote.link.ssh_config.unsupported import UnsupportedSetting, find_unsupported

DEFAULT_PROMPTS = 3
"""Attempts at a password, as in ssh."""

_WANTED = ("BatchMode", "HashKnownHosts", "NumberOfPasswordPrompts", "StrictHostKeyChecking")


@dataclass(frozen=True)
class OwnKeywords:
    """The keywords about questions to a person.

    Attributes:
        is_batch: Whether questions are forbidden.
        prompts: The number of attempts at a password or an interactive login.
        strict: ``StrictHostKeyChecking``: ``yes``, ``ask``, ``accept-new`` or ``no``.
        hash_names: Whether new entries of known_hosts hide the name.
    """

    is_batch: bool = False
    prompts: int = DEFAULT_PROMPTS
    strict: str = "ask"
    hash_names: bool = False


def _set_line(config: SSHConfig, option: str, args: list[str]) -> None:
    config._options.setdefault(option, " ".join(args))  # noqa: SLF001 - as its own handlers do
    args.clear()


class _Reader(SSHClientConfig):
    """The library's parser, with its ``Host``, ``Match`` and ``Include``, for the keywords that it ignores."""

    # Its interface has no other way to add a keyword; that it has this table is tested.
    _handlers = {  # noqa: RUF012 - declared by the library
        **{name: (keyword.name, _set_line) for name, keyword in BY_NAME.items()},
        **SSHClientConfig._handlers,  # noqa: SLF001
        **{name.lower(): (name, SSHConfig._set_string) for name in _WANTED},  # noqa: SLF001
    }


async def read_own_keywords(options: ConnectOptions, files: list[str]) -> OwnKeywords:
    """Return the keywords for a host: from the options first, then from the config files in their order.

    Raises:
        OptionError: A config file has a value that ssh would not accept.
    """
    config = await asyncio.to_thread(_read, options, files)
    values = {name: _value(name, options, config) for name in _WANTED}
    prompts = values["NumberOfPasswordPrompts"]
    return OwnKeywords(
        is_batch=values["BatchMode"] == "yes",
        prompts=DEFAULT_PROMPTS if prompts is None else int(prompts),
        strict=values["StrictHostKeyChecking"] or "ask",
        hash_names=values["HashKnownHosts"] == "yes",
    )


async def read_ignored(options: ConnectOptions, files: list[str]) -> Dump:
    """Return the keywords that config files set for a host and the library's parser ignores."""
    config = await asyncio.to_thread(_read, options, files)
    names = {keyword.name for keyword in BY_NAME.values()}
    names -= {name for name, _ in SSHClientConfig._handlers.values()}  # noqa: SLF001
    found = {name: config.get(name) for name in sorted(names)}
    return {name.lower(): (str(value),) for name, value in found.items() if value is not None}


def _read(options: ConnectOptions, files: list[str]) -> SSHConfig:
    config = _parse(options, files, is_final=False)
    return _parse(options, files, is_final=True) if config.has_match_final() else config


def _parse(options: ConnectOptions, files: list[str], *, is_final: bool) -> SSHConfig:
    # To the library an empty tuple is a value that is not given.
    user, port = options.user or (), options.port or ()
    canonical = False
    return _Reader.load(
        None, files, False, canonical, is_final, getpass.getuser(), user, options.host, port
    )


def _value(name: str, options: ConnectOptions, config: SSHConfig) -> str | None:
    given = options.get(name)
    found = config.get(name)
    if given is not None or found is None:
        return given
    try:
        return BY_NAME[name.lower()].value.canonical([str(found)])
    except ValueError as error:
        raise OptionError(f"{name} in a config file of {options.host}: {error}") from error


CONFIG_ERRORS = (asyncssh.ConfigParseError, ValueError)

log = logging.getLogger(__name__)
_reported: set[UnsupportedSetting] = set()


@dataclass(frozen=True)
class Resolution:
    """The options of a host after the config files have been read.

    Attributes:
        given: The options as given.
        options: The same, with the config files' values if ssh has read them.
        library: The library's values.
        arguments: The library's arguments for them.
        own: The keywords that this package honours itself.
        unsupported: The settings that are not honoured.
        is_jump: Whether it leads to another host.
    """

    given: ConnectOptions
    options: ConnectOptions
    library: asyncssh.SSHClientConnectionOptions
    arguments: dict[str, Any]
    own: OwnKeywords
    unsupported: list[UnsupportedSetting]
    is_jump: bool = False

    @property
    def where(self) -> str:
        """The host and port."""
        return f"{self.library.host} port {self.library.port}"

    @property
    def named(self) -> str:
        """The host and port for messages; a jump host by the name that options or config files have for it."""
        if not self.is_jump:
            return self.where
        name = self.options.host
        return (
            f"the jump host {self.where if name == self.library.host else f'{name} ({self.where})'}"
        )

    @property
    def jump(self) -> ConnectOptions | None:
        """The options of the last jump host, which may have others before it; None if there is none."""
        # As in ssh -J, the given options are those of the target, not of the jump hosts.
        return next_hop(parse_jumps(cast("str", self.library.tunnel or "none")), self.given)

    def config(self, keyword: str, default: object = None) -> object:
        """Return the library's value of one of its keywords."""
        return self.library.config.get(keyword, default)

    @property
    def identity_files(self) -> list[str] | None:
        """The private keys to try; None: the default ones."""
        return cast("list[str] | None", self.config("IdentityFile"))

    @property
    def agent(self) -> str | None:
        """The socket of the agent that holds keys; None if none is used."""
        # Resolved without keys, the library names no agent.
        path = self.config("IdentityAgent", os.environ.get("SSH_AUTH_SOCK"))
        return with_home(str(path)) if path else None

    @property
    def certificates(self) -> list[str]:
        """The certificates to try besides those next to the keys."""
        return cast("list[str]", self.config("CertificateFile", []))

    @property
    def proxy_command(self) -> str | None:
        """The command that carries the connection, with its tokens expanded; None if there is none.

        The library would expand the tokens of an option before it has read the config files.
        """
        given = self.options.get("ProxyCommand")
        if given is None:
            return cast("str | None", self.config("ProxyCommand"))
        tokens = {
            "%": "%",
            "h": self.library.host,
            "n": self.options.host,
            "p": str(self.library.port),
            "r": self.library.username,
        }
        return None if given == "none" else fill_in(given, tokens)


@contextlib.asynccontextmanager
async def resolve(
    options: ConnectOptions, reading: HostReading | None = None
) -> AsyncIterator[Resolution]:
    """Yield the resolved options of a host; the library may read their files until the end of the block.

    Args:
        options: The options as given.
        reading: What ssh has read of them and of the config files before; None: it is asked now.

    Raises:
        OptionError: An option, or a config file, has a value that cannot be used.
    """
    config = await read_config(options, library_abilities(), reading)
    effective = options if config is None else config.options
    with config_files(effective) as files:
        arguments: dict[str, Any] = {"config": files}
        if effective.user is not None:
            arguments["username"] = effective.user
        if effective.port is not None:
            arguments["port"] = effective.port
        library = await _read_by_library(effective, arguments)
        try:
            own = await read_own_keywords(effective, files)
            unsupported = await _ignored(options) if config is None else config.unsupported
        except CONFIG_ERRORS as error:
            raise OptionError(f"the SSH options of {options.host}: {error}") from error
        arguments |= algorithm_arguments(effective, library)
        yield Resolution(options, effective, library, arguments, own, unsupported)


def report_once(found: Iterable[UnsupportedSetting]) -> None:
    """Log a warning for each setting that is not honoured, once in the life of this process."""
    for each in found:
        if each not in _reported:
            _reported.add(each)
            log.warning("%s", each)


async def _read_by_library(
    options: ConnectOptions, arguments: dict[str, Any]
) -> asyncssh.SSHClientConnectionOptions:
    """Return the library's values for a host, from the options and the remaining config files."""
    try:
        # Declared as Any by the library.
        resolved: asyncssh.SSHClientConnectionOptions = (
            await asyncssh.SSHClientConnectionOptions.construct(
                host=options.host, client_keys=None, **arguments
            )
        )
    except CONFIG_ERRORS as error:
        raise OptionError(f"the SSH options of {options.host}: {error}") from error
    except OSError as error:
        raise OptionError(f"cannot read {error.filename}: {error.strerror}") from error
    return resolved


async def _ignored(options: ConnectOptions) -> list[UnsupportedSetting]:
    files = configured(options.config_file)
    dump = await read_ignored(replace(options, keywords=()), files)
    return find_unsupported(options, dump, {}, read_mentions(files), library_abilities().lacking)
