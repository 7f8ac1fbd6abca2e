"""The one table of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.screen_keys import updated
from xpm_remote.errors import UsageError
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
    code,
    conflicts,
    footer_words,
    help_lines,
    on_screen,
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
    """An action may get other keys."""
    table = rebound({"mark": ["z", "t"]})
    assert {key.action: key.keys for key in table}["mark"] == ("z", "t")
    assert code("/") == "slash"
    assert code("q") == "q"


@pytest.mark.parametrize(
    ("rebinds", "what", "hint"),
    [
        ({"mrak": ["m"]}, 'no action "mrak"', "did you mean"),
        ({"zzzzzz": ["m"]}, 'no action "zzzzzz"', "there are act,"),
        ({"mark": ["j"]}, '"j" is for down and for mark', "another key"),
    ],
)
def test_rebinding_wrongly(rebinds: dict[str, list[str]], what: str, hint: str) -> None:
    """An action that does not exist, and a key that is another's, are errors."""
    with pytest.raises(UsageError) as raised:
        rebound(rebinds)
    assert what in str(raised.value)
    assert hint in str(raised.value)
