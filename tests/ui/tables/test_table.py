"""A table is in order after any changes, in any arrangement, and its cursor follows its row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.effort import examples
from xpm_remote.ui.tables import arrangement, ranking
from xpm_remote.ui.tables import table as table_module
from xpm_remote.ui.tables.arrangement import Order
from xpm_remote.ui.tables.table import Line, Table


class Row(NamedTuple):
    """A row of a table of numbers."""

    number: int | None
    kind: str = "a"


ORDERS = {
    "plain": Order[Row](lambda row: row.number),
    "reversed": Order[Row](lambda row: row.number, is_reversed=True),
    "grouped": Order[Row](
        lambda row: row.number, group=lambda row: (row.kind, row.kind), word=lambda row: row.kind
    ),
    "counted": Order[Row](
        lambda row: None,
        group=lambda row: ((row.number or 0) % 2, "parity"),
        word=lambda row: row.kind,
        is_reversed=True,
    ),
}
TESTS = {"all": None, "few": lambda row: row.kind == "a", "none": lambda row: False}

rows = st.builds(Row, st.none() | st.integers(0, 5), st.sampled_from("ab"))
changes = st.dictionaries(st.integers(0, 30), st.none() | rows, max_size=12)


class Model:
    """What a table should show, sorted anew each time."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.order, self.test = ORDERS["plain"], TESTS["all"]

    def update(self, changed: dict[int, Row | None]) -> None:
        """Apply changes."""
        self.rows.update({key: row for key, row in changed.items() if row is not None})
        for key in [key for key, row in changed.items() if row is None]:
            self.rows.pop(key, None)

    def lines(self) -> list[Line[int]]:
        """Sort everything anew."""
        order, test = self.order, self.test
        groups: dict[Any, list[Any]] = {}
        for key, row in self.rows.items():
            if test is None or test(row):
                name = (0, "") if order.group is None else order.group(row)
                rank = order.rank(row)
                is_last = (rank is None) is not order.is_reversed
                groups.setdefault(name, []).append((is_last, rank or 0, key))
        told: list[Line[int]] = []
        for name in sorted(groups):
            if order.group is not None:
                told.append(Line(name, None))
            entries = sorted(groups[name], reverse=order.is_reversed)
            told += [Line(name, key) for _, _, key in entries]
        return told

    def tallies(self) -> dict[Any, dict[str, int]]:
        """Count the words of each group."""
        told: dict[Any, dict[str, int]] = {}
        for line in self.lines():
            words = told.setdefault(line.group, {})
            if line.key is not None and self.order.word is not None:
                word = self.order.word(self.rows[line.key])
                words[word] = words.get(word, 0) + 1
        return told


def finish(steps: Iterator[None]) -> None:
    """Take all steps."""
    for _ in steps:
        pass


def lines(table: Table[int, Row]) -> list[Line[int]]:
    """Return all lines."""
    return [table.line(index) for index in range(len(table))]


def filled(*numbers: int | None, order: str = "plain") -> Table[int, Row]:
    """Make a table whose keys are the places of the numbers."""
    table = Table[int, Row](ORDERS[order])
    table.update({key: Row(number) for key, number in enumerate(numbers)})
    return table


works = st.tuples(st.sampled_from(sorted(ORDERS)), st.sampled_from(sorted(TESTS)))


@settings(max_examples=examples(25, 300), deadline=None)
@given(st.lists(st.tuples(works, st.lists(changes, max_size=4)), max_size=6), st.data())
def test_any_changes_leave_the_order_of_a_fresh_sort(
    history: list[tuple[tuple[str, str], list[Any]]], data: st.DataObject
) -> None:
    """Whatever changes, also between the steps of an arrangement, what is shown equals a fresh sort."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrangement, "SLICE", 3)
        patch.setattr(table_module, "SLICE", 3)
        patch.setattr(ranking, "PART", data.draw(st.sampled_from([1, 2, 100])))
        table, model = Table[int, Row](ORDERS["plain"]), Model()
        for (order, test), batches in history:
            steps = table.arrange(ORDERS[order], TESTS[test])
            for batch in batches:
                with contextlib.suppress(StopIteration):
                    next(steps)
                table.update(batch)
                model.update(batch)
            finish(steps)
            model.order, model.test = ORDERS[order], TESTS[test]
            assert lines(table) == model.lines()
            assert dict(table.rows) == model.rows
            if ORDERS[order].word is not None:
                shown_groups = {line.group: table.group(line.group) for line in lines(table)}
                tallies = {name: dict(+group.tally) for name, group in shown_groups.items()}
                assert tallies == model.tallies()
            shown = [line.key for line in lines(table) if line.key is not None]
            assert list(table.shown_keys()) == shown
            assert table.number_shown == len(shown)
            assert all(table.index(line) == at for at, line in enumerate(lines(table)))


def test_a_change_that_keeps_the_place_moves_nothing() -> None:
    """A row with the same rank is replaced where it is, and may be hidden or shown by it."""
    table = filled(1, 2, 3)
    finish(table.arrange(ORDERS["plain"], TESTS["few"]))
    table.update({1: Row(2, "b")})
    assert [line.key for line in lines(table)] == [0, 2]
    table.update({1: Row(2, "a")})
    assert [line.key for line in lines(table)] == [0, 1, 2]


@pytest.mark.parametrize("taken", range(10))
def test_an_arrangement_is_overtaken_at_any_step(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it catches up with many changes that came meanwhile, it has no effect any more."""
    monkeypatch.setattr(arrangement, "SLICE", 3)
    monkeypatch.setattr(table_module, "SLICE", 3)
    table = filled(*range(9))
    steps = table.arrange(ORDERS["reversed"], None)
    next(steps)
    table.update({key: Row(20 - key) for key in range(9)})
    is_over = sum(1 for _ in islice(steps, taken)) < taken
    other = table.arrange(ORDERS["grouped"], TESTS["none"])
    next(other)
    finish(steps)
    assert table.order is ORDERS["reversed" if is_over else "plain"]
    assert len(table) == 9
    finish(other)
    assert len(table) == 0


