"""The real experimaestro, installed beside us: run as a program of its own, never imported.

Our script ``experimaestro`` may shadow its script; ``python -m experimaestro`` is always the real one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import click

from xpm_remote.cli.context import Context
from xpm_remote.errors import MissingPeerError, UsageError, WorkspaceError
from xpm_remote.escaping import quoted
from xpm_remote.settings.reader import load_settings
from xpm_remote.settings.schema import Settings, SshSettings, Workspace
from xpm_remote.settings.selection import remote_workspace_at

PEER = "experimaestro"
INSTALL = f"pip install {PEER}"
HELP_LIMIT = 10.0
"""Seconds for its help: it imports for half a second, and for several from a network disk that was not read yet."""

# A script does not have the current directory on its path either, where any experiment.py or yaml.py may lie.
_SAFE_PATH = ("-P",) if sys.version_info >= (3, 11) else ()
_COMMAND = re.compile(r" {2}(\S+)(?: +(\S.*))?")
_CONTINUED = re.compile(r" {3,}(\S.*)")


def is_installed() -> bool:
    """Whether the real experimaestro is installed where we are."""
    spec = importlib.util.find_spec(PEER)
    # A directory that merely has the name counts as a package too, but one without a file.
    return spec is not None and spec.origin is not None


def installed_version() -> str | None:
    """Return the version of the experimaestro that is installed where we are; None when there is none."""
    from importlib import metadata  # with the standard library's mail

    try:
        return metadata.version(PEER) if is_installed() else None
    except metadata.PackageNotFoundError:
        return "of unknown version"


def require_installed(command: str) -> None:
    """Check that a command of experimaestro's own can be run.

    Raises:
        MissingPeerError: It is not installed here.
    """
    if not is_installed():
        what = f"{quoted(command)} needs experimaestro itself, which is not installed here"
        raise MissingPeerError(what, f"{INSTALL} (into {sys.prefix})")


_NAMING = ("--workspace", "--workdir")
_SERVER = "monitor-server"
_BY_PATH = ("deprecated", "migrate")  # their argument is the directory of a workspace


def check_local(context: Context, command: str, words: Sequence[str]) -> None:
    """Check that a command which experimaestro would run here is not meant for a workspace on another host.

    Every word counts, also where experimaestro would refuse it or take it for a value: a refusal too many does no
    harm, a command in the directory of the same path on the wrong machine does.

    Args:
        context: Where the settings are: ours, and those that experimaestro reads.
        command: What is run, for the message.
        words: The command line without the options of our root.

    Raises:
        WorkspaceError: It names a workspace that is remote, or the directory of one.
        SettingsError: It names one, and the settings cannot be used.
    """
    ids, directories = (list(_values(words, option)) for option in _NAMING)
    paths = [word for word in words[2:] if word] if words[0] in _BY_PATH else []
    if not (ids or directories or paths):
        return
    # Another machine starts the server by its directory, perhaps with a copy of the settings that lies here.
    if _SERVER in words and not ids and "SSH_CONNECTION" in os.environ:
        return
    for file in dict.fromkeys((context.settings_path, context.shared_path)):
        settings = load_settings(file, os.environ, Path.home())
        for workspace in settings.workspaces:
            if workspace.is_remote and workspace.id in ids:
                path = directories[-1] if directories else str(workspace.path)
                what = f"the workspace {quoted(workspace.id)} is"
                raise _elsewhere(command, what, workspace, _there(words, path))
        for directory in dict.fromkeys([*directories, *paths]):
            found = _remote_at(context, settings, directory)
            if found is not None:
                what = f"{directory} is the directory of the workspace {quoted(found.id)}"
                there = _there(words, str(found.path)) if directories else words
                also = f"; for one of this machine, add a workspace without ssh to {file}"
                raise _elsewhere(command, what, found, there, also)


def _values(words: Sequence[str], option: str) -> Iterator[str]:
    """Yield the values of an option, wherever it stands."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option and following:
            yield following
        elif word.startswith(f"{option}=") and word != f"{option}=":
            yield word.partition("=")[2]


