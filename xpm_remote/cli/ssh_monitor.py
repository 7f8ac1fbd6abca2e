"""``experiments ssh-monitor``: watch a workspace on a remote host."""

from __future__ import annotations

from typing import Any

import click

from xpm_remote.cli.connecting import connection_options, find_target
from xpm_remote.cli.context import Context
from xpm_remote.cli.monitoring import showing_options, watch
from xpm_remote.cli.signals import run_until_signal
from xpm_remote.errors import UsageError
from xpm_remote.ui.plain import Format


@click.command(
    name="ssh-monitor",
    epilog="Examples: experimaestro experiments ssh-monitor --workspace my-cluster"
    " · … ssh-monitor user@cluster /data/experiments -o '-p 2222' --once --format json",
)
@connection_options
@showing_options
@click.option("--dry-run", is_flag=True, help="Print what would be connected to and run, and end.")
@click.option("--web", is_flag=True, help="Not there yet.")
@click.option("--port", type=int, help="Not there yet.")
@click.pass_obj
def ssh_monitor(
    context: Context,
    /,
    *,
    web: bool,
    port: int | None,
    **given: Any,  # noqa: ANN401 - as declared above, each with its type
) -> int:
    """Watch the experiments and jobs of a workspace on a remote host.

    HOST is host, user@host, ssh://user@host:port or an alias of ~/.ssh/config; REMOTE_WORKDIR is the
    directory of the workspace there. With --workspace, both may come from the settings.

    Press Ctrl-C to end; the last picture stays on the screen.
    """
    if web or port is not None:
        raise UsageError("--web and --port are not there yet", "use the dashboard in the terminal")
    target = find_target(context, context.load_settings(), given)
    if given["dry_run"]:
        from xpm_remote.cli.show_dry_run import show_dry_run

        return run_until_signal(show_dry_run(target, Format(given["form"])))
    return watch(target, given, timeout=given["request_timeout"])
