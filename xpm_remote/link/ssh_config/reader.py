"""The configuration of a host, read by the program ``ssh``.

OpenSSH reads its own files, so Include, Match, tokens, times, quotes and canonical names mean what they mean to ssh.
Without the program the library's parser reads them, which supports less.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from xpm_remote.errors import OptionError
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.ssh_config.effective import (
    MAX_JUMPS,
    Abilities,
    HostReading,
    effective_options,
    is_decided,
    is_read_twice,
    jumps_of,
    needs_probe,
    needs_tokens,
    next_hop,
)
from xpm_remote.link.ssh_config.files import configured, home, located, read_mentions
from xpm_remote.link.ssh_config.text import (
    Dump,
    Mention,
    SshConfig,
    dump_arguments,
    parse_dump,
    probe_text,
    read_tokens,
    token_arguments,
)
from xpm_remote.link.ssh_config.unsupported import (
    UnsupportedSetting,
    find_unsupported,
    unknown_algorithms,
)
from xpm_remote.waiting import wait_within

READ_TIMEOUT = 60.0
"""Seconds for ssh to read its config files, which may run commands of ``Match exec`` and look up names."""


class HostConfig(NamedTuple):
    """The values of options and config files for a host.

    Attributes:
        options: All of them, as options that need no config file.
        unsupported: The settings that are not honoured.
    """

    options: ConnectOptions
    unsupported: list[UnsupportedSetting]


class OpensshConfig(NamedTuple):
    """The configuration of a host and of its jump hosts, for the program ``ssh``.

    Attributes:
        config: The configuration of the host.
        unsupported: The settings of any of the hosts that the library would not honour.
    """

    config: SshConfig
    unsupported: list[UnsupportedSetting]


async def read_host(options: ConnectOptions) -> HostReading | None:
    """Return what ssh reads of a host's configuration, before it is known what the library can do of it.

    None if there is no ssh that can.

    Raises:
        OptionError: As of ``read_config``.
    """
    program = await find_reader()
    return None if program is None else await _read(program, located(options), is_whole=False)


async def read_config(
    options: ConnectOptions, abilities: Abilities, reading: HostReading | None = None
) -> HostConfig | None:
    """Return the configuration of a host as ssh reads it; None if there is no ssh that can.

    Args:
        options: The host and the options of the connection.
        abilities: The abilities of the library.
        reading: What ``read_host`` has returned, if it was called.

    Raises:
        OptionError: A file, or an option, has a value that cannot be used; ssh's message says where.
    """
    program = await find_reader()
    if program is None:
        return None
    options = located(options)
    reading = reading or await _read(program, options, is_whole=False)
    reading = _able(reading, options, abilities)
    unsupported = _unsupported(options, reading)
    if needs_tokens(reading.dump):
        asked = dump_arguments(options, token_arguments())
        tokens = read_tokens(await _ask(program, asked, options.host))
        reading = replace(reading, tokens=tokens)
    return HostConfig(effective_options(options, reading), unsupported)


async def read_for_openssh(program: str, options: ConnectOptions) -> SshConfig:
    """Return the configuration with which ssh itself would connect.

    Args:
        program: The path of ssh.
        options: The host and the options of the connection, with an absolute ``config_file``.

    Raises:
        OptionError: A file, or an option, has a value that ssh cannot use.
    """
    reading = await _read(program, options, is_whole=True)
    return _config(options, reading)


async def read_jump_hosts(
    program: str, options: ConnectOptions, config: SshConfig
) -> list[SshConfig]:
    """Return the configurations with which ssh itself reaches the jump hosts of a host, the last one first.

    Args:
        program: The path of ssh.
        options: The host's options, with an absolute ``config_file``.
        config: The host's configuration.

    Raises:
        OptionError: A file has a value that ssh cannot use.
    """
    found: list[SshConfig] = []
    dump = config.values
    while len(found) < MAX_JUMPS and (hop := next_hop(jumps_of(dump), options)) is not None:
        dump = (await _read(program, hop, is_whole=True)).dump
        found.append(SshConfig(dump))
    return found


async def read_route(program: str, options: ConnectOptions, abilities: Abilities) -> OpensshConfig:
    """Return the configuration with which ssh would connect, and what of it the library would not honour.

    Args:
        program: The path of an ssh that has ``-G``.
        options: The options that the library honours, with an absolute ``config_file``.
        abilities: The abilities of the library.

    Raises:
        OptionError: A file, or an option, has a value that ssh cannot use.
    """
    reading = _able(await _read(program, options, is_whole=False), options, abilities)
    unsupported = _unsupported(options, reading)
    config = _config(options, reading)
    for _ in range(MAX_JUMPS):
        hop = next_hop(jumps_of(reading.dump), options)
        if hop is None:
            break
        reading = _able(await _read(program, hop, is_whole=False), hop, abilities)
        unsupported += _unsupported(hop, reading)
    return OpensshConfig(config, list(dict.fromkeys(unsupported)))


def _config(options: ConnectOptions, reading: HostReading) -> SshConfig:
    return SshConfig(
        reading.dump,
        is_decided("ServerAliveInterval", options, reading),
        reading.dump.get("compression") == ("yes",) or is_decided("Compression", options, reading),
    )


async def find_reader() -> str | None:
    """Return the path of an ssh that has ``-G``; None if there is none."""
    program = shutil.which(PROGRAM)
    return None if program is None or await _defaults(program) is None else program


async def _read(program: str, options: ConnectOptions, *, is_whole: bool) -> HostReading:
    """Read a host's configuration: by the options that the library honours, or by all of them."""
    mentions = read_mentions(configured(options.config_file))
    dump, defaults = await asyncio.gather(
        _ask(program, dump_arguments(options, is_whole=is_whole), options.host), _defaults(program)
    )
    return HostReading(
        dump,
        defaults or {},
        probed=await _probe(program, options, dump, mentions, is_whole=is_whole),
        mentions=mentions,
        home=str(home()),
        local_user=pwd.getpwuid(os.getuid()).pw_name,
        uid=os.getuid(),
        local_host=os.uname().nodename,
        environ=os.environ,
    )


