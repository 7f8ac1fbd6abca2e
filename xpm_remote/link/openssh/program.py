"""The program ``ssh`` of this machine, run for what it says before any connection is made."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Sequence

from xpm_remote.errors import OptionError
from xpm_remote.link.openssh.arguments import check_arguments
from xpm_remote.link.options.connect_options import ConnectOptions
from xpm_remote.waiting import wait_within

PROGRAM = "ssh"

CHECK_TIMEOUT = 2.0
"""Seconds for a ControlMaster, a process of this machine, to answer: one that does not is of no use."""


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


async def is_master_alive(program: str, options: ConnectOptions) -> bool:
    """Tell whether a ControlMaster answers that leads to the host."""
    done = await run_ssh(program, check_arguments(options), CHECK_TIMEOUT)
    return done is not None and done[0] == 0
