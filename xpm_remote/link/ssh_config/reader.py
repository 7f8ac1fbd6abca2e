"""What config files make of a host, said by the program ``ssh`` itself, where there is one.

OpenSSH reads its own files: Include, Match, tokens, times, quotes and canonical names then mean what they mean to
ssh, by construction. Without the program the library's parser reads them; it knows less.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
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
"""Seconds for ssh to read its config files: commands of ``Match exec`` and look-ups of names are a part of that."""


class HostConfig(NamedTuple):
    """What options and config files come to for a host.

    Attributes:
        options: All of it, as options that need no config file.
        unsupported: What is set there and will not be honoured.
    """

    options: ConnectOptions
    unsupported: list[UnsupportedSetting]


class OpensshConfig(NamedTuple):
    """What ssh makes of a host and of those that lead to it.

    Attributes:
        config: What it says of the host.
        unsupported: What the library would not honour, of any of them.
    """

    config: SshConfig
    unsupported: list[UnsupportedSetting]


async def read_config(options: ConnectOptions, abilities: Abilities) -> HostConfig | None:
    """Have ssh read the config files for a host; None where there is no ssh that could.

    Args:
        options: Where to connect to, and how.
        abilities: What the library can do with what is found.

    Raises:
        OptionError: A file, or an option, holds something that cannot be used; ssh's own words say where.
    """
    program = await find_reader()
    if program is None:
        return None
    options = located(options)
    reading = await _read(program, options, abilities)
    unsupported = _unsupported(options, reading)
    reading = replace(reading, tokens=await _tokens(program, options, reading.dump))
    return HostConfig(effective_options(options, reading), unsupported)


async def read_for_openssh(program: str, options: ConnectOptions) -> SshConfig:
    """Have ssh say what it would do itself, by all options, config files and its defaults.

    Args:
        program: The path of ssh.
        options: Where to connect to, and how; ``config_file`` from the root on.

    Raises:
        OptionError: A file, or an option, holds something that ssh cannot use.
    """
    reading = await _read(program, options)
    return SshConfig(reading.dump, is_decided("ServerAliveInterval", options, reading))


async def read_way(program: str, options: ConnectOptions, abilities: Abilities) -> OpensshConfig:
    """Have ssh say what it would do, and see what the library would not honour of the config files.

    Args:
        program: The path of an ssh that can tell.
        options: Those that the library honours; ``config_file`` from the root on.
        abilities: What the library can do.

    Raises:
        OptionError: A file, or an option, holds something that ssh cannot use.
    """
    reading = await _read(program, options, abilities)
    unsupported = _unsupported(options, reading)
    config = SshConfig(reading.dump, is_decided("ServerAliveInterval", options, reading))
    for _ in range(MAX_JUMPS):
        hop = next_hop(jumps_of(reading.dump), options)
        if hop is None:
            break
        reading = await _read(program, hop, abilities)
        unsupported += _unsupported(hop, reading)
    return OpensshConfig(config, list(dict.fromkeys(unsupported)))


async def find_reader() -> str | None:
    """Give the path of an ssh that can say what it makes of a host; None if there is none."""
    program = find_ssh()
    return None if program is None or await _defaults(program) is None else program


async def _read(
    program: str, options: ConnectOptions, abilities: Abilities | None = None
) -> HostReading:
    """Ask ssh about a host: of the options that the library honours, or of all where its abilities do not matter."""
    is_whole = abilities is None
    algorithms, lacking = abilities or Abilities({}, frozenset())
    mentions = read_mentions(configured(options.config_file))
    dump = await _ask(program, dump_arguments(options, is_whole=is_whole), options.host)
    return HostReading(
        dump,
        await _defaults(program) or {},
        probed=await _probe(program, options, dump, mentions, is_whole=is_whole),
        mentions=mentions,
        home=str(home()),
        local_user=pwd.getpwuid(os.getuid()).pw_name,
        uid=os.getuid(),
        local_host=platform.node(),
        environ=os.environ,
        algorithms=algorithms,
        lacking=lacking - {name for name, _ in options.keywords},
    )


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
    """Ask once more, with values of ours after the files, where a file may set what cannot be told from a default."""
    if not needs_probe(options, mentions):
        return None
    twice = is_read_twice(dump, mentions)
    with _temporary(probe_text(configured(options.config_file), is_read_twice=twice)) as file:
        asked = dump_arguments(replace(options, config_file=file), is_whole=is_whole)
        return await _ask(program, asked, options.host)


async def _tokens(program: str, options: ConnectOptions, dump: Dump) -> dict[str, str]:
    if not needs_tokens(dump):
        return {}
    asked = dump_arguments(options, token_arguments())
    return dict(read_tokens(await _ask(program, asked, options.host)))


_known_defaults: dict[str, Dump] = {}


async def _defaults(program: str) -> Dump | None:
    """Give what a program says of a host of which nobody says anything; None when it is no OpenSSH that can."""
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
        raise OptionError(f"the SSH configuration of {host}: {_complaint(errors)}")
    return parse_dump(output)


async def _run(program: str, arguments: Sequence[str]) -> tuple[int, str, str]:
    done = await run_ssh(program, arguments, READ_TIMEOUT)
    if done is None:
        raise OptionError(
            f"ssh has not read its config files within {READ_TIMEOUT:g} s",
            "look for a Match exec that does not end, or names that do not resolve",
        )
    return done


def _complaint(errors: str) -> str:
    """Give ssh's words, without the line that only counts them."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    counted = [line for line in lines if not line.endswith(("bad configuration options", "option"))]
    return " | ".join(counted or lines) or "ssh -G fails without a word"


@contextlib.contextmanager
def _temporary(text: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="xpm-remote-") as directory:
        path = Path(directory) / "config"
        path.write_text(text)
        yield str(path)


PROGRAM = "ssh"


def find_ssh() -> str | None:
    """Give the path of the program; None if there is none."""
    return shutil.which(PROGRAM)


def require_ssh() -> str:
    """Give the path of the program.

    Raises:
        OptionError: There is none.
    """
    program = find_ssh()
    if program is None:
        raise OptionError(
            "the SSH engine openssh needs the program ssh, which is not in the PATH of this machine",
            "install OpenSSH's client, or use --ssh-engine asyncssh",
        )
    return program


async def run_ssh(
    program: str, arguments: Sequence[str], timeout: float
) -> tuple[int, str, str] | None:
    """Run the program; give its status, its stdout and its stderr, or None if it did not end in time."""
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
            # With what it has started, which would keep the pipes open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, os.fsdecode(output), errors.decode("utf-8", "backslashreplace")
