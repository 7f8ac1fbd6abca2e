"""The keywords that are ours to honour, also where config files say them: the library's parser passes over them."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import dataclass

from asyncssh.config import SSHClientConfig, SSHConfig

from xpm_remote.errors import OptionError
from xpm_remote.link.config.dump import Dump
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.keywords import BY_NAME

DEFAULT_PROMPTS = 3
"""Attempts at a password, as with ssh."""

_WANTED = ("BatchMode", "HashKnownHosts", "NumberOfPasswordPrompts", "StrictHostKeyChecking")


@dataclass(frozen=True)
class OwnKeywords:
    """What options and config files say of asking a person.

    Attributes:
        is_batch: Whether nobody may be asked.
        prompts: How often a password, or all questions of an interactive login, are asked.
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
    """The library's parser, with its ``Host``, ``Match`` and ``Include``, for the keywords that it passes over."""

    # Nowhere else in its interface can a keyword be added; that it has this table is tested.
    _handlers = {  # noqa: RUF012 - declared by the library
        **{name: (keyword.name, _set_line) for name, keyword in BY_NAME.items()},
        **SSHClientConfig._handlers,  # noqa: SLF001
        **{name.lower(): (name, SSHConfig._set_string) for name in _WANTED},  # noqa: SLF001
    }


async def read_own_keywords(options: ConnectOptions, files: list[str]) -> OwnKeywords:
    """Say what counts for a host: options first, then the config files in their order.

    Raises:
        OptionError: A config file has a value that ssh would not take.
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


async def read_passed_over(options: ConnectOptions, files: list[str]) -> Dump:
    """Give the keywords that config files set for a host and that the library's parser passes over."""
    config = await asyncio.to_thread(_read, options, files)
    names = {keyword.name for keyword in BY_NAME.values()}
    names -= {name for name, _ in SSHClientConfig._handlers.values()}  # noqa: SLF001
    found = {name: config.get(name) for name in sorted(names)}
    return {name.lower(): (str(value),) for name, value in found.items() if value is not None}


def _read(options: ConnectOptions, files: list[str]) -> SSHConfig:
    config = _parse(options, files, is_final=False)
    return _parse(options, files, is_final=True) if config.has_match_final() else config


def _parse(options: ConnectOptions, files: list[str], *, is_final: bool) -> SSHConfig:
    # An empty tuple is the library's word for a value that is not given.
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
