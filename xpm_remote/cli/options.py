"""Options that several commands have, and the values that are made of them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import IO, Any, NamedTuple, TypeVar

import click

from xpm_remote.cli.context import workspace_option
from xpm_remote.errors import ExitCode, UsageError
from xpm_remote.escaping import safe
from xpm_remote.link.waits import START_TIMEOUT
from xpm_remote.model.filter_tokens import FilterError
from xpm_remote.model.filters import Filter, parse_filter
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT
from xpm_remote.session.target import Overrides
from xpm_remote.settings.schema import Backend, SshEngine
from xpm_remote.ui.text import Format

_Command = TypeVar("_Command", bound=Callable[..., Any])


def add_options(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """Return a decorator that adds arguments and options to a command, in this order."""

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


format_option = click.option(
    "--format",
    "is_json",
    type=click.Choice([form.value for form in Format]),
    default=Format.TEXT.value,
    show_default=True,
    callback=lambda _, __, form: form == Format.JSON.value,
    help="What to print.",
)
"""``--format``, passed as ``is_json``."""

from_file_option = click.option(
    "--from-file", metavar="FILE", help="Also the ids in this file, one a line; - is stdin."
)
"""``--from-file``; ``read_texts`` reads it."""

SECONDS = click.FloatRange(min=0.1)

_SSH_OPTIONS = (
    click.option(
        "-o",
        "--ssh-option",
        "options",
        multiple=True,
        metavar="OPTION",
        help="An option as ssh takes it, e.g. -o '-p 2222' or -o Compression=no."
        " Given at all, they replace those of the settings.",
    ),
    click.option(
        "--ssh-engine",
        "engine",
        type=click.Choice([engine.value for engine in SshEngine]),
        help="What makes the connection: our library, the program ssh of this machine, or that program where it"
        " is needed or a ControlMaster leads to the host. Without this flag the settings say; else asyncssh.",
    ),
    click.option(
        "--remote-shell-init",
        metavar="COMMANDS",
        help="Shell commands to run there before the rest.",
    ),
    click.option(
        "--start-timeout",
        type=SECONDS,
        metavar="S",
        help="Seconds that the login files there may take, and shell_init, and finding the workspace.  [default:"
        f" {START_TIMEOUT:g}]",
    ),
)
_HOST_ARGUMENTS = (
    click.argument("host", required=False),
    click.argument("remote_workdir", required=False),
)
_CONNECTION_OPTIONS = (
    *_SSH_OPTIONS,
    click.option(
        "--backend",
        type=click.Choice([backend.value for backend in Backend]),
        help="What serves the workspace there: our agent (python3 is enough, nothing is changed), experimaestro, or"
        " (auto) the agent unless settings or flags describe an experimaestro and no job runs under SLURM. Without"
        " this flag the settings say; else auto.",
    ),
    click.option(
        "--remote-xpm",
        metavar="PATH",
        help="The remote experimaestro; without it, uv runs it there.",
    ),
    click.option(
        "--remote-python",
        metavar="PYTHON",
        help="The interpreter for uv; with a name, for the agent, too.",
    ),
    click.option(
        "--uv-offline/--no-uv-offline",
        default=None,
        help="Let uv use what it has cached, for hosts without a network.",
    ),
    click.option(
        "--force-version",
        is_flag=True,
        help="Let uv run exactly the version that is installed here, else the one we are tested with.",
    ),
    click.option(
        "--request-timeout",
        type=SECONDS,
        default=REQUEST_TIMEOUT,
        show_default=True,
        metavar="S",
        help="Seconds without an answer of the remote server after which a request has failed.",
    ),
)
connection_options = add_options(
    *_HOST_ARGUMENTS,
    workspace_option("Take path and ssh settings of this workspace."),
    *_CONNECTION_OPTIONS,
)
"""The arguments and options that ``Context.find_target`` reads."""

workspaces_options = add_options(
    workspace_option(
        "The id of a workspace of the settings; several are watched together.", multiple=True
    ),
    click.option("--all", "is_all", is_flag=True, help="Watch all workspaces of the settings."),
)
"""The options that ``cli.several`` reads."""

connections_options = add_options(*_HOST_ARGUMENTS, workspaces_options, *_CONNECTION_OPTIONS)
"""The same as ``connection_options``, for one workspace or several."""

ssh_options = add_options(
    *_SSH_OPTIONS,
    click.option(
        "--remote-python",
        metavar="PYTHON",
        help="The interpreter there, such as python3.11; without it, the first that will do.",
    ),
)
"""The options that ``ssh_overrides`` reads: how a workspace of the settings is reached."""


def ssh_overrides(given: dict[str, Any], workdir: str | None) -> Overrides:
    """Read the options of SSH for a workspace of the settings.

    Args:
        given: The values of ``ssh_options``.
        workdir: The directory, if one is said.
    """
    return Overrides(
        workdir=workdir,
        shell_init=given["remote_shell_init"],
        python=given["remote_python"],
        options=given["options"],
        engine=SshEngine(given["engine"]) if given["engine"] else None,
        start_timeout=given["start_timeout"] or START_TIMEOUT,
    )


_WINDOW = 60
"""Characters of a long filter that are shown before the mistake, so that it stays on a line."""

yes_option = click.option("-y", "--yes", "is_sure", is_flag=True, help="Do not ask.")
"""``--yes``."""


def confirm(question: str, *, is_sure: bool) -> None:
    """Ask for a confirmation, unless ``--yes`` was given.

    Raises:
        UsageError: There is no terminal to ask at.
        Abort: The answer is no.
    """
    if is_sure:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{question} There is no terminal to ask at, so nothing is done", "give --yes"
        )
    click.confirm(safe(question), abort=True, err=True)


class PointedError(click.ClickException):
    """A mistake in a filter: a line that says what is wrong, then the filter with a caret below the place.

    Args:
        error: What is wrong, and where.
        program: The name of the program.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, error: FilterError, program: str) -> None:
        super().__init__(str(error))
        self._error = error
        self._program = program

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        start = max(0, self._error.column - _WINDOW)
        # Escapes are longer than what they stand for.
        before = safe(self._error.text[start : self._error.column])
        shown = before + safe(self._error.text[self._error.column :][:_WINDOW])
        click.echo(f"{self._program}: {safe(self.message)}", file=file, err=True)
        click.echo(f"  {shown}\n  {' ' * len(before)}^", file=file, err=True)


