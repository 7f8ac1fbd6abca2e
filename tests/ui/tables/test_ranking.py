"""A sorted list in parts."""

from __future__ import annotations

import random

import pytest

from xpm_remote.ui.tables import ranking
from xpm_remote.ui.tables.ranking import Entry, Ranking


def entry(number: int) -> Entry:
    """Return an entry."""
    return (False, number, str(number))


@pytest.mark.parametrize("part", [1, 2, 5, 1000])
def test_as_a_sorted_list(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is added and removed, numbers, order and length are those of a sorted list."""
    monkeypatch.setattr(ranking, "PART", part)
    chance = random.Random(part)
    known = sorted(entry(number) for number in chance.sample(range(100), 40))
    ranked = Ranking(list(known))
    for _ in range(400):
        changed = entry(chance.randrange(100))
        if changed in known:
            known.remove(changed)
            assert ranked.remove(changed)
        else:
            known = sorted([*known, changed])
            assert not ranked.remove(changed)
            assert ranked.index(changed) is None
            ranked.add(changed)
        assert list(ranked) == known
        assert list(reversed(ranked)) == known[::-1]
        assert len(ranked) == len(known)
        assert [ranked[number] for number in range(len(known))] == known
        assert [ranked.index(each) for each in known] == list(range(len(known)))


def test_an_empty_one() -> None:
    """Nothing is in it, until something is added."""
    ranked = Ranking([])
    assert len(ranked) == 0
    assert ranked.index(entry(1)) is None
    ranked.add(entry(1))
    assert ranked.remove(entry(1))
    assert list(ranked) == []
