"""The root of the command tree, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

from xpm_remote import __version__
from xpm_remote.cli.context import Context
from xpm_remote.cli.lazy import LazyGroup
from xpm_remote.errors import ExitCode, SettingsError, XpmRemoteError
from xpm_remote.ui.text import safe

COMMANDS = {"experiments": "xpm_remote.cli.experiments:experiments"}


@click.group(
    cls=LazyGroup,
    lazy_commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: experimaestro experiments ssh-monitor --workspace my-cluster",
)
@click.version_option(__version__, prog_name="xpm-remote")
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read these settings instead of ~/.config/experimaestro/settings.yaml"
    " (or of the file that XPM_REMOTE_SETTINGS names).",
)
@click.option("--debug", is_flag=True, help="Write a log to stderr.")
@click.pass_context
def root(ctx: click.Context, settings: Path | None, debug: bool) -> None:
    """Watch experimaestro jobs on a cluster from here, over SSH."""
    level = logging.DEBUG if debug else logging.ERROR
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    ctx.obj = Context(settings_file=settings)


def run() -> None:
    """Run the command line and exit with the documented status."""
    program = Path(sys.argv[0]).name
    if program == "__main__.py":
        program = "xpm-remote"
    sys.exit(main(sys.argv[1:], program))


def main(arguments: list[str], program: str = "xpm-remote") -> int:
    """Run one command line; give its exit status."""
    try:
        result = root.main(arguments, prog_name=program, standalone_mode=False)
    except XpmRemoteError as error:
        # Only our own file is described line by line; what a remote said stays in one.
        lines = str(error).splitlines() if isinstance(error, SettingsError) else [str(error)]
        for line in lines:
            click.echo(f"{program}: {safe(line)}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.UNEXPECTED
    return result if isinstance(result, int) else ExitCode.OK
