"""The sockets of ControlMasters: the user's own, ours, and those that other programs of ours lend."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from xpm_remote.errors import OptionError
from xpm_remote.link.connection import Sharing
from xpm_remote.link.openssh_engine.arguments import check_arguments, lent_arguments
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.link.ssh_config.reader import run_ssh
from xpm_remote.link.ssh_config.text import SshConfig

log = logging.getLogger(__name__)

CHECK_TIMEOUT = 2.0
"""Seconds for a ControlMaster, a process of this machine, to answer."""

SOCKET_MAX = 104
"""Bytes of the path of a socket, with the NUL, on the system that allows the fewest."""

PREFIX = "xpm-"
"""Begins the names of the folders of sockets."""

_OF_OURS = frozenset({"controlmaster", "controlpath", "controlpersist", "loglevel", "batchmode"})
"""What does not matter to those who share a connection."""

_BESIDE = ".0123456789abcdef"
"""What ``ssh`` appends to the path while it makes the socket."""

_PLAIN = re.compile(r"[\w/.+@=-]+", re.ASCII)


async def is_master_alive(program: str, options: ConnectOptions) -> bool:
    """Return whether a ControlMaster that leads to the host answers."""
    done = await run_ssh(program, check_arguments(options), CHECK_TIMEOUT)
    return done is not None and done[0] == 0


def folder_prefix(config: SshConfig, sharing: Sharing) -> str:
    """Return how the names of the folders begin in which the sockets of such connections are."""
    if sharing in (Sharing.ALONE, Sharing.USERS):
        return PREFIX
    values = [(name, each) for name, each in sorted(config.values.items()) if name not in _OF_OURS]
    return f"{PREFIX}{hashlib.blake2b(repr(values).encode(), digest_size=4).hexdigest()}-"


async def find_lent(program: str, options: ConnectOptions, prefix: str) -> str | None:
    """Return the socket of a ControlMaster that another program of ours lends, and that lives."""
    for socket in list(_lent(prefix)):
        done = await run_ssh(program, lent_arguments(options, socket), CHECK_TIMEOUT)
        if done is not None and done[0] == 0:
            return socket
    return None


def _lent(prefix: str) -> Iterator[str]:
    """Yield the sockets with that prefix in folders that only the user may enter."""
    for parent in _socket_parents():
        for folder in sorted(Path(parent).glob(f"{prefix}*")):
            with contextlib.suppress(OSError):
                found = folder.lstat()
                is_private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
                if is_private and found.st_uid == os.geteuid():
                    yield f"{folder}/s"


def _socket_parents() -> Iterator[str]:
    """Yield the directories in which a socket's path is short enough, and has nothing that ssh would replace."""
    for parent in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        longest = f"{parent}/{PREFIX}12345678-12345678/s{_BESIDE}"
        if not Path(parent).is_absolute() or len(os.fsencode(longest)) >= SOCKET_MAX:
            continue
        if _PLAIN.fullmatch(parent) is not None:  # else tokens and quotes of ssh
            yield parent


@contextlib.contextmanager
def socket_folder(prefix: str = PREFIX) -> Iterator[str]:
    """Make a folder that only the user may enter, with a path short enough for a socket in it; remove it in the end.

    Raises:
        OptionError: There is no place for one.
    """
    for parent in _socket_parents():
        try:
            folder = tempfile.mkdtemp(prefix=prefix, dir=parent)
        except OSError as error:
            log.debug("no folder for a socket: %s", error)
            continue
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    raise OptionError(
        "there is no directory for the socket of ssh: none of XDG_RUNTIME_DIR, TMPDIR and /tmp can be used",
        "set XDG_RUNTIME_DIR to a directory of yours with a short name, or take --ssh-engine asyncssh",
    )
