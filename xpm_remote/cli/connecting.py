"""The options that say what to connect to and what to run there; several commands have them."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from xpm_remote.cli.context import Context
from xpm_remote.errors import UsageError
from xpm_remote.link.remote.command import TESTED_VERSION
from xpm_remote.session.target import Overrides, Target, resolve_target
from xpm_remote.settings.schema import Backend, Settings, SshEngine

SECONDS = click.FloatRange(min=0.1)
REQUEST_TIMEOUT = 60.0
"""The monitor's own default, which the help shall not import the SSH library for."""

Command = TypeVar("Command", bound=Callable[..., Any])

_WAY_OPTIONS = (
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
)
_OPTIONS = (
    click.argument("host", required=False),
    click.argument("remote_workdir", required=False),
    click.option("--workspace", metavar="ID", help="Take path and ssh settings of this workspace."),
    *_WAY_OPTIONS,
    click.option(
        "--backend",
        type=click.Choice([backend.value for backend in Backend]),
        help="What serves the workspace there: experimaestro, our agent (python3 is enough), or the agent where"
        " experimaestro cannot be started or is older than 2.7. Without this flag the settings say; else auto.",
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
_AGENT_OPTIONS = (
    click.option(
        "--remote-python",
        metavar="PYTHON",
        help="The interpreter there, such as python3.11; without it, the first that will do.",
    ),
)


def connection_options(command: Command) -> Command:
    """Give a command the arguments and options that ``overrides`` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def way_options(command: Command) -> Command:
    """Give a command the options that ``way_overrides`` reads: how a workspace of the settings is reached."""
    for option in reversed((*_WAY_OPTIONS, *_AGENT_OPTIONS)):
        command = option(command)
    return command


def way_overrides(given: dict[str, Any], workdir: str | None) -> Overrides:
    """Read what the command line says of the way to a workspace.

    Args:
        given: The values of ``way_options``.
        workdir: The directory, if one is said.
    """
    return Overrides(
        workdir=workdir,
        shell_init=given["remote_shell_init"],
        python=given["remote_python"],
        options=given["options"],
        engine=SshEngine(given["engine"]) if given["engine"] else None,
    )


def overrides(context: Context, given: dict[str, Any]) -> Overrides:
    """Read what the command line says of the connection.

    Raises:
        UsageError: Two options exclude each other.
    """
    if given["force_version"] and given["remote_xpm"]:
        raise UsageError("--force-version is for uv, --remote-xpm goes without it", "leave one out")
    return Overrides(
        host=given["host"],
        workdir=given["remote_workdir"] or context.workdir,
        shell_init=given["remote_shell_init"],
        uv_offline=given["uv_offline"],
        python=given["remote_python"],
        xpm_path=given["remote_xpm"],
        options=given["options"],
        version=_local_version() if given["force_version"] else None,
        engine=SshEngine(given["engine"]) if given["engine"] else None,
        backend=Backend(given["backend"]) if given["backend"] else None,
    )


def find_target(context: Context, settings: Settings, given: dict[str, Any]) -> Target:
    """Say what to connect to: the command line over the settings.

    Raises:
        UsageError: The command line does not say which host or directory.
        WorkspaceError: The workspace is unknown or not remote.
        OptionError: An SSH option is malformed or cannot be honoured.
    """
    workspace = given["workspace"] or context.workspace
    return resolve_target(settings, workspace, overrides(context, given))


def _local_version() -> str:
    """Give the version of the experimaestro that is installed beside us, else the one we are tested with."""
    try:
        version = importlib.metadata.version("experimaestro")
    except importlib.metadata.PackageNotFoundError:
        return TESTED_VERSION
    # A development version is on no index; the release that it leads to may be.
    return re.sub(r"\.dev\d+.*", "", version)