def _able(reading: HostReading, options: ConnectOptions, abilities: Abilities) -> HostReading:
    """Return a reading with what the library can do."""
    lacking = abilities.lacking - {name for name, _ in options.keywords}
    return replace(reading, algorithms=abilities.algorithms, lacking=lacking)


def _unsupported(options: ConnectOptions, reading: HostReading) -> list[UnsupportedSetting]:
    found = find_unsupported(
        options, reading.dump, reading.defaults, reading.mentions, reading.lacking
    )
    return [*found, *unknown_algorithms(options, reading)]


async def _probe(
    program: str,
    options: ConnectOptions,
    dump: Dump,
    mentions: Sequence[Mention],
    *,
    is_whole: bool,
) -> Dump | None:
    """Ask ssh once more, with marked values after the files, if a file may set what looks like a default."""
    if not needs_probe(options, mentions):
        return None
    twice = is_read_twice(dump, mentions)
    with _temporary(probe_text(configured(options.config_file), is_read_twice=twice)) as file:
        asked = dump_arguments(replace(options, config_file=file), is_whole=is_whole)
        return await _ask(program, asked, options.host)


_known_defaults: dict[str, Dump] = {}


async def _defaults(program: str) -> Dump | None:
    """Return the answer of ``ssh -G`` without options and files; None if the program is no OpenSSH with ``-G``."""
    if program not in _known_defaults:
        status, output, _ = await _run(program, ["-G", "-F", "none", "localhost"])
        dump = parse_dump(output)
        if status or "hostname" not in dump:
            return None
        _known_defaults[program] = dump
    return _known_defaults[program]


async def _ask(program: str, arguments: Sequence[str], host: str) -> Dump:
    status, output, errors = await _run(program, arguments)
    if status:
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        counts = ("bad configuration options", "option")  # the ends of lines that only count errors
        said = [line for line in lines if not line.endswith(counts)] or lines
        words = " | ".join(said) or "ssh -G fails without a message"
        raise OptionError(f"the SSH configuration of {host}: {words}")
    return parse_dump(output)


async def _run(program: str, arguments: Sequence[str]) -> tuple[int, str, str]:
    done = await run_ssh(program, arguments, READ_TIMEOUT)
    if done is None:
        raise OptionError(
            f"ssh has not read its config files within {READ_TIMEOUT:g} s",
            "look for a Match exec that does not end, or names that do not resolve",
        )
    return done


@contextlib.contextmanager
def _temporary(text: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="xpm-remote-") as directory:
        path = Path(directory) / "config"
        path.write_text(text)
        yield str(path)


PROGRAM = "ssh"


def require_ssh() -> str:
    """Return the path of the program ``ssh``.

    Raises:
        OptionError: There is none.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise OptionError(
            "the SSH engine openssh needs the program ssh, which is not in the PATH of this machine",
            "install OpenSSH's client, or use --ssh-engine asyncssh",
        )
    return program


async def run_ssh(
    program: str, arguments: Sequence[str], timeout: float
) -> tuple[int, str, str] | None:
    """Run the program; return its status, stdout and stderr, or None if it did not end in time."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        start_new_session=True,
    )
    try:
        output, errors = await wait_within(process.communicate(), timeout)
    except (TimeoutError, asyncio.TimeoutError):
        return None
    finally:
        if process.returncode is None:
            # And its children, which would keep the pipes open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, os.fsdecode(output), errors.decode("utf-8", "backslashreplace")