def _remote_at(context: Context, settings: Settings, directory: str) -> Workspace | None:
    names = {directory}
    with contextlib.suppress(UsageError):  # the home of a user who is not here
        absolute = str(context.directory(directory))
        names |= {absolute, os.path.realpath(absolute)}
    return remote_workspace_at(settings, names, Path.home())


def _there(words: Sequence[str], path: str) -> list[str]:
    """Return the command line for the host itself, where the workspace is a directory."""
    rest = drop_options(words, _NAMING, dict.fromkeys(_NAMING, 1))
    return [*rest[:1], "--workdir", path, *rest[1:]]


def _elsewhere(
    command: str, what: str, workspace: Workspace, there: Sequence[str], also: str = ""
) -> WorkspaceError:
    ssh = workspace.ssh or SshSettings(host="")
    words = shlex.join(there).replace("'~/", "~/'")  # expanded there
    remote = f"{ssh.xpm_path or PEER} {words}"
    if set(remote) & set("'\"~$`\\"):
        remote = shlex.quote(remote)  # the shell here leaves it as it is
    login = shlex.join(["ssh", *ssh.options, ssh.host])
    return WorkspaceError(
        f"{what} on {ssh.host}, and {command} would act on this machine",
        f"run it there: {login} {remote}{also}",
    )


def peer_command(arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs the real experimaestro."""
    return [sys.executable, *_SAFE_PATH, "-m", PEER, *arguments]


def hand_over(arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Become the real experimaestro: its exit status is ours, and so are the signals that we get."""
    command = peer_command(arguments)
    os.execve(command[0], command, environ)  # noqa: S606 - without a shell is what is wanted


def ask_commands(groups: Sequence[str]) -> dict[str, str]:
    """Ask the real experimaestro which commands a group of it has; empty when it does not answer.

    Args:
        groups: The way to the group; empty for the root.

    Returns:
        What each command is for, by name.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, and words of ours
            peer_command([*groups, "--help"]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=HELP_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return parse_commands(done.stdout)


def parse_commands(text: str) -> dict[str, str]:
    """Read the commands, and what each is for, out of the text of a ``--help``."""
    found: dict[str, str] = {}
    name = ""
    _, _, listing = text.partition("\nCommands:\n")
    for line in listing.splitlines():
        if command := _COMMAND.fullmatch(line):
            name = command[1]
            found[name] = command[2] or ""
        elif name and (more := _CONTINUED.fullmatch(line)):
            found[name] = f"{found[name]} {more[1]}".strip()
        else:
            break
    return found


_WORDS = f"{__name__}.words"


class ForwardingCommand(click.Command):
    """A command that remembers its words as they were written."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them, too."""
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)


def forwarded_words(ctx: click.Context, dropped: Collection[str]) -> list[str]:
    """Return the words of a forwarding command without some options and their values."""
    values = {
        name: 0 if option.is_flag else option.nargs
        for option in ctx.command.params
        if isinstance(option, click.Option)
        for name in option.opts
    }
    return drop_options(ctx.meta[_WORDS], dropped, values)


def drop_options(
    words: Sequence[str], dropped: Collection[str], values: Mapping[str, int]
) -> list[str]:
    """Leave out options; everything else stays, in its order and spelling.

    Args:
        words: The command line.
        dropped: The names of the options to leave out.
        values: How many values each option takes, by name; an unknown one takes none.
    """
    kept: list[str] = []
    index = 0
    while index < len(words) and words[index] != "--":
        name, is_attached = _option(words[index])
        end = index + 1 + max(0, values.get(name, 0) - is_attached)
        if name not in dropped:
            kept += words[index:end]
        index = end
    return [*kept, *words[index:]]


def _option(word: str) -> tuple[str, bool]:
    """The name of an option, and whether a value is attached to it; an argument is its own name."""
    if word.startswith("--"):
        name, equals, _ = word.partition("=")
        return name, bool(equals)
    if word.startswith("-"):
        return word[:2], len(word) > len("-c")
    return word, False
