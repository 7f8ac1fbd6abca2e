"""``experiments monitor``: watch a workspace of this machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import click

from xpm_remote.cli.connecting import REQUEST_TIMEOUT
from xpm_remote.cli.context import Context
from xpm_remote.cli.failures import failures_as_errors
from xpm_remote.cli.handover import hand_over, require_installed
from xpm_remote.cli.monitoring import showing_options, watch
from xpm_remote.errors import UsageError, WorkspaceError
from xpm_remote.escaping import quoted
from xpm_remote.session.target import LocalTarget
from xpm_remote.settings.selection import select_workspace
from xpm_remote.workspace.reading.reader import check_workspace

WEB = "experiments monitor --web"


@click.command(
    name="monitor",
    epilog="Examples: experimaestro experiments monitor · … monitor --workdir ~/experiments --once"
    " --format json · … monitor --workspace local --events-viewer",
)
@click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
@click.option("--workspace", metavar="ID", help="The id of the workspace.")
@showing_options
@click.option("--console", is_flag=True, help="Accepted for compatibility: it is the default.")
@click.option("--web", is_flag=True, help="Have experimaestro itself show its web page.")
@click.option("--port", type=int, help="With --web: the port of that page.")
@click.pass_obj
def monitor(
    context: Context,
    /,
    *,
    workspace: str | None,
    workdir: str | None,
    console: bool,
    web: bool,
    port: int | None,
    **given: Any,  # noqa: ANN401 - as declared above, each with its type
) -> int:
    """Watch the experiments and jobs of a workspace of this machine.

    Without --workdir and --workspace it is the default one of the settings. Nothing in it is changed.

    Press Ctrl-C to end; the last picture stays on the screen.
    """
    if port is not None and not web:
        raise UsageError("--port is for the web page", "add --web, or leave it out")
    if web and (console or given["once"] or given["events_viewer"]):
        raise UsageError("--web shows a page and nothing here", "leave the other one out")
    if web:
        require_installed(WEB)
    root = _find(context, workspace or context.workspace, workdir or context.workdir)
    if web:
        _show_page(context, root, port)
    return watch(LocalTarget(platform.node(), str(root)), given, timeout=REQUEST_TIMEOUT)


def _find(context: Context, workspace: str | None, workdir: str | None) -> Path:
    """Find the directory of the workspace that is meant.

    Raises:
        WorkspaceError: There is none, or it is on another host.
    """
    found = select_workspace(
        context.load_settings(),
        workspace_id=workspace or None,
        workdir=context.directory(workdir),
    ).workspace
    if found.ssh is not None:
        raise WorkspaceError(
            f"the workspace {quoted(found.id)} is on {found.ssh.host}",
            f"use experiments ssh-monitor --workspace {found.id}",
        )
    root = Path(os.path.abspath(found.path))  # noqa: PTH100  (links stay)
    with failures_as_errors():
        check_workspace(root)
    return root


def _show_page(context: Context, root: Path, port: int | None) -> None:
    """Become the real experimaestro, which has a web page."""
    context.check_shared(f'"{WEB}"')
    words = ["experiments", "--workdir", str(root), "monitor"]
    if port is not None:
        words += ["--port", str(port)]
    hand_over([*context.peer_flags, *words], os.environ)
