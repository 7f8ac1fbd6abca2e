"""The one table of keys: bindings, footer, help, palette and docs/screen.md are made of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from xpm_remote.escaping import nearest, quoted
from xpm_remote.ui.tables.acts import LETTERS

FLEET, JOBS, FAILURES = "fleet", "jobs", "failures"
JOB, LOG, ACTIVITY, ACTION = "job", "log", "activity", "action"
TABLES = (FLEET, JOBS, FAILURES)
PAGES = (*TABLES, JOB, LOG, ACTIVITY)
MOVING = (*PAGES, ACTION)
OF_JOBS = (JOBS, FAILURES, JOB)


@dataclass(frozen=True)
class Key:
    """What a key does.

    Attributes:
        action: The name of the action, as in ``keys:`` of the settings.
        keys: The keys: characters as they are typed, all others as Textual names them.
        does: What it does, for the help.
        word: What the footer says; empty where it is not there.
        screens: Where it works; empty for everywhere.
    """

    action: str
    keys: tuple[str, ...]
    does: str
    word: str = ""
    screens: tuple[str, ...] = ()


KEYS: tuple[Key, ...] = (
    Key(
        "enter",
        ("enter",),
        "go in: to the jobs, the job, or the log under the cursor",
        "open",
        PAGES,
    ),
    Key("back", ("escape",), "go back one step: search, filter, marks, and then the screen"),
    Key("down", ("j", "down"), "move down", screens=MOVING),
    Key("up", ("k", "up"), "move up", screens=MOVING),
    Key("first", ("g", "home"), "go to the first line", screens=MOVING),
    Key("last", ("G", "end"), "go to the last line", screens=MOVING),
    Key("page_down", ("ctrl+d", "pagedown"), "move down by half a screen", screens=MOVING),
    Key("page_up", ("ctrl+u", "pageup"), "move up by half a screen", screens=MOVING),
    Key(
        "find",
        ("/",),
        "find as you type: words, or a filter; in a log: Enter searches all of it",
        "find",
        (*TABLES, LOG),
    ),
    Key("only", ("&",), "show only the lines of the log that have a text", "only", (LOG,)),
    Key("log", ("l",), "log: at the traceback if the job failed, else following", "log", OF_JOBS),
    Key("log_out", ("L",), "log: standard output", screens=OF_JOBS),
    Key("describe", ("d",), "all that is known of the job", "job", (FAILURES, LOG)),
    Key("other", ("tab", "e"), "the other log of the job", "other log", (LOG,)),
    Key("beside", ("|",), "both logs beside each other, from 120 columns on", screens=(LOG,)),
    Key("next_job", ("]",), "the next job of the list", "next job", (LOG, JOB)),
    Key("previous_job", ("[",), "the job before", screens=(LOG, JOB)),
    Key(
        "act",
        ("x",),
        "act on the marked, or what is under the cursor: kill, clean, archive, recover",
        "act",
        (*OF_JOBS, LOG),
    ),
    Key("confirm", ("y",), "do what is planned", "do it", (ACTION,)),
    Key(
        "yank",
        ("y",),
        "copy the path, id, command, traceback or rows, or a line of a log",
        screens=(*OF_JOBS, LOG),
    ),
    Key(
        "open",
        ("o",),
        "open a shell in the directory of the job, with ssh -t",
        screens=(*OF_JOBS, LOG),
    ),
    Key("mute", ("m",), "mute the cause, or tell of it again", "mute", (FAILURES,)),
    Key("command", (":",), "type a command; Tab completes it", "command"),
    Key("next", ("n",), "go to the next failure, cause or match", screens=(JOBS, FAILURES, LOG)),
    Key("previous", ("N",), "go to the one before", screens=(JOBS, FAILURES, LOG)),
    Key("sort", ("s",), "sort: then the key of a column; again reverses", "sort", (JOBS,)),
    Key("group", ("b",), "group by experiment, task, state, cause, tag", "group", (JOBS,)),
    Key(
        "fold",
        ("left",),
        "fold what is under the cursor; in a log: to the left",
        screens=(*TABLES, JOB, LOG),
    ),
    Key(
        "unfold",
        ("right",),
        "unfold what is under the cursor; in a log: to the right",
        screens=(*TABLES, JOB, LOG),
    ),
    Key("mark", ("space",), "mark or unmark, on a title its whole group", "mark", (JOBS, FAILURES)),
    Key("mark_all", ("*",), "mark all that are shown", screens=(JOBS,)),
    Key("unmark", ("u",), "remove all marks", screens=(JOBS, FAILURES)),
    Key("views", ("v",), "choose a view that was saved", screens=(JOBS,)),
    Key("columns", ("c",), "choose the columns", screens=(JOBS,)),
    Key("preview", ("p",), "show or hide the preview, from 160 columns on", screens=(JOBS,)),
    Key("retry", ("r",), "now: try the link again, log in", "now"),
    Key("fleet", ("1",), "go to the clusters with their experiments"),
    Key("jobs", ("2",), "go to all jobs", "jobs"),
    Key("failures", ("3",), "go to the failures by their causes", "failures"),
    Key("activity", ("4",), "go to what happened and was done"),
    Key("palette", ("ctrl+p",), "search all commands"),
    Key("help", ("?",), "search this help", "help"),
    Key("quit", ("q",), "quit at home, else go back"),
    Key("interrupt", ("ctrl+c",), "quit at once"),
    Key("suspend", ("ctrl+z",), "return to the shell; fg comes back"),
)

_SHOWN = {
    "space": "Space", "insert": "Ins", "delete": "Del", "backspace": "Backspace",
    "enter": "Enter", "escape": "Esc", "tab": "Tab", "down": "↓", "up": "↑", "left": "←", "right": "→",
    "home": "Home", "end": "End", "pagedown": "PgDn", "pageup": "PgUp",
}  # fmt: skip

_FUNCTION = re.compile(r"f\d+")


def shown(key: str) -> str:
    """Return how a key is shown: ``Ctrl-P``, ``Esc``."""
    modifier, plus, rest = key.partition("+")
    if plus and modifier:
        return f"{modifier.capitalize()}-{_SHOWN.get(rest, rest.upper())}"
    if _FUNCTION.fullmatch(key):
        return key.upper()
    return _SHOWN.get(key, key)


def first_shown(action: str, table: Iterable[Key] = KEYS) -> str:
    """Return how the first key of an action is shown."""
    return next(shown(key.keys[0]) for key in table if key.action == action)


def rebound(rebinds: Mapping[str, Sequence[str]], table: Sequence[Key] = KEYS) -> tuple[Key, ...]:
    """Return the table with other keys for some actions; ``problems`` has found none with them."""
    return tuple(
        replace(key, keys=tuple(rebinds[key.action])) if key.action in rebinds else key
        for key in table
    )


def problems(
    rebinds: Mapping[str, Sequence[str]], table: Sequence[Key] = KEYS
) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with other keys for actions: the action, what is wrong, what is allowed.

    Args:
        rebinds: The keys of actions, by their names.
        table: The table.
    """
    known = {key.action for key in table}
    for action in rebinds:
        if action not in known:
            guess = nearest(action, known)
            what = "there is no such action" + (f"; {guess}" if guess else "")
            yield action, what, ", ".join(sorted(known))
    order = list(rebinds)
    for one, other, both in conflicts(rebound(rebinds, table)):
        # It is told where the settings cause it, at the last place.
        at, against = sorted(
            (one, other), key=lambda each: order.index(each) if each in order else -1
        )[::-1]
        what = f"the key {quoted(shown(both))} is that of {against} already"
        yield at, what, f"another key, or another one for {against} too"
    changed = {key.action: key.keys for key in rebound(rebinds, table)}
    beginning = {"enter", *LETTERS, *changed["act"]}
    for both in sorted(beginning & set(changed["confirm"])):
        at = "confirm" if "confirm" in rebinds else "act"
        what = (
            f"the key {quoted(shown(both))} begins what confirm does, and a slip may press it twice"
        )
        yield at, what, "another key"


