"""``doctor``: the whole way to a remote workspace, stage by stage."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.options import connection_options, format_option
from xpm_remote.cli.output import examples, is_terminal, print_json, say
from xpm_remote.doctor.stages import LISTEN_TIME, Examination, Stage, StageResult, Verdict
from xpm_remote.errors import UsageError, XpmRemoteError
from xpm_remote.escaping import safe
from xpm_remote.link.course import SlowWaits
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import InvalidSettingsError, Problem, Settings
from xpm_remote.ui.documents import json_line
from xpm_remote.ui.reports.doctor import (
    VALUES,
    examination_document,
    head_line,
    stage_lines,
    summary_line,
)
from xpm_remote.ui.text import Line
from xpm_remote.waiting import run_until_signal

_COLOURS = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILED: "red",
    Verdict.SKIPPED: "bright_black",
}
_QUIET = (Stage.CONFIGURATION, Stage.HOST_KEY, Stage.AUTHENTICATION)
"""Stages in which a person may be asked, or an error be printed: nothing may stand where that goes."""

_ERASE_LINE = "\r\x1b[2K"


@click.command(
    name="doctor",
    epilog=examples(
        "experimaestro doctor --workspace my-cluster",
        "experimaestro doctor user@cluster /data/experiments -o '-p 2222' --format json",
    ),
)
@connection_options
@click.option(
    "--listen",
    type=click.FloatRange(min=0),
    default=LISTEN_TIME,
    show_default=True,
    metavar="S",
    help="Seconds to listen for events of running jobs, to measure how late they come; 0 for not at all.",
)
@format_option
@click.pass_obj
def doctor(context: Context, /, *, is_json: bool, listen: float, **given: Any) -> int:  # noqa: ANN401 - as declared above
    """Find out why a remote workspace cannot be watched, or what is slow about it.

    Goes the whole way once, and says of each stage how long it took and what it brought: configuration,
    name, TCP, host key, login, shell, shell_init, tools, workspace, clock, server, snapshot, events. The
    first stage that fails says what to do, and its exit status is the command's.

    HOST and REMOTE_WORKDIR are those of experiments ssh-monitor.
    """
    report = _Report(is_live=is_terminal(sys.stdout))
    examination = Examination(
        time.monotonic, (lambda _: None) if is_json else report.show, SlowWaits(report.tell)
    )
    target = _begin(context, given, examination)
    if target is not None:
        # Not imported for the help, as the SSH library that comes with it.
        from xpm_remote.doctor.examine import examine

        work = examine(target, examination, timeout=given["request_timeout"], listen=listen)
        if status := run_until_signal(work):
            report.interrupt()
            return status
    if is_json:
        host = target.name if target is not None else given["host"] or ""
        directory = target.workspace if target is not None else given["remote_workdir"] or ""
        print_json([json_line(examination_document(examination, host, directory, time.time()))])
    else:
        click.echo(summary_line(examination))
    if examination.failure is not None and (is_json or not report.is_live):
        raise examination.failure
    return examination.exit_code


def _without_dashboard(context: Context) -> Sequence[Problem]:
    """Return what keeps the dashboard, and nothing else, from beginning."""
    try:
        context.read_settings(for_dashboard=True)
    except InvalidSettingsError as error:
        return error.problems
    return ()


def _begin(context: Context, given: dict[str, Any], examination: Examination) -> Target | None:
    """Begin with the configuration; None when that fails.

    Raises:
        UsageError: The command line does not fit together: nothing is examined.
    """
    examination.begin(Stage.CONFIGURATION)
    try:
        settings = context.read_settings()
        for problem in (*settings.warnings, *_without_dashboard(context)):
            examination.warn(str(problem))
        target = context.find_target(settings, given)
    except UsageError:
        raise
    except XpmRemoteError as error:
        examination.fail(error)
        return None
    examination.note("settings", _place(settings, given["workspace"] or context.workspace))
    examination.note("workspace", target.workspace)
    return target


def _place(settings: Settings, workspace_id: str | None) -> str | None:
    """Return file and line of a workspace in the settings."""
    ids = [each.id for each in settings.workspaces]
    if workspace_id is None:
        return None
    position = settings.positions.get(f"workspaces[{ids.index(workspace_id)}]")
    return f"{settings.path}:{position.line}" if position else str(settings.path)


class _Report:
    """The report on stdout, as it is made.

    Args:
        is_live: Whether it is a terminal, so that the stage in progress is shown, too.
    """

    def __init__(self, *, is_live: bool) -> None:
        self.is_live = is_live
        self._is_open = False

    def show(self, result: StageResult) -> None:
        """Show a stage that begins or has ended."""
        self._erase()
        if result.verdict is Verdict.RUNNING:
            if self.is_live and result.stage not in _QUIET:
                width = shutil.get_terminal_size().columns
                click.echo(f"{head_line(result)} …"[: width - 1], nl=False)
                self._is_open = True
            return
        for line in stage_lines(result):
            if line.verdict is None:
                say(Line(line.text, VALUES))
            else:
                word = line.verdict.value
                click.echo(click.style(word, fg=_COLOURS[line.verdict]) + line.text[len(word) :])

    def tell(self, line: str) -> None:
        """Print a line about the stage in progress on stderr."""
        self.interrupt()
        self._is_open = False
        say(safe(line), err=True)

    def interrupt(self) -> None:
        """Leave the stage in progress as it is."""
        if self._is_open:
            click.echo()

    def _erase(self) -> None:
        if self._is_open:
            click.echo(_ERASE_LINE, nl=False)
            self._is_open = False
