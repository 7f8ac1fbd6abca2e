"""``experiments ssh-monitor``: watch a workspace on a remote host."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.lazy import load
from xpm_remote.cli.signals import run_until_signal
from xpm_remote.errors import UsageError
from xpm_remote.link.command import TESTED_VERSION
from xpm_remote.session.target import Overrides, Target, resolve_target
from xpm_remote.ui.plain import Format

if TYPE_CHECKING:
    from xpm_remote.session.monitor import Monitor

WATCHERS = ("auto", "polling", "inotify", "fsevents", "kqueue", "windows")
FORMATS = click.Choice([form.value for form in Format])
SECONDS = click.FloatRange(min=0.1)

# The monitor's own defaults, which the help shall not import the SSH library for.
REQUEST_TIMEOUT = 60.0
RECONCILE_INTERVAL = 10.0

Work = Coroutine[Any, Any, None]

# Only what is needed is imported: rich alone takes as long as connecting to a near host, and the help
# needs no SSH library.
MONITOR = "xpm_remote.session.monitor:Monitor"
DASHBOARD = "xpm_remote.cli.show_dashboard:show_dashboard"
ONCE = "xpm_remote.cli.show_once:show_once"
DOCUMENT = "xpm_remote.cli.show_lines:show_document"
EVENTS = "xpm_remote.cli.show_lines:show_events"
DRY_RUN = "xpm_remote.cli.show_dry_run:show_dry_run"


@click.command(
    name="ssh-monitor",
    epilog="Examples: experimaestro experiments ssh-monitor --workspace my-cluster"
    " · … ssh-monitor user@cluster /data/experiments -o '-p 2222' --once --format json",
)
@click.argument("host", required=False)
@click.argument("remote_workdir", required=False)
@click.option("--workspace", metavar="ID", help="Take path and ssh settings of this workspace.")
@click.option(
    "-o",
    "--ssh-option",
    "options",
    multiple=True,
    metavar="OPTION",
    help="An option as ssh takes it, e.g. -o '-p 2222' or -o Compression=no."
    " Given at all, they replace those of the settings.",
)
@click.option(
    "--remote-shell-init", metavar="COMMANDS", help="Shell commands to run there before the rest."
)
@click.option(
    "--remote-xpm", metavar="PATH", help="The remote experimaestro; without it, uv runs it there."
)
@click.option("--remote-python", metavar="PYTHON", help="The interpreter that uv is to use.")
@click.option(
    "--uv-offline/--no-uv-offline",
    default=None,
    help="Let uv use what it has cached, for hosts without a network.",
)
@click.option(
    "--force-version",
    is_flag=True,
    help="Let uv run exactly the version that is installed here, else the one we are tested with.",
)
@click.option("--once", is_flag=True, help="Show the picture once and end.")
@click.option(
    "--format",
    "form",
    type=FORMATS,
    default="text",
    show_default=True,
    help="With --once or --dry-run: what to print.",
)
@click.option("--events-viewer", is_flag=True, help="Print every change, one a line.")
@click.option(
    "--events-format",
    type=FORMATS,
    default="text",
    show_default=True,
    help="With --events-viewer: what to print.",
)
@click.option("--no-progress", is_flag=True, help="With --events-viewer: leave progress out.")
@click.option(
    "--request-timeout",
    type=SECONDS,
    default=REQUEST_TIMEOUT,
    show_default=True,
    metavar="S",
    help="Seconds without an answer of the remote server after which a request has failed.",
)
@click.option(
    "--polling-interval",
    type=SECONDS,
    default=RECONCILE_INTERVAL,
    show_default=True,
    metavar="S",
    help="Seconds between two looks at everything, in case an announcement was lost.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be connected to and run, and end.")
@click.option(
    "--watcher",
    type=click.Choice(WATCHERS),
    default="auto",
    help="Accepted for compatibility: the remote server chooses how it watches its files.",
)
@click.option("--web", is_flag=True, help="Not there yet.")
@click.option("--port", type=int, help="Not there yet.")
@click.pass_obj
def ssh_monitor(
    context: Context,
    /,
    *,
    watcher: str,
    web: bool,
    port: int | None,
    **given: Any,  # noqa: ANN401 - as declared above, each with its type
) -> int:
    """Watch the experiments and jobs of a workspace on a remote host.

    HOST is host, user@host, ssh://user@host:port or an alias of ~/.ssh/config; REMOTE_WORKDIR is the
    directory of the workspace there. With --workspace, both may come from the settings.

    Press Ctrl-C to end; the last picture stays on the screen.
    """
    del watcher  # nothing of it is local here
    if web or port is not None:
        raise UsageError("--web and --port are not there yet", "use the dashboard in the terminal")
    target = _target(context, given)
    if given["dry_run"]:
        return run_until_signal(load(DRY_RUN)(target, Format(given["form"])))
    return run_until_signal(_show(_monitor(target, given), given))


def _monitor(target: Target, given: dict[str, Any]) -> Monitor:
    monitor: Callable[..., Monitor] = load(MONITOR)
    return monitor(target, timeout=given["request_timeout"], interval=given["polling_interval"])


def _target(context: Context, given: dict[str, Any]) -> Target:
    workspace = given["workspace"] or context.workspace
    if given["force_version"] and given["remote_xpm"]:
        raise UsageError("--force-version is for uv, --remote-xpm goes without it", "leave one out")
    overrides = Overrides(
        host=given["host"],
        workdir=given["remote_workdir"] or context.workdir,
        shell_init=given["remote_shell_init"],
        uv_offline=given["uv_offline"],
        python=given["remote_python"],
        xpm_path=given["remote_xpm"],
        options=given["options"],
        version=_local_version() if given["force_version"] else None,
    )
    return resolve_target(context.load_settings(), workspace, overrides)


def _local_version() -> str:
    """Give the version of the experimaestro that is installed beside us, else the one we are tested with."""
    try:
        version = importlib.metadata.version("experimaestro")
    except importlib.metadata.PackageNotFoundError:
        return TESTED_VERSION
    # A development version is on no index; the release that it leads to may be.
    return re.sub(r"\.dev\d+.*", "", version)


def _show(monitor: Monitor, given: dict[str, Any]) -> Work:
    """Start what was asked for."""
    if given["once"]:
        once: Callable[[Monitor], Work]
        once = load(DOCUMENT if given["form"] == Format.JSON.value else ONCE)
        return once(monitor)
    events: Callable[..., Work] = load(EVENTS)
    progress = not given["no_progress"]
    if given["events_viewer"]:
        return events(monitor, Format(given["events_format"]), progress=progress)
    if not sys.stdout.isatty():
        return events(monitor, Format.TEXT, progress=progress)
    dashboard: Callable[[Monitor], Work] = load(DASHBOARD)
    return dashboard(monitor)
