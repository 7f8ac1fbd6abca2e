"""What is typed after ``:``: commands, their completion, and what is wrong with one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        does: What it does, for the palette.
        run: Is called with what follows its name; returns what is wrong, or an empty text.
        values: Returns what may follow.
    """

    does: str
    run: Callable[[str], str]
    values: Callable[[], Iterable[str]] = tuple


def candidates(text: str, commands: Mapping[str, Command]) -> list[str]:
    """Return the whole lines that what was typed may become."""
    name, blank, argument = text.partition(" ")
    if not blank:
        return sorted(each for each in commands if each.startswith(name))
    command = commands.get(name)
    if command is None:
        return []
    return [f"{name} {value}" for value in command.values() if value.startswith(argument.lstrip())]


def completed(text: str, commands: Mapping[str, Command]) -> str:
    """Return the text with what all its candidates have in common; a blank follows a whole command."""
    found = candidates(text, commands)
    if not found:
        return text
    common = _common_start(found)
    is_whole = len(found) == 1 and common in commands and any(commands[common].values())
    return common + " " * is_whole


def _common_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    length = next((at for at, char in enumerate(first) if last[at : at + 1] != char), len(first))
    return first[:length]


def run(text: str, commands: Mapping[str, Command]) -> str:
    """Run a command, which may be shortened while only one begins so; return what is wrong, or an empty text."""
    name, _, argument = text.strip().partition(" ")
    if not name:
        return ""
    found = [name] if name in commands else candidates(name, commands)
    if len(found) != 1:
        known = ", ".join(found or sorted(commands))
        return (
            f"{name} may be {known}" if found else f"there is no command {name}; there are {known}"
        )
    return commands[found[0]].run(argument.strip())
