"""The commands of the line mode: their names and what they do. Pure."""

from __future__ import annotations

from typing import NamedTuple

from xpm_remote.escaping import nearest, safe


class Command(NamedTuple):
    """A command.

    Attributes:
        name: Its name.
        takes: What follows it.
        does: What it does.
    """

    name: str
    takes: str
    does: str


COMMANDS = (
    Command("fleet", "", "list the workspaces with their experiments"),
    Command("jobs", "[WORKSPACE]", "list the jobs of all workspaces, or of one"),
    Command("failures", "", "list why jobs failed, cause by cause"),
    Command("open", "N", "go to line N; N alone does the same"),
    Command("job", "N or ID", "describe the job of line N, or the one whose id has this"),
    Command("log", "[N] [out]", "read the log of line N, or of this job: its traceback, else its end; out: stdout"),
    Command("more", "", "go on in the list or the log"),
    Command("earlier", "", "read what is before in the log"),
    Command("find", "[TEXT]", "list only jobs with these words, or that match a filter; in a log: lines with the text"),
    Command("sort", "[COLUMN]", "sort the jobs by a column or tag.NAME, with - before it the other way round"),
    Command("group", "[NAME]", "group the jobs by experiment, task, state, cause, cluster or tag.NAME"),
    Command("x", "ACTION [N ...]", "plan to kill, clean, archive or recover jobs: x kill 3 5-9, x clean all"),
    Command("back", "", "go back one step"),
    Command("again", "", "list this anew"),
    Command("activity", "", "list what changed last"),
    Command("retry", "[WORKSPACE]", "try the link again now, or log in"),
    Command("help", "", "list the commands"),
    Command("quit", "", "end"),
)  # fmt: skip


def help_lines() -> list[str]:
    """Return the help."""
    return [f"{' '.join(filter(None, (c.name, c.takes)))}: {c.does}" for c in COMMANDS]


def command_of(word: str) -> str:
    """Return the name of a command, which may be shortened while only one begins so.

    Raises:
        ValueError: There is no such command, or several.
    """
    names = [command.name for command in COMMANDS]
    if word == "?":
        return "help"
    found = [word] if word in names else [name for name in names if name.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{safe(word)} may be {' or '.join(found)}")
    guess = nearest(word, names)
    raise ValueError(f"there is no command {safe(word)}; {guess or 'help lists them'}")