def conflicts(table: Sequence[Key]) -> Iterator[tuple[str, str, str]]:
    """Yield two actions that share a key on a screen, and the key."""
    for index, one in enumerate(table):
        for other in table[index + 1 :]:
            meet = not one.screens or not other.screens or set(one.screens) & set(other.screens)
            for both in sorted(set(one.keys) & set(other.keys)) if meet else ():
                yield one.action, other.action, both


def on_screen(screen: str, table: Iterable[Key] = KEYS) -> list[Key]:
    """Return what works on a screen."""
    return [key for key in table if not key.screens or screen in key.screens]


def footer_words(screen: str, table: Iterable[Key] = KEYS) -> list[tuple[str, str]]:
    """Return the keys of the footer, each with its word."""
    return [(shown(key.keys[0]), key.word) for key in on_screen(screen, table) if key.word]


def help_lines(screen: str, table: Iterable[Key] = KEYS) -> list[tuple[str, str, str]]:
    """Return the help of a screen: the keys, what they do, and the action."""
    return [
        (" ".join(map(shown, key.keys)), key.does, key.action) for key in on_screen(screen, table)
    ]


def reference(table: Iterable[Key] = KEYS) -> str:
    """Return the table of docs/screen.md."""
    rows = ["| key | action | does | where |", "| --- | --- | --- | --- |"]
    for key in table:
        keys = " ".join(f"`{shown(each)}`" for each in key.keys)
        where = ", ".join(key.screens) or "everywhere"
        rows.append(f"| {keys} | `{key.action}` | {key.does} | {where} |")
    return "\n".join(rows)
