"""Which engine makes a connection, and why; what is known of a connection before it is made."""

from __future__ import annotations

import logging

from asyncssh.gss import gss_available

from xpm_remote.link.config.files import located
from xpm_remote.link.config.reader import find_reader, read_for_openssh, read_way
from xpm_remote.link.library.connection import describe_connection
from xpm_remote.link.openssh.arguments import KEEPALIVE, SshConfig
from xpm_remote.link.openssh.needs import EngineChoice, needed_by_config, needed_by_options
from xpm_remote.link.openssh.program import is_master_alive, require_ssh
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.settings.schema import SshEngine

log = logging.getLogger(__name__)

Facts = dict[str, str | int | list[str]]

_told: set[tuple[str, EngineChoice]] = set()


async def choose_engine(options: ConnectOptions, engine: SshEngine) -> EngineChoice:
    """Choose what makes a connection, and say so in the log; for everybody, once, if the choice was ours to make.

    Raises:
        OptionError: The program ``ssh`` is needed and not there, or it cannot use an option or a config file.
    """
    choice = await _choose(options, engine)
    is_new = engine is not choice.engine and (options.host, choice) not in _told
    is_news = is_new and choice.engine is SshEngine.OPENSSH
    _told.add((options.host, choice))
    level = logging.INFO if is_news else logging.DEBUG
    said = (options.host, choice.engine.value, choice.why)
    log.log(level, "the SSH engine for %s is %s: %s", *said)
    return choice


async def describe_link(options: ConnectOptions, engine: SshEngine) -> Facts:
    """Say what would make a connection, and where that would lead; connects to nothing.

    Raises:
        OptionError: An option, or a config file, holds something that cannot be used.
    """
    choice = await _choose(options, engine)
    if choice.engine is SshEngine.ASYNCSSH:
        facts: Facts = await describe_connection(options)
    else:
        facts = _describe(options, await read_for_openssh(require_ssh(), located(options)))
    return {**facts, "engine": choice.engine.value, "because": choice.why}


async def _choose(options: ConnectOptions, engine: SshEngine) -> EngineChoice:
    if engine is SshEngine.ASYNCSSH:
        return EngineChoice(engine, "it is the default")
    if engine is SshEngine.OPENSSH:
        require_ssh()
        return EngineChoice(engine, "it is asked for")
    by_options = needed_by_options(options, has_gssapi=gss_available)
    if by_options:
        require_ssh()
        return EngineChoice(SshEngine.OPENSSH, by_options)
    program = await find_reader()
    if program is None:
        why = "there is no program ssh on this machine that could tell what config files say"
        return EngineChoice(SshEngine.ASYNCSSH, why)
    by_config = await _needed(program, located(options))
    if by_config:
        return EngineChoice(SshEngine.OPENSSH, by_config)
    return EngineChoice(SshEngine.ASYNCSSH, "no ControlMaster is alive, and nothing asks for ssh")


async def _needed(program: str, options: ConnectOptions) -> str | None:
    """Say why a connection needs the program; None if it does not."""
    way = await read_way(program, options)
    by_config = needed_by_config(way.unsupported)
    if by_config:
        return by_config
    if way.config.has_control_path and await is_master_alive(program, options):
        return "a ControlMaster that is alive leads to the host"
    return None


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