def _read_filter(ctx: click.Context, _: click.Parameter, text: str | None) -> Filter | None:
    if text is None:
        return None
    try:
        return parse_filter(text)
    except FilterError as error:
        raise PointedError(error, ctx.find_root().info_name or "") from error


filter_option = click.option(
    "--filter",
    "accepts",
    metavar="FILTER",
    callback=_read_filter,
    help='Only jobs that match, such as \'model = "bm25" and @state = "done"\'; see docs/filters.md.',
)
"""``--filter``, passed as ``accepts``, or None."""


_SSH_VALUES = ("options", "engine", "remote_shell_init", "remote_python", "start_timeout")


class JobsLocation(NamedTuple):
    """Where the jobs are, by the command line.

    Attributes:
        workspace: The id of a workspace.
        workdir: A directory.
        ssh: How a remote one is reached: the values of ``ssh_options``.
    """

    workspace: str | None
    workdir: str | None
    ssh: dict[str, Any]

    @property
    def has_ssh(self) -> bool:
        """Whether any option of SSH is given."""
        return any(self.ssh.values())


def location_options(command: _Command) -> _Command:
    """Add the options of a ``JobsLocation``, passed as ``location``; the group's are the default."""

    @functools.wraps(command)
    def fold(*args: Any, workspace: str | None, workdir: str | None, **given: Any) -> Any:  # noqa: ANN401
        ssh = {name: given.pop(name) for name in _SSH_VALUES}
        return command(*args, location=JobsLocation(workspace, workdir, ssh), **given)

    workspace = workspace_option("The id of the workspace.")
    workdir = click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
    return workspace(workdir(ssh_options(fold)))  # type: ignore[return-value]  # it takes other keywords
