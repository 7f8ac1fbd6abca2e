"""Waiting for what cannot be awaited."""

from __future__ import annotations

from itertools import count

import pytest

from tests.support.polling import wait_until


def test_returns_the_first_true_value() -> None:
    """The condition is asked again until it is true, and its value is returned."""
    numbers = count()
    assert wait_until(lambda: next(numbers), 10.0, "a number") == 1


def test_gives_up_in_one_line() -> None:
    """A condition that stays false ends in an error that names it and the limit."""
    with pytest.raises(TimeoutError, match=r"^waited 0.1 s in vain for the moon$"):
        wait_until(lambda: False, 0.1, "the moon")
