"""A shell in the directory of a job, on the terminal that the dashboard lends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xpm_remote.escaping import encodable, safe
from xpm_remote.link.ssh_config.files import located
from xpm_remote.link.terminal import NO_DIRECTORY, shell_arguments
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.waiting import taken

SSH_FAILED = 255
"""The exit status of ``ssh`` where it has failed itself."""


class Shell(NamedTuple):
    """A shell that is to be opened.

    Attributes:
        argv: The command.
        title: Where it is, for the person.
        cwd: The directory of this machine in which it is run.
    """

    argv: Sequence[str]
    title: str
    cwd: str | None = None


def shell_in(target: Target | LocalTarget, directory: str, environ: Mapping[str, str]) -> Shell:
    """Return the shell in a directory of a workspace.

    Raises:
        OptionError: The directory holds a character that cannot be in an argument.
    """
    title = safe(f"{target.label}: {directory}")
    if isinstance(target, LocalTarget):
        return Shell([environ.get("SHELL") or "/bin/sh"], title, directory)
    return Shell(["ssh", *shell_arguments(located(target.options), directory)], title)


def put(text: str) -> None:
    """Print on the terminal, with other characters for those that its encoding lacks."""
    stdout = sys.__stdout__
    if stdout is not None:
        print(encodable(text, stdout.encoding or "ascii"), file=stdout, flush=True)


async def run_shell(shell: Shell) -> str:
    """Run a shell on this terminal, which is free; return what went wrong before it began, or an empty text."""
    put(f"{shell.title}\n(exit returns to the dashboard)")
    if shell.cwd is not None and not os.access(shell.cwd, os.X_OK):
        return f"{safe(shell.cwd)} cannot be entered"
    try:
        # Ctrl-C on the way is for the shell, or for ssh.
        with taken(lambda: None, signal.SIGINT):
            process = await asyncio.create_subprocess_exec(*shell.argv, cwd=shell.cwd)
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                process.terminate()
                await process.wait()
                raise
    except OSError as error:
        return f"{shell.argv[0]} cannot be run: {error.strerror}"
    if shell.cwd is None and code == NO_DIRECTORY:
        return "its directory cannot be entered"
    return f"ssh ended with exit code {code}" if shell.cwd is None and code == SSH_FAILED else ""


async def wait_for_enter() -> None:
    """Wait for Enter on the terminal, so that what was printed can be read."""
    stdin = sys.__stdin__
    if stdin is None:
        return
    loop, pressed = asyncio.get_running_loop(), asyncio.Event()
    put("Enter returns to the dashboard")
    loop.add_reader(stdin.fileno(), pressed.set)
    try:
        await pressed.wait()
        os.read(stdin.fileno(), 4096)
    finally:
        loop.remove_reader(stdin.fileno())
