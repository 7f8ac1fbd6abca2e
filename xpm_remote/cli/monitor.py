"""``experiments monitor`` and ``experiments ssh-monitor``: watch a workspace, of this machine or of another host."""

from __future__ import annotations

import functools
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xpm_remote.cli.context import Context, workspace_option
from xpm_remote.cli.hanging import watch_calls
from xpm_remote.cli.options import SECONDS, add_options, connection_options
from xpm_remote.cli.output import examples, is_terminal, print_json
from xpm_remote.cli.peer import check_local, hand_over, require_installed
from xpm_remote.errors import UsageError, WorkspaceError, unreadable_error
from xpm_remote.escaping import quoted, safe
from xpm_remote.jobs.opening import check_here
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT
from xpm_remote.session.state import RECONCILE_INTERVAL, Picture, Update
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.selection import select_workspace
from xpm_remote.ui.documents import json_line, picture_document
from xpm_remote.ui.events import EventLines
from xpm_remote.ui.text import Format, span, stall_words
from xpm_remote.waiting import run_until_signal

if TYPE_CHECKING:
    from xpm_remote.session.monitor import Monitor


WATCHERS = ("auto", "polling", "inotify", "fsevents", "kqueue", "windows")
FORMATS = click.Choice([form.value for form in Format])


