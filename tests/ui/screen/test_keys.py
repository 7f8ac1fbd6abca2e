"""The one table of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.screen_keys import updated
from xpm_remote.ui.screen.acting import ActionScreen
from xpm_remote.ui.screen.activity import ActivityScreen
from xpm_remote.ui.screen.app import Dashboard
from xpm_remote.ui.screen.failures import FailuresScreen
from xpm_remote.ui.screen.fleet import FleetScreen
from xpm_remote.ui.screen.frame import Frame
from xpm_remote.ui.screen.job import JobScreen
from xpm_remote.ui.screen.jobs import JobsScreen
from xpm_remote.ui.screen.keys import (
    JOBS,
    KEYS,
    conflicts,
    first_shown,
    footer_words,
    help_lines,
    on_screen,
    problems,
    rebound,
    reference,
)
from xpm_remote.ui.screen.log import LogScreen

SCREENS: tuple[type[Frame], ...] = (
    FleetScreen,
    JobsScreen,
    FailuresScreen,
    JobScreen,
    LogScreen,
    ActivityScreen,
    ActionScreen,
)


def test_no_two_actions_share_a_key() -> None:
    """On no screen a key means two things."""
    assert list(conflicts(KEYS)) == []


@pytest.mark.parametrize("screen", SCREENS)
def test_every_key_does_something(screen: type[Frame]) -> None:
    """Each key of a screen has an action of the screen or of the app: there are no dead keys."""
    for key in on_screen(screen.place):
        name = f"action_{key.action}"
        assert hasattr(screen, name) or hasattr(Dashboard, name), name


def test_the_reference_is_in_the_documentation() -> None:
    """docs/screen.md has the table as it is."""
    document = (Path(__file__).parents[3] / "docs" / "screen.md").read_text()
    assert reference() in document
    assert updated(document) == document


def test_footer_and_help_name_the_keys() -> None:
    """The footer has the keys with a word, the help all."""
    assert ("/", "find") in footer_words(JOBS)
    assert ("j ↓", "move down", "down") in help_lines(JOBS)
    assert ("Ctrl-P", "search all commands", "palette") in help_lines(JOBS)
    assert "mute" not in [action for _, _, action in help_lines(JOBS)]


def test_rebinding() -> None:
    """An action may get other keys, which the footer and the help show."""
    rebinds = {"find": ["f5"], "mark": ["z", "ctrl+t"], "fold": ["("]}
    assert list(problems(rebinds)) == []
    table = rebound(rebinds)
    assert {key.action: key.keys for key in table}["mark"] == ("z", "ctrl+t")
    assert ("F5", "find") in footer_words(JOBS, table)
    assert ("z Ctrl-T", "mark or unmark, on a title its whole group", "mark") in help_lines(
        JOBS, table
    )
    assert first_shown("retry", table) == "r"


@pytest.mark.parametrize(
    ("rebinds", "action", "what", "allowed"),
    [
        ({"mrak": ["M"]}, "mrak", 'no such action; did you mean "mark"?', "act, activity"),
        ({"zzzzzz": ["M"]}, "zzzzzz", "no such action", "act, activity"),
        ({"mark": ["j"]}, "mark", 'the key "j" is that of down', "another one for down too"),
        ({"mark": ["w"], "group": ["w"]}, "group", '"w" is that of mark', "for mark too"),
        ({"group": ["w"], "mark": ["w"]}, "mark", '"w" is that of group', "for group too"),
        ({"quit": ["ctrl+p"]}, "quit", 'the key "Ctrl-P" is that of palette', "another key"),
        ({"confirm": ["x"]}, "confirm", '"x" begins what confirm does', "another key"),
        ({"confirm": ["enter"]}, "confirm", '"Enter" begins', "another key"),
        ({"confirm": ["c"]}, "confirm", '"c" begins', "another key"),
        ({"act": ["Y"], "confirm": ["Y"]}, "confirm", '"Y" begins', "another key"),
        ({"act": ["y"], "yank": ["w"]}, "act", '"y" begins', "another key"),
    ],
)
def test_rebinding_wrongly(
    rebinds: dict[str, list[str]], action: str, what: str, allowed: str
) -> None:
    """An action that does not exist, a key that is another's, and one that could confirm by a slip are wrong."""
    ((at, found, remedy),) = problems(rebinds)
    assert at == action
    assert what in found
    assert allowed in remedy
