"""What is remembered of a table of jobs."""

from __future__ import annotations

import json

import pytest

from xpm_remote.ui.tables.jobs import GROUPINGS
from xpm_remote.ui.tables.view import View, groupings, read_views, write_views


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (View(), "everything"),
        (View(is_reversed=True), "everything"),
        (View(find="lr > 1"), "find lr > 1"),
        (View(sort="age"), "sort age"),
        (View(sort="tag.lr", is_reversed=True), "sort -tag.lr"),
        (View(without=("tags",)), "without tags"),
        (
            View("cuda", "age", is_reversed=True, group="cause", without=("tags", "time")),
            "find cuda  sort -age  group cause  without tags, time",
        ),
    ],
)
def test_words(view: View, words: str) -> None:
    """A view is said in a line, of what differs from that of everything."""
    assert view.words == words


def test_sorting_turns_round() -> None:
    """Sorting by the same column again turns the order round; by another, it begins as that one does."""
    first = View(find="cuda").sorted_by("age")
    assert (first.find, first.sort, first.is_reversed) == ("cuda", "age", False)
    again = first.sorted_by("age")
    assert (again.sort, again.is_reversed) == ("age", True)
    assert again.sorted_by("age") == first
    assert again.sorted_by("job") == View(find="cuda", sort="job")
    assert again.sorted_by("progress").is_reversed


@pytest.mark.parametrize(
    ("name", "sort", "is_reversed"),
    [
        ("age", "age", False),
        ("-age", "age", True),
        ("progress", "progress", True),
        ("-progress", "progress", False),
        ("tag.lr", "tag.lr", False),
        ("-tag.lr", "tag.lr", True),
        ("", "", False),
    ],
)
def test_sorting_in_words(name: str, sort: str, is_reversed: bool) -> None:
    """A minus is the other way round than the column's own; with it the order does not depend on that before."""
    once = View().sorted_by(name)
    assert (once.sort, once.is_reversed) == (sort, is_reversed)
    if name.startswith("-"):
        assert once.sorted_by(name) == once


@pytest.mark.parametrize("name", ["nothing", "-nothing", "--age"])
def test_nothing_to_sort_or_group_by(name: str) -> None:
    """What there is not is refused."""
    with pytest.raises(KeyError):
        View().sorted_by(name)
    with pytest.raises(KeyError):
        View().grouped_by(name)


def test_grouping() -> None:
    """Jobs are grouped by one thing, each tag included, or by nothing again."""
    view = View(find="cuda").grouped_by("tag.lr")
    assert view == View(find="cuda", group="tag.lr")
    assert view.grouped_by("none") == View(find="cuda")
    assert groupings(["seed", "lr"]) == [*GROUPINGS, "tag.lr", "tag.seed"]


def test_columns_that_are_left_out() -> None:
    """A column is left out, and is there again the second time."""
    view = View().toggled("tags").toggled("time")
    assert view.without == ("tags", "time")
    assert view.toggled("tags").without == ("time",)
    assert view.toggled("tags").toggled("time") == View()


def test_views_in_a_file() -> None:
    """What is written is read, and a person can read it, too."""
    views = {"bad ones": View("error", "age", is_reversed=True, group="cause", without=("tags",))}
    data = write_views(views)
    assert read_views(data) == views
    assert data.count(b"\n") > 1
    assert read_views(write_views({})) == {}


def test_views_of_another_version_stay() -> None:
    """What cannot be used of a file stays there, unless a view of that name is saved."""
    others = {"newer": {"sort": "by what comes later"}, "same": {"group": 1}}
    before = json.dumps({**others, "old": {"find": "x"}}).encode()
    after = write_views({"same": View(find="y")}, before)
    assert read_views(after) == {"same": View(find="y")}
    assert json.loads(after)["newer"] == others["newer"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"null", b"5", b'{"a": ', b"{" * 9999])
def test_a_file_that_is_none(data: bytes) -> None:
    """A file with anything else has no views."""
    assert read_views(data) == {}


@pytest.mark.parametrize(
    "view",
    [
        None,
        5,
        [],
        {"find": 5},
        {"sort": "nothing"},
        {"sort": "-age"},
        {"group": "nothing"},
        {"group": "tag."},
        {"without": "tags"},
    ],
)
def test_views_that_cannot_be_used(view: object) -> None:
    """A view that is wrong, or sorts or groups by what there is not, is left out; the others are read."""
    data = json.dumps({"wrong": view, "right": {"find": "x", "of a later version": 1}})
    assert read_views(data.encode()) == {"right": View(find="x")}


def test_a_group_by_a_tag_with_none_in_its_name_is_told_whole() -> None:
    """Only the grouping that is none is left out."""
    assert View(group="tag.none_left").words == "group tag.none_left"
