"""``experiments monitor`` and ``experiments ssh-monitor``: watch a workspace, of this machine or of another host."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.hanging import watch_calls
from xpm_remote.cli.options import SECONDS, add_options, connections_options, workspaces_options
from xpm_remote.cli.output import DUMB, examples, is_simple_terminal, is_terminal, print_json
from xpm_remote.cli.peer import check_local, hand_over, require_installed
from xpm_remote.cli.several import find_targets, is_several, one_name
from xpm_remote.errors import UsageError, WorkspaceError, XpmRemoteError, unreadable_error
from xpm_remote.escaping import quoted, safe
from xpm_remote.link.prompts import TerminalPrompter
from xpm_remote.rpc.protocol import REQUEST_TIMEOUT
from xpm_remote.session.state import RECONCILE_INTERVAL, Update
from xpm_remote.session.target import LocalTarget, Target
from xpm_remote.settings.schema import NoticeSettings, Workspace
from xpm_remote.settings.selection import select_workspace
from xpm_remote.ui.documents import json_line, picture_document
from xpm_remote.ui.events import EventLines
from xpm_remote.ui.text import Format, span, stall_words
from xpm_remote.waiting import run_until_signal
from xpm_remote.workspace.rows import SLURM

if TYPE_CHECKING:
    from xpm_remote.session.fleet import Fleet, Login
    from xpm_remote.session.monitor import Monitor
    from xpm_remote.ui.screen.start import Start


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
    click.option(
        "--inline",
        is_flag=True,
        help="Redraw a picture below the prompt instead of the full-screen dashboard.",
    ),
    click.option(
        "--plain",
        "is_plain",
        is_flag=True,
        help="Numbered lines and a prompt instead of the full-screen dashboard, as for screen readers."
        " XPM_REMOTE_PLAIN=1 and TERM=dumb do the same on a terminal.",
    ),
    click.option("--ascii", "is_ascii", is_flag=True, help="In the dashboard: draw only ASCII."),
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


def watch(
    targets: Sequence[Target | LocalTarget],
    given: dict[str, Any],
    *,
    timeout: float,
    is_several: bool = False,
) -> int:
    """Watch workspaces as the options say, until their end or a signal; return the exit status.

    Args:
        targets: The workspaces.
        given: The values of ``showing_options``.
        timeout: Seconds without an answer after which a request has failed.
        is_several: Whether several were asked for, so that their names are said.

    Raises:
        XpmRemoteError: Any of its kinds.
    """
    is_printed = given["once"] or given["events_viewer"]
    if not (is_printed or given["inline"]) and wants_lines(is_plain=given["is_plain"]):
        return show_lines(targets, given, timeout=timeout, is_several=is_several)
    is_printed = is_printed or not is_terminal(sys.stdout)
    if not (is_printed or given["inline"]) and can_draw_screen():
        return show_screen(targets, given, timeout=timeout, is_several=is_several)
    from xpm_remote.session.fleet import Fleet  # with the SSH library, which the help needs not

    fleet = Fleet(targets, timeout=timeout, interval=given["polling_interval"])
    progress = not given["no_progress"]
    if given["once"]:
        work = show_once(fleet, Format(given["form"]), is_several=is_several)
    elif is_printed:
        form = Format(given["events_format"])
        work = show_events(fleet, form, progress=progress, is_several=is_several)
    else:
        # Rich alone takes as long as connecting to a near host.
        from xpm_remote.ui.inline import show

        work = show(fleet)
    if not is_several:
        return run_until_signal(work)
    try:
        return run_until_signal(work)
    except XpmRemoteError:
        return say_errors({name: monitor.error for name, monitor in fleet.members.items()})


def say_errors(ends: Mapping[str, XpmRemoteError | None]) -> int:
    """Print why workspaces have ended; return the exit status of the first of them.

    Raises:
        XpmRemoteError: The present one, where no workspace has an error: it is about what is printed.
    """
    errors = {name: error for name, error in ends.items() if error is not None}
    if not errors:
        raise
    program = click.get_current_context().find_root().info_name
    for name, error in errors.items():
        click.echo(f"{program}: {safe(f'{name}: {error}')}", err=True)
    first = next(iter(errors.values()))
    return int(first.exit_code)


PLAIN_VARIABLE = "XPM_REMOTE_PLAIN"


def wants_lines(*, is_plain: bool) -> bool:
    """Return whether commands are typed at a prompt: by the option, or on a terminal by its name or the environment."""
    is_dumb = os.environ.get("TERM", "").lower() in DUMB
    is_meant = is_dumb or os.environ.get(PLAIN_VARIABLE, "").lower() not in ("", "0", "false", "no")
    return is_plain or (is_meant and sys.stdin.isatty() and sys.stdout.isatty())


def can_draw_screen() -> bool:
    """Return whether the terminal is one for the full-screen dashboard, with a keyboard."""
    return is_terminal(sys.stdout) and sys.stdin.isatty() and not is_simple_terminal()


def show_screen(
    targets: Sequence[Target | LocalTarget],
    given: dict[str, Any],
    *,
    timeout: float,
    is_several: bool,
) -> int:
    """Show the full-screen dashboard until the person quits, or a signal comes; return the exit status.

    Raises:
        XpmRemoteError: No workspace lives any more.
    """
    from xpm_remote.ui.screen.start import show

    start = make_start(targets, given, timeout=timeout)
    return _run(show(start), start, is_several=is_several)


def show_lines(
    targets: Sequence[Target | LocalTarget],
    given: dict[str, Any],
    *,
    timeout: float,
    is_several: bool,
) -> int:
    """Take commands at a prompt until the person quits, or a signal comes; return the exit status.

    Raises:
        XpmRemoteError: No workspace lives any more.
    """
    from xpm_remote.ui.plain.lines import Lines
    from xpm_remote.ui.plain.session import Session

    def write(text: str) -> None:
        click.echo(text, nl=False)

    start = make_start(targets, given, timeout=timeout)
    lines = Lines(sys.stdin.fileno(), write, has_prompt=sys.stdin.isatty())
    return _run(Session(start, lines).run(), start, is_several=is_several)


def _run(work: Coroutine[Any, Any, None], start: Start, *, is_several: bool) -> int:
    try:
        return run_until_signal(work)
    except XpmRemoteError:
        if not is_several:
            raise
        return say_errors(start.errors)


def make_start(
    targets: Sequence[Target | LocalTarget], given: dict[str, Any], *, timeout: float
) -> Start:
    """Return what the dashboard begins with."""
    from xpm_remote.session.journal import Journal
    from xpm_remote.ui.screen.first_frame import is_unicode
    from xpm_remote.ui.screen.keys import rebound
    from xpm_remote.ui.screen.remembered import Views, views_path
    from xpm_remote.ui.screen.start import Start

    context = click.get_current_context().find_object(Context)
    is_set = context is not None and context.has_settings
    settings = context.read_settings(for_dashboard=True) if context and is_set else None
    return Start(
        targets=targets,
        timeout=timeout,
        interval=given["polling_interval"],
        views=Views(views_path(os.environ, Path.home())),
        is_ascii=given["is_ascii"] or not is_unicode(sys.stdout),
        journal=Journal(),
        keys=rebound(settings.keys if settings else {}),
        notices=settings.notices if settings else NoticeSettings(),
        folders={each.id: each.folders for each in settings.workspaces} if settings else {},
    )


def show_everything(context: Context, *, is_plain: bool) -> int:
    """Show the dashboard of all workspaces of the settings, or take commands; return the exit status."""
    given = {
        "workspace": (),
        "is_all": True,
        "is_ascii": False,
        "polling_interval": RECONCILE_INTERVAL,
    }
    targets: list[Target | LocalTarget] = []
    if context.has_settings:
        settings = context.load_settings()
        # Without one the dashboard says how to begin.
        targets = find_targets(context, settings, given) if settings.workspaces else []
    show = show_lines if wants_lines(is_plain=is_plain) else show_screen
    return show(targets, given, timeout=REQUEST_TIMEOUT, is_several=True)


UNBOUNDED = 1_000_000
"""Lines of a file: nothing is left out where there is no screen."""


async def show_once(fleet: Fleet, form: Format, *, is_several: bool = False) -> None:
    """Learn everything, print it as pictures or as one JSON document, end.

    What fails of several workspaces is printed as far as it is known; alone, its error is all there is to say.

    Raises:
        XpmRemoteError: A workspace could not be looked at, or something in it not be read.
    """
    for name, monitor in fleet.members.items():
        monitor.subscribe(WaitLines(monitor, name if is_several else "").write)

    def show() -> None:
        if is_several or not any(each.error for each in fleet.members.values()):
            _note_unreadable(fleet)
            _print_pictures(fleet, form, is_several=is_several)

    errors = await fleet.snapshot(call_for_login, show)
    failed = [error for error in errors.values() if error is not None]
    if failed and not is_several:
        raise failed[0]
    for monitor in fleet.members.values():
        if monitor.error is not None:
            raise monitor.error


def _note_unreadable(fleet: Fleet) -> None:
    """Make what cannot be read of a workspace its error."""
    for monitor in fleet.members.values():
        unreadable = monitor.picture.unreadable
        paths = [each.path for each in unreadable.files if each.path != SLURM]
        if monitor.error is None and paths:
            monitor.error = unreadable_error(paths, unreadable.left_out)


def _print_pictures(fleet: Fleet, form: Format, *, is_several: bool) -> None:
    now = time.time()
    if form is Format.JSON:
        if is_several:
            documents = [
                {
                    "workspace_id": name,
                    "exit_code": monitor.error.exit_code if monitor.error else 0,
                    **picture_document(monitor.picture, now),
                }
                for name, monitor in fleet.members.items()
            ]
            print_json([json_line(documents)])
            return
        print_json(
            json_line(picture_document(each.picture, now)) for each in fleet.members.values()
        )
        return
    from rich.console import Console

    from xpm_remote.ui.encoding import Encodable
    from xpm_remote.ui.views import dashboard

    console = Console()
    height = console.height - 1 if console.is_terminal else UNBOUNDED
    for name, monitor in fleet.members.items():
        title = name if is_several else ""
        picture = dashboard(monitor.picture, now, console.width, height, title=title)
        console.print(Encodable(picture))


class WaitLines:
    """Says on stderr what is waited for, once for each wait."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        self._monitor = monitor
        self._before = f"{safe(name)}: " if name else ""
        self._said: float | None = None

    def write(self, _: Update) -> None:
        """Print a line if there is a wait that has not been told."""
        stall = self._monitor.picture.stall
        if stall is not None and stall.since != self._said:
            self._said = stall.since
            lasted = span(time.time() - stall.since)
            click.echo(f"{self._before}not read for {lasted}: {stall_words(stall)}", err=True)