showing_options = add_options(
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
"""The options that ``watch`` reads."""


def check_format(given: dict[str, Any], *, dry_run: bool = False) -> None:
    """Check that what ``--format`` asks for will be printed.

    Raises:
        UsageError: It is about a picture that is printed once, and none is.
    """
    if given["form"] != Format.TEXT.value and not (given["once"] or dry_run):
        raise UsageError(
            f"--format {given['form']} is for --once",
            "add --once, or take --events-viewer --events-format json for every change",
        )
    if given["events_format"] != Format.TEXT.value and (
        given["once"] or not given["events_viewer"]
    ):
        raise UsageError(
            f"--events-format {given['events_format']} is for --events-viewer",
            "add that, without --once, or take --once --format json for a picture",
        )


def watch(target: Target | LocalTarget, given: dict[str, Any], *, timeout: float) -> int:
    """Watch a workspace as the options say, until its end or a signal; return the exit status.

    Raises:
        XpmRemoteError: Any of its kinds.
    """
    from xpm_remote.session.monitor import Monitor  # with the SSH library, which the help needs not

    monitor = Monitor(target, timeout=timeout, interval=given["polling_interval"])
    progress = not given["no_progress"]
    if given["once"]:
        work = show_once(monitor, Format(given["form"]))
    elif given["events_viewer"]:
        work = show_events(monitor, Format(given["events_format"]), progress=progress)
    elif not is_terminal(sys.stdout):
        work = show_events(monitor, Format.TEXT, progress=progress)
    else:
        # Rich alone takes as long as connecting to a near host.
        from xpm_remote.ui.inline import show

        work = show(monitor)
    return run_until_signal(work)


UNBOUNDED = 1_000_000
"""Lines of a file: nothing is left out where there is no screen."""


async def show_once(monitor: Monitor, form: Format) -> None:
    """Learn everything, print it as a picture or as one JSON document, end.

    Raises:
        UnreadableError: It has been printed, and something of the workspace could not be read.
    """
    monitor.subscribe(WaitLines(monitor).write)
    await monitor.snapshot()
    _print_picture(monitor.picture, form)
    unreadable = monitor.picture.unreadable
    if unreadable.files:
        raise unreadable_error([each.path for each in unreadable.files], unreadable.left_out)


def _print_picture(picture: Picture, form: Format) -> None:
    if form is Format.JSON:
        print_json([json_line(picture_document(picture, time.time()))])
        return
    from rich.console import Console

    from xpm_remote.ui.encoding import Encodable
    from xpm_remote.ui.views import dashboard

    console = Console()
    height = console.height - 1 if console.is_terminal else UNBOUNDED
    console.print(Encodable(dashboard(picture, time.time(), console.width, height)))


class WaitLines:
    """Says on stderr what is waited for, once for each wait."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._said: float | None = None

    def write(self, _: Update) -> None:
        """Print a line if there is a wait that has not been told."""
        stall = self._monitor.picture.stall
        if stall is not None and stall.since != self._said:
            self._said = stall.since
            lasted = span(time.time() - stall.since)
            click.echo(f"not read for {lasted}: {stall_words(stall)}", err=True)


async def show_events(monitor: Monitor, form: Format, *, progress: bool) -> None:
    """Print every change as it comes, one a line, until the link ends or a signal comes."""
    from xpm_remote.ui.keyboard import call_person

    events = EventLines(form, progress=progress)

    def write(update: Update) -> None:
        for line in events.lines(update, monitor.picture, time.time()):
            if form is Format.JSON:
                print_json([line])
            else:
                click.echo(line)  # which flushes

    monitor.subscribe(write)
    await monitor.run(functools.partial(call_person, monitor.target.name))


WEB = "experiments monitor --web"


@click.command(
    name="monitor",
    epilog=examples(
        "experimaestro experiments monitor",
        "experimaestro experiments monitor --workdir ~/experiments --once --format json",
        "experimaestro experiments monitor --workspace local --events-viewer",
    ),
)
@click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
@workspace_option("The id of the workspace.")
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
    check_format(given)
    workspace, workdir = workspace or context.workspace, workdir or context.workdir
    if web:
        places = {"workspace": workspace, "workdir": workdir}
        named = [f"--{name}={value}" for name, value in places.items() if value]
        check_local(context, quoted(WEB), ["experiments", *named, "monitor", "--web"])
        require_installed(WEB)
    root = _find(context, workspace, workdir)
    if web:
        # The real experimaestro has a web page.
        context.check_shared(f'"{WEB}"')
        at = [] if port is None else ["--port", str(port)]
        words = ["experiments", "--workdir", str(root), "monitor", *at]
        hand_over([*context.peer_flags, *words], os.environ)
    return watch(LocalTarget(platform.node(), str(root)), given, timeout=REQUEST_TIMEOUT)


def _find(context: Context, workspace: str | None, workdir: str | None) -> Path:
    """Find the directory of the workspace that is meant.

    Raises:
        WorkspaceError: There is none, or it is on another host.
        NotAWorkspaceFailure: The directory is no workspace.
    """
    watch_calls()
    settings = context.load_settings()
    found = select_workspace(
        settings, workspace_id=workspace or None, workdir=context.directory(workdir)
    ).workspace
    if found.ssh is not None:
        raise WorkspaceError(
            f"the workspace {quoted(found.id)} is on {found.ssh.host}",
            f"use experiments ssh-monitor --workspace {found.id}",
        )
    root = Path(os.path.abspath(found.path))  # noqa: PTH100  (links stay)
    check_here(settings, root)
    return root


@click.command(
    name="ssh-monitor",
    epilog=examples(
        "experimaestro experiments ssh-monitor --workspace my-cluster",
        "experimaestro experiments ssh-monitor user@cluster /data/experiments -o '-p 2222' --once --format json",
    ),
)
@connection_options
@showing_options
@click.option("--dry-run", is_flag=True, help="Print what would be connected to and run, and end.")
@click.option("--web", is_flag=True, hidden=True, help="Not there yet.")
@click.option("--port", type=int, hidden=True, help="Not there yet.")
@click.pass_obj
def ssh_monitor(context: Context, /, *, web: bool, port: int | None, **given: Any) -> int:  # noqa: ANN401
    """Watch the experiments and jobs of a workspace on a remote host.

    HOST is host, user@host, ssh://user@host:port or an alias of ~/.ssh/config; REMOTE_WORKDIR is the
    directory of the workspace there. With --workspace, both may come from the settings.

    Press Ctrl-C to end; the last picture stays on the screen.
    """
    if web or port is not None:
        raise UsageError("--web and --port are not there yet", "use the dashboard in the terminal")
    check_format(given, dry_run=given["dry_run"])
    target = context.find_target(context.load_settings(), given)
    if given["dry_run"]:
        return run_until_signal(show_dry_run(target, Format(given["form"])))
    return watch(target, given, timeout=given["request_timeout"])


async def show_dry_run(target: Target, form: Format) -> None:
    """Print the resolved connection, the backend, and the remote command lines."""
    from xpm_remote.session.backends import describe_target

    link, served = await describe_target(target)
    facts = {**link, "workspace": target.workspace, **served}
    if form is Format.JSON:
        print_json([json_line(facts)])
        return
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name:<12} {safe(str(text))}")
