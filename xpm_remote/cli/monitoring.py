"""What the commands that watch a workspace share: how it is shown, and for how long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xpm_remote.cli.connecting import SECONDS
from xpm_remote.cli.lazy import load
from xpm_remote.cli.signals import run_until_signal
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.ui.plain import Format

if TYPE_CHECKING:
    from xpm_remote.session.monitor import Monitor

WATCHERS = ("auto", "polling", "inotify", "fsevents", "kqueue", "windows")
FORMATS = click.Choice([form.value for form in Format])

RECONCILE_INTERVAL = 10.0
"""The monitor's own default, which the help shall not import the SSH library for."""

Work = Coroutine[Any, Any, None]
Command = TypeVar("Command", bound=Callable[..., Any])

# Only what is needed is imported: rich alone takes as long as connecting to a near host, and the help
# needs no SSH library.
MONITOR = "xpm_remote.session.monitor:Monitor"
DASHBOARD = "xpm_remote.cli.show_dashboard:show_dashboard"
ONCE = "xpm_remote.cli.show_once:show_once"
DOCUMENT = "xpm_remote.cli.show_lines:show_document"
EVENTS = "xpm_remote.cli.show_lines:show_events"

_OPTIONS = (
    click.option("--once", is_flag=True, help="Show the picture once and end."),
    click.option(
        "--format",
        "form",
        type=FORMATS,
        default="text",
        show_default=True,
        help="What to print at once, with --once and its like.",
    ),
    click.option("--events-viewer", is_flag=True, help="Print every change, one a line."),
    click.option(
        "--events-format",
        type=FORMATS,
        default="text",
        show_default=True,
        help="With --events-viewer: what to print.",
    ),
    click.option("--no-progress", is_flag=True, help="With --events-viewer: leave progress out."),
    click.option(
        "--polling-interval",
        type=SECONDS,
        default=RECONCILE_INTERVAL,
        show_default=True,
        metavar="S",
        help="Seconds between two looks at everything, in case an announcement was lost;"
        " with the agent, which looks for itself, between two signs of life.",
    ),
    click.option(
        "--watcher",
        type=click.Choice(WATCHERS),
        default="auto",
        help="Accepted for compatibility: who serves the workspace chooses how to watch its files.",
    ),
)


def showing_options(command: Command) -> Command:
    """Give a command the options that ``watch`` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def watch(target: Target | LocalTarget, given: dict[str, Any], *, timeout: float) -> int:
    """Watch a workspace as the options say, until its end or a signal; give the exit status.

    Raises:
        XpmRemoteError: Any of its kinds.
    """
    monitor: Callable[..., Monitor] = load(MONITOR)
    made = monitor(target, timeout=timeout, interval=given["polling_interval"])
    return run_until_signal(_show(made, given))


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
