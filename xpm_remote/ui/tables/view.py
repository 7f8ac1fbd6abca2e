"""A view of the jobs: what is shown of them, how it is sorted and grouped, and which columns are left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from xpm_remote.ui.tables.jobs import COLUMNS, GROUPINGS, grouping, job_order


class View(msgspec.Struct, frozen=True):
    """What is remembered of a table of jobs.

    Attributes:
        find: What was typed to find rows.
        sort: The name of a column, or ``tag.NAME``; empty for the default order.
        is_reversed: Whether the largest comes first.
        group: What jobs are grouped by.
        without: The names of the columns that are left out.
    """

    find: str = ""
    sort: str = ""
    is_reversed: bool = False
    group: str = "none"
    without: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The view in a line."""
        sort = f"{'-' if self.is_reversed else ''}{self.sort}" if self.sort else ""
        parts = {
            "find": self.find,
            "sort": sort,
            "group": "" if self.group == "none" else self.group,
        }
        words = [f"{name} {value}" for name, value in parts.items() if value]
        if self.without:
            words.append(f"without {', '.join(self.without)}")
        return "  ".join(words) or "everything"

    def sorted_by(self, name: str) -> View:
        """Return the view sorted by a column, or the other way round if it is so already.

        Args:
            name: The name of a column, or ``tag.NAME``; a ``-`` before it reverses the order; empty for the default.

        Raises:
            KeyError: There is nothing of that name to sort by.
        """
        sort = name.removeprefix("-")
        column = {each.name: each for each in COLUMNS}.get(sort)
        is_reversed = (column is not None and column.is_reversed) is not (sort != name)
        if sort and sort == self.sort and sort == name:
            is_reversed = not self.is_reversed
        job_order(sort)
        return msgspec.structs.replace(self, sort=sort, is_reversed=is_reversed)

    def grouped_by(self, name: str) -> View:
        """Return the view grouped by something.

        Raises:
            KeyError: There is no such grouping.
        """
        grouping(name)
        return msgspec.structs.replace(self, group=name)

    def toggled(self, column: str) -> View:
        """Return the view without a column, or with it if it was left out."""
        without = tuple(name for name in self.without if name != column)
        if without == self.without:
            without = (*without, column)
        return msgspec.structs.replace(self, without=without)


def read_views(data: bytes) -> dict[str, View]:
    """Read the views of a file; what cannot be used of it is left out."""
    views = {}
    for name, text in _entries(data).items():
        try:
            view = msgspec.json.decode(text, type=View)
            job_order(view.sort, group=grouping(view.group))
        except (msgspec.MsgspecError, KeyError):
            continue
        views[name] = view
    return views


def write_views(views: dict[str, View], before: bytes = b"") -> bytes:
    """Return the content of a file with these views.

    Args:
        views: The views.
        before: What it has now: the views in it that only another version can use are kept.
    """
    known = {**read_views(before), **views}
    others = {name: text for name, text in _entries(before).items() if name not in known}
    return msgspec.json.format(msgspec.json.encode({**others, **views}), indent=2)


def _entries(data: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return {}


def groupings(tags: Iterable[str]) -> list[str]:
    """Return all that jobs can be grouped by, with these tags."""
    return [*GROUPINGS, *(f"tag.{name}" for name in sorted(tags))]
