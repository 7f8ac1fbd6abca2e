"""What is typed after ``:``."""

from __future__ import annotations

import pytest

from xpm_remote.ui.screen.commands import Command, candidates, completed, run


def commands() -> dict[str, Command]:
    """Make commands that return what they were given."""
    return {
        "sort": Command("", lambda text: f"sort {text}", lambda: ["age", "-age", "job"]),
        "source": Command("", lambda text: f"source {text}"),
        "quit": Command("", lambda text: f"quit {text}"),
    }


@pytest.mark.parametrize(
    ("text", "found", "whole"),
    [
        ("", ["quit", "sort", "source"], ""),
        ("s", ["sort", "source"], "so"),
        ("sor", ["sort"], "sort "),
        ("q", ["quit"], "quit"),
        ("sort ", ["sort age", "sort -age", "sort job"], "sort "),
        ("sort a", ["sort age"], "sort age"),
        ("sort x", [], "sort x"),
        ("nothing x", [], "nothing x"),
    ],
)
def test_completion(text: str, found: list[str], whole: str) -> None:
    """A name is completed, and then what may follow it."""
    assert candidates(text, commands()) == found
    assert completed(text, commands()) == whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("sort age", "sort age"),
        ("qu  now ", "quit now"),
        ("so", "so may be sort, source"),
        ("x", "there is no command x; there are quit, sort, source"),
    ],
)
def test_running(text: str, said: str) -> None:
    """A command may be shortened while it is the only one that begins so."""
    assert run(text, commands()) == said