def test_the_work_that_was_begun_last_has_the_effect() -> None:
    """An arrangement that is overtaken by another ends without an effect."""
    table = filled(2, 1, order="plain")
    first = table.arrange(ORDERS["reversed"], None)
    next(first)
    finish(table.arrange(ORDERS["plain"], TESTS["none"]))
    finish(first)
    assert len(table) == 0
    assert table.order is ORDERS["plain"]
    assert table.test is TESTS["none"]


def test_the_cursor_stays_first_until_it_is_moved_and_then_follows_its_row() -> None:
    """What comes before the row with the cursor does not take the cursor away from it."""
    table = filled(5, 6)
    assert table.current == Line((0, ""), 0)
    table.update({9: Row(1)})
    assert table.current == Line((0, ""), 9)
    table.go(1)
    table.update({8: Row(2), 7: Row(3)})
    assert (table.cursor, table.current) == (3, Line((0, ""), 0))
    table.update({0: None})
    assert (table.cursor, table.current) == (3, Line((0, ""), 1))
    table.update({1: None, 7: None, 8: None, 9: None})
    table.go(7)
    assert table.cursor == 0
    assert not list(table.chosen)


def test_lines_that_are_not_there() -> None:
    """A number beyond the end is an error; a row or group that is not shown has no number."""
    table = filled(1, order="grouped")
    for index in (-1, 2):
        with pytest.raises(IndexError):
            table.line(index)
    assert table.index(Line(("a", "a"), 5)) is None
    assert table.index(Line(("b", "b"), None)) is None
    assert filled(1).index(Line((0, ""), None)) is None


def test_seeking_goes_round() -> None:
    """The next row of a kind is found in both directions, beyond the ends too, and titles are passed over."""
    table = filled(1, 2, 3, order="grouped")
    table.update({3: Row(3, "b")})
    wanted = Row(3).__eq__
    assert table.seek(wanted, 1)
    assert table.current == Line(("a", "a"), 2)
    assert table.seek(lambda row: row.kind == "b", -1)
    assert table.current == Line(("b", "b"), 3)
    assert not table.seek(lambda row: row.number == 9, 1)


def test_folding() -> None:
    """A folded group is its title, on which the cursor is then; other groups of the same rows unfold it."""
    table = filled(1, 2, order="grouped")
    table.fold(is_folded=True)
    table.go(1)
    table.fold(is_folded=True)
    assert (len(table), table.cursor, table.is_folded(("a", "a"))) == (1, 0, True)
    assert table.index(Line(("a", "a"), 1)) is None
    table.update({7: Row(1, "b")})
    assert list(table.shown_keys(("a", "a"))) == [0, 1]
    table.update({7: None})
    table.fold(is_folded=False)
    assert len(table) == 3
    table.fold(is_folded=True)
    finish(table.arrange(ORDERS["counted"], None))
    assert not table.is_folded(("a", "a"))
    plain = filled(1)
    plain.fold(is_folded=True)
    assert len(plain) == 1


def test_marks() -> None:
    """Marks are of rows, or of all rows of a group; a row that goes loses its mark."""
    table = filled(1, 2, 3, order="grouped")
    assert table.chosen == [0, 1, 2]
    table.go(2)
    assert table.chosen == [1]
    table.mark()
    table.go(1)
    assert table.chosen == [1]
    table.mark_all()
    table.update({2: None})
    assert list(table.marks) == [1, 0]
    table.mark()
    assert list(table.marks) == [1]
    table.go(0)
    table.mark()
    assert sorted(table.marks) == [0, 1]
    table.mark()
    assert not table.marks
    table.mark_all()
    table.unmark()
    assert not table.marks


def test_an_empty_table() -> None:
    """There is nothing to fold, to mark or to choose."""
    table = Table[int, Row](ORDERS["grouped"])
    table.fold(is_folded=True)
    table.mark()
    assert table.chosen == []
    assert table.current is None
    assert not table.seek(lambda row: True, 1)
