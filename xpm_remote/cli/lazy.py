"""A click group whose commands are imported when they are used: starting costs what the command needs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands by ``name -> module:attribute``."""

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
        command: click.Command = load(self._lazy[cmd_name])
        return command


def load(name: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Import ``module:attribute`` and give the attribute."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
