"""What the commands that watch a workspace share: how it is shown, and for how long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xpm_remote.cli.connecting import SECONDS
from xpm_remote.cli.signals import run_until_signal
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.ui.plain import Format

if TYPE_CHECKING:
    from xpm_remote.session.monitor import Monitor

WATCHERS = ("auto", "polling", "inotify", "fsevents", "kqueue", "windows")
FORMATS = click.Choice([form.value for form in Format])

RECONCILE_INTERVAL = 10.0
"""The monitor's own default, which the help shall not import the SSH library for."""

Command = TypeVar("Command", bound=Callable[..., Any])

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
    from xpm_remote.session.monitor import Monitor  # with the SSH library, which the help needs not

    monitor = Monitor(target, timeout=timeout, interval=given["polling_interval"])
    return run_until_signal(_show(monitor, given))


def _show(monitor: Monitor, given: dict[str, Any]) -> Coroutine[Any, Any, None]:
    """Start what was asked for."""
    # Only what is needed is imported: rich alone takes as long as connecting to a near host.
    if given["once"] and given["form"] == Format.TEXT.value:
        from xpm_remote.cli.show_once import show_once

        return show_once(monitor)
    from xpm_remote.cli.show_lines import show_document, show_events

    if given["once"]:
        return show_document(monitor)
    progress = not given["no_progress"]
    if given["events_viewer"]:
        return show_events(monitor, Format(given["events_format"]), progress=progress)
    if not sys.stdout.isatty():
        return show_events(monitor, Format.TEXT, progress=progress)
    from xpm_remote.cli.show_dashboard import show_dashboard

    return show_dashboard(monitor)
