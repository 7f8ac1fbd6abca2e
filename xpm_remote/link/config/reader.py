"""What config files make of a host, said by the program ``ssh`` itself, where there is one.

OpenSSH reads its own files: Include, Match, tokens, times, quotes and canonical names then mean what they mean to
ssh, by construction. Without the program the library's parser reads them; it knows less.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import pwd
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from asyncssh.encryption import get_encryption_algs
from asyncssh.gss import gss_available
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.pkcs11 import pkcs11_available
from asyncssh.public_key import get_certificate_algs, get_public_key_algs

from xpm_remote.errors import OptionError
from xpm_remote.link.config.dump import (
    Dump,
    dump_arguments,
    parse_dump,
    probe_text,
    read_tokens,
    token_arguments,
)
from xpm_remote.link.config.effective import (
    MAX_JUMPS,
    Reading,
    effective_options,
    is_decided,
    is_read_twice,
    jumps_of,
    needs_probe,
    needs_tokens,
    next_hop,
)
from xpm_remote.link.config.files import configured, home, located, read_mentions
from xpm_remote.link.config.lines import Mention
from xpm_remote.link.config.unsupported import (
    UnsupportedSetting,
    find_unsupported,
    unknown_algorithms,
)
from xpm_remote.link.openssh.arguments import SshConfig
from xpm_remote.link.openssh.program import find_ssh, run_ssh
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.options.keywords import NEEDS_GSSAPI

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


class Way(NamedTuple):
    """What ssh makes of a host and of those that lead to it.

    Attributes:
        config: What it says of the host.
        unsupported: What the library would not honour, of any of them.
    """

    config: SshConfig
    unsupported: list[UnsupportedSetting]


async def read_config(options: ConnectOptions) -> HostConfig | None:
    """Have ssh read the config files for a host; None where there is no ssh that could.

    Raises:
        OptionError: A file, or an option, holds something that cannot be used; ssh's own words say where.
    """
    program = await find_reader()
    if program is None:
        return None
    options = located(options)
    reading = await _read(program, options)
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
    reading = await _read(program, options, is_whole=True)
    return SshConfig(reading.dump, is_decided("ServerAliveInterval", options, reading))


async def read_way(program: str, options: ConnectOptions) -> Way:
    """Have ssh say what it would do, and see what the library would not honour of the config files.

    Args:
        program: The path of an ssh that can tell.
        options: Those that the library honours; ``config_file`` from the root on.

    Raises:
        OptionError: A file, or an option, holds something that ssh cannot use.
    """
    reading = await _read(program, options)
    unsupported = _unsupported(options, reading)
    config = SshConfig(reading.dump, is_decided("ServerAliveInterval", options, reading))
    for _ in range(MAX_JUMPS):
        hop = next_hop(jumps_of(reading.dump), options)
        if hop is None:
            break
        reading = await _read(program, hop)
        unsupported += _unsupported(hop, reading)
    return Way(config, list(dict.fromkeys(unsupported)))


async def find_reader() -> str | None:
    """Give the path of an ssh that can say what it makes of a host; None if there is none."""
    program = find_ssh()
    return None if program is None or await _defaults(program) is None else program


async def _read(program: str, options: ConnectOptions, *, is_whole: bool = False) -> Reading:
    """Ask ssh about a host: of all options, or of those that the library honours."""
    mentions = read_mentions(configured(options.config_file))
    dump = await _ask(program, dump_arguments(options, is_whole=is_whole), options.host)
    return Reading(
        dump,
        await _defaults(program) or {},
        probed=await _probe(program, options, dump, mentions, is_whole=is_whole),
        mentions=mentions,
        home=str(home()),
        local_user=pwd.getpwuid(os.getuid()).pw_name,
        uid=os.getuid(),
        local_host=platform.node(),
        environ=os.environ,
        algorithms=known_algorithms(),
        lacking=lacking_keywords() - {name for name, _ in options.keywords},
    )


def _unsupported(options: ConnectOptions, reading: Reading) -> list[UnsupportedSetting]:
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


@functools.cache
def known_algorithms() -> dict[str, frozenset[str]]:
    """Give the names that the library knows, by keyword."""
    known = {
        "Ciphers": get_encryption_algs(),
        "HostKeyAlgorithms": get_certificate_algs() + get_public_key_algs(),
        "KexAlgorithms": get_kex_algs(),
        "MACs": get_mac_algs(),
    }
    return {name: frozenset(each.decode() for each in names) for name, names in known.items()}


def lacking_keywords() -> frozenset[str]:
    """Give the keywords that the library could honour but for a package that is not installed."""
    gssapi = frozenset() if gss_available else NEEDS_GSSAPI
    return gssapi if pkcs11_available else gssapi | {"PKCS11Provider"}
