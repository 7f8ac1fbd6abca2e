"""What options and config files say of a host, made ready for the library: the first stage of a connection."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import asyncssh

from xpm_remote.errors import OptionError
from xpm_remote.link.config.effective import next_hop
from xpm_remote.link.config.files import config_files, configured, read_mentions
from xpm_remote.link.config.own_keywords import OwnKeywords, read_own_keywords, read_passed_over
from xpm_remote.link.config.reader import lacking_keywords, read_config
from xpm_remote.link.config.unsupported import UnsupportedSetting, find_unsupported
from xpm_remote.link.library.proxy_command import fill_in
from xpm_remote.link.options.connect_options import ConnectOptions, parse_jumps

CONFIG_ERRORS = (asyncssh.ConfigParseError, ValueError)

log = logging.getLogger(__name__)
_reported: set[UnsupportedSetting] = set()


@dataclass(frozen=True)
class Resolution:
    """A host with all that is said of it.

    Attributes:
        given: The options as they were given.
        options: The same with what the config files say, where ssh has read them.
        library: What the library makes of that.
        arguments: The library's arguments for it.
        own: What is ours to honour.
        unsupported: What nobody honours.
    """

    given: ConnectOptions
    options: ConnectOptions
    library: asyncssh.SSHClientConnectionOptions
    arguments: dict[str, Any]
    own: OwnKeywords
    unsupported: list[UnsupportedSetting]

    @property
    def where(self) -> str:
        """The host and port that are connected to, for a message."""
        return f"{self.library.host} port {self.library.port}"

    @property
    def jump(self) -> ConnectOptions | None:
        """The options for the jump host next to this host, which itself may have others before it."""
        # As with ssh -J: the options given for the target are not those of the hosts on the way.
        return next_hop(parse_jumps(cast("str", self.library.tunnel or "none")), self.given)

    def config(self, keyword: str, default: object = None) -> object:
        """Give what the library has read for one of its keywords."""
        return self.library.config.get(keyword, default)

    @property
    def identity_files(self) -> list[str] | None:
        """The private keys to try; None leaves it to the default ones."""
        return cast("list[str] | None", self.config("IdentityFile"))

    @property
    def certificates(self) -> list[str]:
        """The certificates to try besides those that lie next to the keys."""
        return cast("list[str]", self.config("CertificateFile", []))

    @property
    def proxy_command(self) -> str | None:
        """The command that carries the connection, its tokens filled in; None where none does.

        For one that is given as an option the library would do that before it has read the config files.
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
async def resolve(options: ConnectOptions) -> AsyncIterator[Resolution]:
    """Say what counts for a host; the library may read it until the end of the block.

    Raises:
        OptionError: An option, or a config file, holds something that cannot be used.
    """
    config = await read_config(options)
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
            unsupported = await _passed_over(options) if config is None else config.unsupported
        except CONFIG_ERRORS as error:
            raise OptionError(f"the SSH options of {options.host}: {error}") from error
        yield Resolution(options, effective, library, arguments, own, unsupported)


def report_once(found: Iterable[UnsupportedSetting]) -> None:
    """Warn of what is not honoured, of each setting once however often we connect."""
    for each in found:
        if each not in _reported:
            _reported.add(each)
            log.warning("%s", each)


async def _read_by_library(
    options: ConnectOptions, arguments: dict[str, Any]
) -> asyncssh.SSHClientConnectionOptions:
    """Let the library read the options, and the config files that are left, for this host."""
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


async def _passed_over(options: ConnectOptions) -> list[UnsupportedSetting]:
    files = configured(options.config_file)
    dump = await read_passed_over(replace(options, keywords=()), files)
    return find_unsupported(options, dump, {}, read_mentions(files), lacking_keywords())