async def show_events(
    fleet: Fleet, form: Format, *, progress: bool, is_several: bool = False
) -> None:
    """Print every change as it comes, one a line, until the links end or a signal comes."""
    events: dict[str, EventLines] = {}
    # A line between a question and its answer would be typed into.
    is_shared = is_terminal(sys.stdout)
    held: list[str] = []

    def write(name: str, update: Update) -> None:
        if name not in events:
            label = name if is_several else ""
            events[name] = EventLines(form, progress=progress, name=label)
        held.extend(events[name].lines(update, fleet.members[name].picture, time.time()))
        if is_shared and any(each.picture.link.is_asking for each in fleet.members.values()):
            return
        lines = held.copy()
        held.clear()
        if form is Format.JSON:
            print_json(lines)
        else:
            for line in lines:
                click.echo(line)  # which flushes

    fleet.subscribe(write)
    await fleet.run(call_for_login)


async def call_for_login(login: Login) -> bool:
    """Wait for the person before a host asks; at the start there is one, who has just started us."""
    from xpm_remote.ui.keyboard import call_person

    if login.is_first:
        TerminalPrompter().tell(login.words)
        return True
    return await call_person(login.way, login.asked)


WEB = "experiments monitor --web"


@click.command(
    name="monitor",
    epilog=examples(
        "experimaestro experiments monitor",
        "experimaestro experiments monitor --workdir ~/experiments --once --format json",
        "experimaestro experiments monitor --workspace local --events-viewer",
        "experimaestro experiments monitor --all",
    ),
)
@click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
@workspaces_options
@showing_options
@click.option("--console", is_flag=True, help="Accepted for compatibility: it is the default.")
@click.option("--web", is_flag=True, help="Have experimaestro itself show its web page.")
@click.option("--port", type=int, help="With --web: the port of that page.")
@click.pass_obj
def monitor(
    context: Context,
    /,
    *,
    workdir: str | None,
    console: bool,
    web: bool,
    port: int | None,
    **given: Any,  # noqa: ANN401 - as declared above, each with its type
) -> int:
    """Watch the experiments and jobs of a workspace of this machine.

    Without --workdir and --workspace it is the default one of the settings. Nothing in it is changed.
    With several --workspace, or --all, they are watched together, those on other hosts too.

    On a terminal this is the full-screen dashboard: ? shows its keys, q ends it. With --inline, press Ctrl-C to
    end; the last picture stays on the screen.
    """
    if port is not None and not web:
        raise UsageError("--port is for the web page", "add --web, or leave it out")
    if web and (console or given["once"] or given["events_viewer"]):
        raise UsageError("--web shows a page and nothing here", "leave the other one out")
    check_format(given)
    if is_several(context, given):
        if web:
            raise UsageError("--web shows the page of one workspace", "name that one alone")
        targets = find_targets(context, context.load_settings(), {**given, "workdir": workdir})
        return watch(targets, given, timeout=REQUEST_TIMEOUT, is_several=True)
    workspace, workdir = one_name(given) or context.workspace, workdir or context.workdir
    if web:
        places = {"workspace": workspace, "workdir": workdir}
        named = [f"--{name}={value}" for name, value in places.items() if value]
        check_local(context, quoted(WEB), ["experiments", *named, "monitor", "--web"])
        require_installed(WEB)
    found, root = _find(context, workspace, workdir)
    if web:
        # The real experimaestro has a web page.
        context.check_shared(f'"{WEB}"')
        at = [] if port is None else ["--port", str(port)]
        words = ["experiments", "--workdir", str(root), "monitor", *at]
        hand_over([*context.peer_flags, *words], os.environ)
    target = LocalTarget(platform.node(), str(root), found.id, found.slurm_interval)
    return watch([target], given, timeout=REQUEST_TIMEOUT)


