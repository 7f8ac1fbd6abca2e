"""The options of the root and the groups, as the commands below them get them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xpm_remote.cli.output import say
from xpm_remote.errors import SettingsError, UsageError
from xpm_remote.escaping import safe
from xpm_remote.link.remote.command import TESTED_VERSION
from xpm_remote.link.waits import START_TIMEOUT
from xpm_remote.settings.reader import (
    PATH_VARIABLE,
    default_settings_path,
    load_settings,
    no_problems,
)
from xpm_remote.settings.schema import Backend, Settings, SshEngine
from xpm_remote.settings.workspaces import local_path

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from xpm_remote.session.target import Target
    from xpm_remote.workspace.failures import UnreadFile

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass
class Context:
    """The options of the groups.

    Attributes:
        settings_file: The settings file that was named, if one was.
        is_quiet: Whether warnings are left out.
        peer_flags: The options of our root that experimaestro's root has too, as words.
        workspace: The workspace id that was named at the group.
        workdir: The directory that was named at the group.
    """

    settings_file: Path | None = None
    is_quiet: bool = False
    peer_flags: tuple[str, ...] = ()
    workspace: str | None = None
    workdir: str | None = None

    @property
    def settings_path(self) -> Path:
        """The settings file."""
        return self.settings_file or default_settings_path(os.environ, Path.home())

    @property
    def shared_path(self) -> Path:
        """The settings file that experimaestro reads, whatever ours is."""
        return default_settings_path({}, Path.home())

    @property
    def has_settings(self) -> bool:
        """Whether there is a settings file, as one that was named has to be."""
        return self.settings_path != self.shared_path or os.path.lexists(self.shared_path)

    @property
    def is_shared(self) -> bool:
        """Whether experimaestro reads the same settings file."""
        try:
            return self.settings_path == self.shared_path or self.settings_path.samefile(
                self.shared_path
            )
        except OSError:
            return False

    def directory(self, name: str | None) -> Path | None:
        """Make a directory of the command line absolute; None when none was given, or an empty name.

        Raises:
            UsageError: It starts with ``~name``, and there is no user of that name.
        """
        if not name:
            return None
        try:
            return local_path(name, home=Path.home(), cwd=Path.cwd())
        except LookupError as error:
            raise UsageError(f"the directory {name}: {error.args[0]}") from error

    def load_settings(self) -> Settings:
        """Read the settings; warnings about them go to stderr.

        Raises:
            SettingsError: The file cannot be used.
        """
        settings = self.read_settings()
        for problem in settings.warnings:
            self.warn(str(problem))
        return settings

    def read_settings(self, *, for_dashboard: bool = False) -> Settings:
        """Read the settings, and keep the warnings about them.

        Args:
            for_dashboard: Whether its keys have to fit its actions: nothing else fails for want of that.

        Raises:
            InvalidSettingsError: The file cannot be used.
        """
        check = _key_problems if for_dashboard else no_problems
        return load_settings(self.settings_path, os.environ, Path.home(), check_keys=check)

    def find_target(self, settings: Settings, given: dict[str, Any]) -> Target:
        """Return what to connect to: the command line over the settings.

        Raises:
            UsageError: The command line does not say which host or directory, or two options exclude each other.
            WorkspaceError: The workspace is unknown or not remote.
            OptionError: An SSH option is malformed or cannot be honoured.
        """
        from xpm_remote.session.target import Overrides, resolve_target  # most commands need none

        if given["force_version"] and given["remote_xpm"]:
            raise UsageError(
                "--force-version is for uv, --remote-xpm goes without it", "leave one out"
            )
        overrides = Overrides(
            host=given["host"],
            workdir=given["remote_workdir"] or self.workdir,
            shell_init=given["remote_shell_init"],
            uv_offline=given["uv_offline"],
            python=given["remote_python"],
            xpm_path=given["remote_xpm"],
            options=given["options"],
            version=_local_version() if given["force_version"] else None,
            engine=SshEngine(given["engine"]) if given["engine"] else None,
            backend=Backend(given["backend"]) if given["backend"] else None,
            start_timeout=given["start_timeout"] or START_TIMEOUT,
        )
        return resolve_target(settings, given["workspace"] or self.workspace, overrides)

    def warn(self, warning: str) -> None:
        """Print a warning on stderr."""
        if not self.is_quiet:
            say(f"warning: {safe(warning)}", err=True)

    def warn_unread(self, problems: Iterable[UnreadFile]) -> None:
        """Print on stderr which files could not be read, and why."""
        for problem in problems:
            self.warn(f"{problem.path} {problem.why}")

    def check_shared(self, command: str) -> None:
        """Warn that experimaestro does not read our settings file, where it is another one.

        Raises:
            UsageError: That file was named on this command line.
        """
        if self.is_shared:
            return
        what = f"{command} is run by experimaestro itself, which reads {self.shared_path} only"
        if self.settings_file is not None:
            raise UsageError(what, "leave --settings out")
        self.warn(f"{what}, not the file of {PATH_VARIABLE}")


def _key_problems(rebinds: Mapping[str, tuple[str, ...]]) -> Iterable[tuple[str, str, str]]:
    if not rebinds:
        return ()
    from xpm_remote.ui.screen.keys import problems  # few settings have keys

    return problems(rebinds)


def _local_version() -> str:
    """Return the version of the experimaestro that is installed beside us, else the one we are tested with."""
    from importlib import metadata  # with the standard library's mail

    try:
        version = metadata.version("experimaestro")
    except metadata.PackageNotFoundError:
        return TESTED_VERSION
    # A development version is on no index; the release that it leads to may be.
    return re.sub(r"\.dev\d+.*", "", version)


def complete_workspace(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the ids of workspaces that begin so, for the shell; none where the settings cannot be used."""
    from click.shell_completion import CompletionItem  # while a shell completes only

    try:
        settings = Context(settings_file=ctx.find_root().params.get("settings")).read_settings()
    except SettingsError:
        return []
    return [
        CompletionItem(each.id, help=f"on {each.ssh.host}" if each.ssh else str(each.path))
        for each in settings.workspaces
        if each.id.startswith(incomplete)
    ]


def workspace_option(about: str, *, multiple: bool = False) -> Callable[[_Command], _Command]:
    """Return the option ``--workspace``, with its help."""
    return click.option(
        "--workspace",
        metavar="ID",
        multiple=multiple,
        shell_complete=complete_workspace,
        help=about,
    )
