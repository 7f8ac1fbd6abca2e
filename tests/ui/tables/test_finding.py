"""What is typed to find rows."""

from __future__ import annotations

import pytest

from tests.model.builders import known_job
from xpm_remote.model.filters import Filter, Filterable
from xpm_remote.ui.tables.finding import Finder, TooSlowError
from xpm_remote.ui.tables.jobs import JobRow
from xpm_remote.workspace.states import State

ROW = JobRow("jz", known_job(State.ERROR, reason="MEMORY"), "CUDA out of Memory")


def found(finder: Finder) -> bool:
    """Return whether the row is found."""
    return finder.test is None or finder.test(ROW)


@pytest.mark.parametrize(
    "text", ["", "  ", "demo", "TASK/a", "cuda memory", "jz", "error", '@state = "error"']
)
def test_finds(text: str) -> None:
    """Words in any order and case are found in id, task, state, reason, message and workspace; filters are filters."""
    finder = Finder()
    finder.type(text, 0.0)
    assert found(finder)
    assert finder.expected == ""


@pytest.mark.parametrize("text", ["nothing", "cuda nothing", '@state = "done"', "lr = 1"])
def test_finds_not(text: str) -> None:
    """All words have to be there, and a filter has to be true."""
    finder = Finder()
    finder.type(text, 0.0)
    assert not found(finder)


def test_an_unfinished_filter_leaves_the_last_result() -> None:
    """While a filter is typed, what was found last stays, and what is expected is said."""
    finder = Finder()
    finder.type("nothing", 0.0)
    for text in ("@state", "lr >", "lr in [", '@state = "err'):
        finder.type(text, 0.0)
        assert not found(finder)
        assert finder.expected
    finder.type('@state = "error"', 0.0)
    assert found(finder)
    assert finder.expected == ""
    finder.type("lr >", 0.0)
    finder.type("", 0.0)
    assert finder.test is None


def test_an_expression_that_takes_too_long_leaves_the_last_result() -> None:
    """No row is tried after the first that took too long; then what was found before is found again."""
    tried = 0

    def limited(matches: Filter) -> Filter:
        def slow(job: Filterable) -> bool:
            nonlocal tried
            tried += 1
            raise TooSlowError

        return slow if is_slow else matches

    is_slow = False
    finder = Finder(limited)
    finder.type('@state = "error"', 0.0)
    assert found(finder)
    assert finder.settle()
    is_slow = True
    finder.type('@name ~ "(a+)+b"', 0.0)
    assert not found(finder)
    assert not found(finder)
    assert tried == 1
    assert "takes less time" in finder.expected
    assert not finder.settle()
    assert found(finder)
    assert "takes less time" in finder.expected
    finder.type("demo", 0.0)
    assert finder.expected == ""
