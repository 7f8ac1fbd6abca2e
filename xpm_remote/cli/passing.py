"""A command whose words are passed on as they were written, but for a few options."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import click

_WORDS = f"{__name__}.words"


class PassingCommand(click.Command):
    """A command that remembers its words as they were written."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them, too."""
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)


def words_without(ctx: click.Context, dropped: Collection[str]) -> list[str]:
    """Give the words of a passing command without some options and their values."""
    values = {
        name: 0 if option.is_flag else option.nargs
        for option in ctx.command.params
        if isinstance(option, click.Option)
        for name in option.opts
    }
    return drop_options(ctx.meta[_WORDS], dropped, values)


def drop_options(
    words: Sequence[str], dropped: Collection[str], values: Mapping[str, int]
) -> list[str]:
    """Leave out options; everything else stays, in its order and spelling.

    Args:
        words: The command line.
        dropped: The names of the options to leave out.
        values: How many values each option takes, by name; an unknown one takes none.
    """
    kept: list[str] = []
    index = 0
    while index < len(words) and words[index] != "--":
        name, is_attached = _option(words[index])
        end = index + 1 + max(0, values.get(name, 0) - is_attached)
        if name not in dropped:
            kept += words[index:end]
        index = end
    return [*kept, *words[index:]]


def _option(word: str) -> tuple[str, bool]:
    """The name of an option, and whether a value is attached to it; an argument is its own name."""
    if word.startswith("--"):
        name, equals, _ = word.partition("=")
        return name, bool(equals)
    if word.startswith("-"):
        return word[:2], len(word) > len("-c")
    return word, False
