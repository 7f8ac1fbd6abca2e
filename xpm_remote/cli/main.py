"""The root of the command tree and its groups, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from xpm_remote import __version__
from xpm_remote.cli import hanging
from xpm_remote.cli.context import Context, workspace_option
from xpm_remote.cli.groups import CommandTree
from xpm_remote.cli.output import examples, is_terminal, say, set_up_logs
from xpm_remote.cli.peer import PEER, installed_version
from xpm_remote.cli.streams import OutputLostError, finish, guard_streams
from xpm_remote.errors import (
    ExitCode,
    SettingsError,
    StoppedBySignal,
    UsageError,
    XpmRemoteError,
    exit_code_of,
)
from xpm_remote.escaping import safe
from xpm_remote.workspace.failures import WorkspaceFailure

COMMANDS = {
    "doctor": "xpm_remote.cli.doctor:doctor",
    "orphans": "xpm_remote.cli.orphans:orphans",
    "run-experiment": "xpm_remote.cli.run_experiment:run_experiment",
}
ABOUTS = {
    "doctor": "Find out why a remote workspace cannot be watched, or what is slow about it.",
    "experiments": "Look at experiments and their jobs.",
    "jobs": "Look at jobs, archive them, and bring them back.",
    "orphans": "List the jobs that no run of any experiment refers to.",
    "run-experiment": "Run an experiment in the workspace that is meant for it.",
    "workspaces": "Look at the workspaces of the settings.",
}
# Of 2.7.0; others are found by asking, when it is installed.
PEER_COMMANDS = (
    "check-documentation",
    "cleanup",
    "connectors",
    "deprecated",
    "find-launchers",
    "install-skill",
    "launchers",
    "migrate",
    "parameters-difference",
    "refactor",
    "rpyc-server",
    "run",
    "tokens",
    "version",
)

EXPERIMENTS = {
    "monitor": "xpm_remote.cli.monitor:monitor",
    "ssh-monitor": "xpm_remote.cli.monitor:ssh_monitor",
}
EXPERIMENTS_ABOUTS = {
    "monitor": "Watch the experiments and jobs of a workspace of this machine.",
    "ssh-monitor": "Watch the experiments and jobs of a workspace on a remote host.",
}
# Of 2.7.0; others are found by asking, when it is installed.
EXPERIMENTS_OF_PEER = (
    "actions",
    "carbon",
    "copy",
    "history",
    "history-prune",
    "list",
    "monitor-server",
    "services",
    "tag",
    "tags",
    "untag",
)

JOBS = {
    "archive": "xpm_remote.cli.jobs_archive:archive",
    "clean": "xpm_remote.cli.jobs_act:clean",
    "detail": "xpm_remote.cli.jobs_explain:detail",
    "failures": "xpm_remote.cli.jobs_explain:failures",
    "kill": "xpm_remote.cli.jobs_act:kill",
    "list": "xpm_remote.cli.jobs_show:list_jobs",
    "log": "xpm_remote.cli.jobs_log:log",
    "path": "xpm_remote.cli.jobs_show:path",
    "recover": "xpm_remote.cli.jobs_recover:recover",
}
JOBS_ABOUTS = {
    "archive": "Copy or move jobs that succeeded to the backup and move folders of the workspace.",
    "clean": "Remove the directories of jobs that have ended.",
    "detail": "Show what is known of a job.",
    "failures": "Show why jobs failed, cause by cause.",
    "kill": "End the processes of jobs, with all that they started.",
    "list": "List jobs.",
    "log": "Show what jobs printed: their standard error, or with --std their standard output.",
    "path": "Print the directory of a job.",
    "recover": "Bring jobs back from the folders of the workspace.",
}
# Of 2.7.0; others are found by asking, when it is installed.
JOBS_OF_PEER = ("stray",)

WORKSPACES = {
    "check": "xpm_remote.cli.workspaces:check",
    "list": "xpm_remote.cli.workspaces:list_workspaces",
    "migrate": "xpm_remote.cli.workspaces:migrate_settings",
    "show": "xpm_remote.cli.workspaces:show",
    "which": "xpm_remote.cli.workspaces:which",
}
WORKSPACES_ABOUTS = {
    "check": "Show every error and every warning in the settings.",
    "list": "List the workspaces.",
    "migrate": "Rewrite alt_workspaces to folders.",
    "show": "Show what holds for a workspace, and where it comes from.",
    "which": "Show which workspace an experiment goes to, and why.",
}


def _show_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if not is_asked or ctx.resilient_parsing:
        return
    click.echo(f"xpm-remote {__version__}")
    version = installed_version()
    if version is not None:
        click.echo(f"{PEER} {version}")
    ctx.exit()


@click.group(
    cls=CommandTree,
    lazy_commands=COMMANDS,
    abouts=ABOUTS,
    peer_commands=PEER_COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("experimaestro experiments ssh-monitor --workspace my-cluster"),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show our version, and experimaestro's where it is installed.",
)
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read these settings instead of ~/.config/experimaestro/settings.yaml"
    " (or of the file that XPM_REMOTE_SETTINGS names).",
)
@click.option("--debug", is_flag=True, help="Write a log to stderr.")
@click.option("--quiet", is_flag=True, help="Leave warnings out.")
@click.option(
    "--plain",
    is_flag=True,
    help="Without a command: numbered lines and a prompt instead of the dashboard.",
)
@click.option("--logging", "levels", metavar="LEVELS", help="For experimaestro's own commands.")
@click.option("--traceback", is_flag=True, help="For experimaestro's own commands.")
@click.pass_context
def root(
    ctx: click.Context,
    settings: Path | None,
    debug: bool,
    quiet: bool,
    plain: bool,
    levels: str | None,
    traceback: bool,
) -> int | None:
    """Watch experimaestro jobs on a cluster from here, over SSH.

    Without a command, on a terminal, this is the full-screen dashboard of all workspaces of the settings.
    """
    set_up_logs(debug=debug, quiet=quiet)
    given = {"--quiet": quiet, "--debug": debug, "--traceback": traceback}
    flags = [flag for flag, is_given in given.items() if is_given]
    if levels is not None:
        flags += ["--logging", levels]
    if not is_terminal(sys.stdout):
        ctx.color = False
    ctx.obj = Context(settings_file=settings, is_quiet=quiet, peer_flags=tuple(flags))
    if ctx.invoked_subcommand is not None:
        if plain:
            raise UsageError("--plain is for the dashboard", "add it behind monitor or ssh-monitor")
        return None
    from xpm_remote.cli.monitor import can_draw_screen, show_everything, wants_lines

    if wants_lines(is_plain=plain) or can_draw_screen():
        return show_everything(ctx.obj, is_plain=plain)
    click.echo(ctx.get_help(), err=True)
    return ExitCode.USAGE


@root.group(
    cls=CommandTree,
    lazy_commands=EXPERIMENTS,
    abouts=EXPERIMENTS_ABOUTS,
    peer_commands=EXPERIMENTS_OF_PEER,
    epilog=examples("experimaestro experiments ssh-monitor --workspace my-cluster"),
)
@click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
@workspace_option("The id of the workspace in the settings.")
@click.pass_obj
def experiments(context: Context, workdir: str | None, workspace: str | None) -> None:
    """Look at experiments and their jobs."""
    context.workdir = workdir
    context.workspace = workspace


@root.group(
    cls=CommandTree,
    lazy_commands=JOBS,
    abouts=JOBS_ABOUTS,
    peer_commands=JOBS_OF_PEER,
    epilog=examples("experimaestro jobs --workspace neuralir list --filter '@state = \"error\"'"),
)
@click.option("--workdir", metavar="DIR", help="The directory of the workspace.")
@workspace_option("The id of the workspace in the settings.")
@click.pass_obj
def jobs(context: Context, workdir: str | None, workspace: str | None) -> None:
    """Look at jobs, archive them, and bring them back.

    The workspace is that of --workspace, which may be a remote one, else the one at --workdir, else the first
    local one of the settings.
    """
    context.workdir = workdir
    context.workspace = workspace


@root.group(
    cls=CommandTree,
    lazy_commands=WORKSPACES,
    abouts=WORKSPACES_ABOUTS,
    epilog=examples("experimaestro workspaces which neuralir-12"),
)
def workspaces() -> None:
    """Look at the workspaces of the settings."""
    hanging.watch_calls()


def run() -> None:
    """Run the command line and exit with the documented status."""
    guard_streams()
    hanging.allow()
    program = Path(sys.argv[0]).name
    if program == "__main__.py":
        program = "xpm-remote"
    try:
        status = main(sys.argv[1:], program)
    except KeyboardInterrupt:  # while an error was printed
        status = ExitCode.INTERRUPTED
    except OutputLostError:
        status = ExitCode.OK
    sys.exit(finish(status))


def main(arguments: list[str], program: str = "xpm-remote") -> int:
    """Run one command line and return its exit status.

    Raises:
        OutputLostError: Its output cannot be written, and there is no work to be finished.
    """
    try:
        result = root.main(arguments, prog_name=program, standalone_mode=False)
    except SettingsError as error:
        # Only our own file is described line by line; what a remote said stays in one.
        for line in str(error).splitlines():
            say(f"{program}: {safe(line)}", err=True)
        return error.exit_code
    except (XpmRemoteError, WorkspaceFailure) as error:
        click.echo(f"{program}: {safe(str(error))}", err=True)
        return exit_code_of(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except StoppedBySignal as stopped:
        return stopped.exit_code
    return result if isinstance(result, int) else ExitCode.OK