def _find(context: Context, workspace: str | None, workdir: str | None) -> tuple[Workspace, Path]:
    """Find the workspace that is meant, and its directory.

    Raises:
        WorkspaceError: There is none, or it is on another host.
        NotAWorkspaceFailure: The directory is no workspace.
    """
    from xpm_remote.jobs.opening import check_here  # with what reads workspaces

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
    return found, root


@click.command(
    name="ssh-monitor",
    epilog=examples(
        "experimaestro experiments ssh-monitor --workspace my-cluster",
        "experimaestro experiments ssh-monitor --workspace my-cluster --workspace other-cluster",
        "experimaestro experiments ssh-monitor --all --once --format json",
        "experimaestro experiments ssh-monitor user@cluster /data/experiments -o '-p 2222' --once --format json",
    ),
)
@connections_options
@showing_options
@click.option("--dry-run", is_flag=True, help="Print what would be connected to and run, and end.")
@click.option("--web", is_flag=True, hidden=True, help="Not there yet.")
@click.option("--port", type=int, hidden=True, help="Not there yet.")
@click.pass_obj
def ssh_monitor(context: Context, /, *, web: bool, port: int | None, **given: Any) -> int:  # noqa: ANN401
    """Watch the experiments and jobs of a workspace on a remote host.

    HOST is host, user@host, ssh://user@host:port or an alias of ~/.ssh/config; REMOTE_WORKDIR is the
    directory of the workspace there. With --workspace, both may come from the settings. With several
    --workspace, or --all, they are watched together, those of this machine too.

    On a terminal this is the full-screen dashboard: ? shows its keys, q ends it. With --inline, press Ctrl-C to
    end; the last picture stays on the screen.
    """
    if web or port is not None:
        raise UsageError("--web and --port are not there yet", "use the dashboard in the terminal")
    check_format(given, dry_run=given["dry_run"])
    several = is_several(context, given)
    settings = context.load_settings()
    targets: list[Target | LocalTarget]
    if several:
        targets = find_targets(context, settings, given)
    else:
        targets = [context.find_target(settings, {**given, "workspace": one_name(given)})]
    if given["dry_run"]:
        return run_until_signal(show_dry_run(targets, Format(given["form"]), is_several=several))
    return watch(targets, given, timeout=given["request_timeout"], is_several=several)


async def show_dry_run(
    targets: Sequence[Target | LocalTarget], form: Format, *, is_several: bool
) -> None:
    """Print the resolved connections, the backends, and the remote command lines."""
    documents = [await _dry_facts(target, is_several=is_several) for target in targets]
    if form is Format.JSON:
        print_json([json_line(documents if is_several else documents[0])])
        return
    for number, facts in enumerate(documents):
        if number:
            click.echo()
        for name, value in facts.items():
            text = ", ".join(value) if isinstance(value, list) else value
            click.echo(f"{name:<12} {safe(str(text))}")


async def _dry_facts(target: Target | LocalTarget, *, is_several: bool) -> dict[str, Any]:
    from xpm_remote.session.backends import describe_target

    name = {"workspace_id": target.label} if is_several else {}
    if isinstance(target, LocalTarget):
        return {**name, "host": target.name, "workspace": target.workspace, "serves": "agent"}
    link, served = await describe_target(target)
    return {**name, **link, "workspace": target.workspace, **served}
