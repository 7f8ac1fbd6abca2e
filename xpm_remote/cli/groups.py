"""Groups of the command tree: our commands imported when used, experimaestro's handed over and listed in the help."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click

from xpm_remote.cli.context import Context
from xpm_remote.cli.output import say
from xpm_remote.cli.peer import (
    INSTALL,
    PEER,
    ask_commands,
    check_local,
    hand_over,
    installed_version,
    is_installed,
    require_installed,
)
from xpm_remote.errors import UsageError
from xpm_remote.escaping import nearest, quoted


class LazyGroup(click.Group):
    """A group that knows its commands by ``name -> module:attribute``: only commands are imported by strings."""

    def __init__(self, *args: Any, lazy_commands: Mapping[str, str], **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._lazy = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names, imported or not."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


_REST = f"{__name__}.rest"


class CommandTree(LazyGroup):
    """A group of our commands and experimaestro's.

    Args:
        args: As for any group.
        abouts: What each of our commands is for, so that the help imports none of them.
        peer_commands: The commands that experimaestro is known to have in this group besides.
        kwargs: As for a lazy group.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401
        abouts: Mapping[str, str],
        peer_commands: Collection[str] = (),
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self._abouts = abouts
        self._peer_commands = peer_commands

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command of ours, or make one that hands everything over as it was written."""
        # The root comes first, so these are all words but its own options; shared with the groups below.
        rest: tuple[str, ...] = ctx.meta.setdefault(_REST, tuple(args))
        name = args[0]
        if ctx.resilient_parsing or name in self.list_commands(ctx):
            return super().resolve_command(ctx, args)
        self._check_foreign(ctx, name, rest)
        return name, _HandedOver(name, rest), args[1:]

    def _check_foreign(self, ctx: click.Context, name: str, rest: Sequence[str]) -> None:
        """Check a command that is not ours before it is handed over.

        Raises:
            WorkspaceError: It is meant for a workspace on another host.
            SettingsError: It names a workspace, and the settings cannot be used.
            MissingPeerError: It is experimaestro's, which is not installed.
            UsageError: There is no such command.
        """
        path = " ".join([*_groups(ctx), name])
        # The root's own callback, which makes the context, runs after this.
        context = ctx.obj or Context(settings_file=ctx.params["settings"])
        if name in self._peer_commands:
            # Before anything else: whether experimaestro is installed must make no difference.
            check_local(context, quoted(path), rest)
            require_installed(path)
            return
        question = nearest(name, self.list_commands(ctx))
        what = f"there is no command {quoted(path)}"
        if not is_installed():
            hint = f"should it be one of experimaestro's own: {INSTALL}"
            raise UsageError(what, question or hint)
        check_local(context, quoted(path), rest)
        if question:
            say(f"{ctx.find_root().info_name}: {what} of ours; {question}", err=True)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List our commands, and those that would be handed over."""
        ours = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._abouts[name]) for name in ours])
        version = installed_version()
        if version is not None:
            theirs = ask_commands(_groups(ctx)) or dict.fromkeys(self._peer_commands, "")
            rows = [each for each in sorted(theirs.items()) if each[0] not in ours]
            if rows:
                with formatter.section(f"Commands of {PEER} {version}, which runs them"):
                    formatter.write_dl(rows)
        elif self._peer_commands:
            formatter.write_paragraph()
            names = ", ".join(sorted(self._peer_commands))
            formatter.write_text(f"With {PEER} installed here ({INSTALL}), also: {names}.")


class _HandedOver(click.Command):
    """A command of experimaestro's.

    Args:
        name: Its name.
        rest: All words of the command line but the options of our root.
    """

    def __init__(self, name: str, rest: tuple[str, ...]) -> None:
        super().__init__(name, add_help_option=False)
        self._rest = rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leave the words unparsed."""
        ctx.args = args
        return []

    def invoke(self, ctx: click.Context) -> None:
        """Hand over."""
        context: Context = ctx.obj
        context.check_shared(quoted(" ".join(self._rest[:2])))
        hand_over([*context.peer_flags, *self._rest], os.environ)


def _groups(ctx: click.Context) -> list[str]:
    """Return the names on the way from the root to a group."""
    names: list[str] = []
    here: click.Context | None = ctx
    while here is not None and here.parent is not None:
        names.insert(0, here.info_name or "")
        here = here.parent
    return names
