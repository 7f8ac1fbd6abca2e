"""The jobs of all clusters, of one, or of an experiment, in one table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from textual.widget import Widget

from xpm_remote.escaping import safe
from xpm_remote.model.entities import sliced
from xpm_remote.ui.screen.chooser import Choice
from xpm_remote.ui.screen.commands import Command
from xpm_remote.ui.screen.frame import Changed
from xpm_remote.ui.screen.keys import JOBS
from xpm_remote.ui.screen.on_jobs import OnJobs
from xpm_remote.ui.screen.preview import Preview
from xpm_remote.ui.screen.tabular import BREAK, Tabular, begin
from xpm_remote.ui.tables.arrangement import Order
from xpm_remote.ui.tables.columns import Cell, Column, Look, Spread
from xpm_remote.ui.tables.jobs import (
    COLUMNS,
    FAILED,
    JobKey,
    JobRow,
    grouping,
    job_order,
    kind,
    tally_cells,
)
from xpm_remote.ui.tables.links import stale_cells
from xpm_remote.ui.tables.slurm import silence_cells, waiting_cells
from xpm_remote.ui.tables.table import Line
from xpm_remote.ui.tables.view import View, groupings
from xpm_remote.ui.text import tag_text

if TYPE_CHECKING:
    from xpm_remote.session.state import Picture
    from xpm_remote.ui.screen.table_view import TableView

PREVIEW_FROM = 160
"""Columns of a terminal from which on there is a preview."""

BETWEEN = " › "  # noqa: RUF001
"""What stands between the steps of a breadcrumb."""

NEIGHBOURS = 10_000
"""Jobs of the list, from its first line on, to which one can go on from a log."""

_NOTES_AGE = 1.0
"""Seconds for which a count of what jobs wait for is shown: it looks at all of them."""

_SLICE = 200
"""Rows that are made at once: a few milliseconds."""


class JobsScreen(OnJobs, Tabular):
    """A table of jobs.

    Args:
        workspace: The workspace whose jobs are shown; empty for all.
        experiment: The experiment of it; empty for all.
        view: What is shown of them at first.
    """

    place = JOBS

    def __init__(self, workspace: str = "", experiment: str = "", view: View = View()) -> None:  # noqa: B008 - frozen
        super().__init__(job_order(), COLUMNS)
        self.workspace = workspace
        self.experiment = experiment
        self.shown = view
        self._order = self.model.order
        self._ordered_by = View()
        self._spread = Spread()
        self._preview = Preview()
        self._wants_preview = True
        self._is_loading = True
        self._has_slurm = False
        self._waits: list[Cell] = []
        self._notes_due = 0.0
        self._causes = 0

    def body(self) -> Sequence[Widget]:
        """Return the table, and the preview beside it."""
        return (self.view, self._preview)

    async def on_mount(self) -> None:
        """Begin to take the jobs that are known."""
        self.view.columns = self._columns()
        self._preview.display = False
        begin(self, self._load, group="load")

    async def _load(self) -> None:
        for name, picture in self._shown_pictures.items():
            store = picture.store
            keys = list(store.keys_in(experiment=self.experiment or None))
            for part in sliced(keys, _SLICE):
                self.take({(name, key): store.jobs.get(key) for key in part})
                await asyncio.sleep(BREAK)
        self._is_loading = False
        if self.shown != View():
            self.apply(self.shown)
        else:
            self.rearrange()

    def take(self, changed: Changed) -> None:
        """Take jobs that changed."""
        rows: dict[tuple[str, str], JobRow | None] = {}
        pictures, triage = self.dashboard.pictures, self.dashboard.triage
        for (name, key), job in changed.items():
            if self.workspace and name != self.workspace:
                continue
            if job is None or (self.experiment and self.experiment not in job.experiments):
                if (name, key) in self.model.rows:
                    rows[name, key] = None
                continue
            if name not in pictures:
                continue
            row = rows[name, key] = triage.row(name, pictures[name], job)
            self._has_slurm |= job.row is not None
            if self.model.test is None or self.model.test(row):
                self._spread.add(job.tags)
        if rows:
            self.model.update(rows)
        self._take_causes()

    def _take_causes(self) -> None:
        """Take why jobs failed where that has become known; ask for it where jobs are grouped by it."""
        known, pictures = self.dashboard.triage.failures, self.dashboard.pictures
        if known is None or self._is_loading:
            return
        if self.shown.group == "cause":
            begin(self, partial(known.ask, pictures), group="ask")
        if known.version == self._causes:
            return
        self._causes = known.version
        rows = self.model.rows
        told = [key for key in known.by_job if key in rows and rows[key].cause != known.cause(key)]
        if told:
            self.take({key: rows[key].job for key in told})

    # What is shown

    def _columns(self) -> list[Column[JobRow]]:
        absent = set(self.shown.without)
        if len(self.dashboard.pictures) < 2 or self.workspace:
            absent.add("cluster")
        if self.experiment:
            absent.add("experiment")
        return [column for column in COLUMNS if column.name not in absent]

    def look(self) -> Look:
        """Return what cells are drawn by, with the tags that differ."""
        return self.dashboard.look(tuple(sorted(self._spread.differing)))

    def order(self) -> Order[Any]:
        """Return how the rows are to be arranged."""
        if _arranged_by(self.shown) != _arranged_by(self._ordered_by):
            group = grouping(self.shown.group)
            self._order = job_order(
                self.shown.sort, is_reversed=self.shown.is_reversed, group=group
            )
            self._ordered_by = self.shown
        return self._order

    def arranged(self) -> Iterator[None]:
        """Find out which tags differ among the rows that are shown."""
        spread = Spread()
        for part in sliced(list(self.model.shown_keys()), _SLICE):
            for key in part:
                row = self.model.rows.get(key)
                if row is not None:
                    spread.add(row.job.tags)
            yield
        self._spread = spread

    @property
    def _shown_pictures(self) -> dict[str, Picture]:
        pictures = self.dashboard.pictures
        names = [self.workspace] if self.workspace else list(pictures)
        return {name: pictures[name] for name in names if name in pictures}

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Return where we are, what all rows have in common, and what is found."""
        where = BETWEEN.join(filter(None, (self.workspace, safe(self.experiment)))) or "all jobs"
        if self.dashboard.is_ascii:
            where = where.replace(BETWEEN, " > ")
        view = self.shown
        common = self._spread.common
        words = " ".join(tag_text(name, common[name]) for name in sorted(common))
        sort = f"{'-' if view.is_reversed else ''}{view.sort}"
        cells = [
            Cell(where, "bold"),
            *self.found_cells,
            Cell(f"by {view.group}" if view.group != "none" else "", "key"),
            Cell(f"sort {sort}" if view.sort else "", "key"),
            Cell(words if self.model.number_shown > 1 else "", "dim"),
        ]
        known = self.dashboard.triage.failures
        if view.group == "cause" and known is not None:
            cells += known.cells()
        cells[1:1] = stale_cells(self._shown_pictures, time.time())
        shown, total = self.model.number_shown, len(self.model.rows)
        count = f"{shown:,} of {total:,}" if shown != total else f"{total:,}"
        return cells, [Cell(f"{count} jobs" + (" …" if self._is_loading else ""), "dim")]

    def title_of(self, line: Line[Any], look: Look) -> Sequence[Cell] | None:
        """Return the title of a group, with the states of its jobs."""
        if line.key is not None:
            return None
        mark = ("+", "-") if look.is_ascii else ("▸", "▾")
        group = self.model.group(line.group)
        fold = mark[not self.model.is_folded(line.group)]
        title = Cell(f" {fold} {line.group[1] or 'none'}", "bold")
        return [title, *tally_cells(group.tally)]

    def notes(self) -> list[Cell]:
        """Return what the jobs wait for in SLURM, as it was a moment ago."""
        look = self.look()
        known = self.dashboard.pictures
        shown = {name: each for name, each in known.items() if self.workspace in ("", name)}
        if not self._has_slurm:
            return [
                cell
                for name, each in shown.items()
                for cell in silence_cells(each, look.then(name))
            ]
        if look.now >= self._notes_due:
            self._notes_due = look.now + _NOTES_AGE
            self._waits = waiting_cells(shown, self.experiment, look)
        return self._waits

    def paint(self) -> None:
        """Draw what differs, and the job under the cursor in the preview."""
        is_wide = self.size.width >= PREVIEW_FROM and self._wants_preview
        if self._preview.display is not is_wide:
            self._preview.display = is_wide
        super().paint()
        if is_wide:
            self._preview.show(self.current, self.look())

    @property
    def current(self) -> JobRow | None:
        """The job under the cursor."""
        line = self.model.current
        return None if line is None or line.key is None else self.model.rows[line.key]

    def apply(self, view: View) -> None:
        """Show another view."""
        is_found = view.find != self.finder.text
        self.shown = view
        if is_found:
            self.find(view.find)
        else:
            self.rearrange()
        self.view.columns = self._columns()
        self.view.heads = self._heads()
        self.view.begin()
        self._take_causes()
        self.paint()

    def find(self, text: str) -> None:
        """Show the rows that match."""
        self.shown = msgspec.structs.replace(self.shown, find=text)
        super().find(text)

    def _heads(self) -> dict[str, str]:
        arrows = ("+", "-") if self.dashboard.is_ascii else ("↑", "↓")
        heads = {column.name: column.head for column in COLUMNS}
        if self.shown.sort in heads:
            heads[self.shown.sort] += arrows[self.shown.is_reversed]
        return heads

    # Keys

    def _neighbours(self) -> list[JobKey]:
        return list(islice(self.model.shown_keys(), NEIGHBOURS))

    def action_enter(self) -> None:
        """Go to what is known of the job; on a title, fold or unfold its group."""
        line = self.model.current
        if self.current is not None:
            self.dashboard.show_job(self.current.key, self._neighbours())
        elif line is not None:
            self.model.fold(is_folded=not self.model.is_folded(line.group))
            self.paint()

    @property
    def chosen(self) -> list[JobKey]:
        """The jobs that an action is about: the marked, the one under the cursor, or those of its group."""
        return self.model.chosen

    def action_log(self) -> None:
        """Go to the log, at the traceback if the job failed."""
        if self.current is not None:
            self.dashboard.show_log(self.current.key, self._neighbours())

    def action_log_out(self) -> None:
        """Go to the standard output."""
        if self.current is not None:
            self.dashboard.show_log(self.current.key, self._neighbours(), "out")

    def move(self, step: int) -> None:
        """Move the cursor by some lines, and show the job there in the preview."""
        super().move(step)
        if self._preview.display:
            self._preview.show(self.current, self.look())

    def action_next(self) -> None:
        """Go to the next failure."""
        self._seek(1)

    def action_previous(self) -> None:
        """Go to the previous failure."""
        self._seek(-1)

    def _seek(self, step: int) -> None:
        if not self.model.seek(lambda row: kind(row.job) == FAILED, step):
            self.say("no failure is shown")
        self.paint()

    def action_sort(self) -> None:
        """Ask for the column to sort by: each head shows its key."""
        self.view.heads = {c.name: f"{c.letter}:{c.head}" for c in COLUMNS}
        self.view.begin()
        letters = "  ".join(f"{c.letter} {c.name}" for c in self._columns())
        self.await_key(f"sort by  {letters}  0 default", self._sort)

    def _sort(self, letter: str) -> None:
        names = {column.letter: column.name for column in COLUMNS} | {"0": ""}
        if letter in names:
            self.apply(self.shown.sorted_by(names[letter]))
        else:
            self.apply(self.shown)
            self.say(f"no column has the key {safe(letter)}")

    def on_table_view_sort(self, event: TableView.Sort) -> None:
        """Sort by a head that was clicked."""
        self.apply(self.shown.sorted_by(event.column))

    def action_group(self) -> None:
        """Choose what the jobs are grouped by."""
        names = groupings(self._tag_names)
        choices = [Choice(name, name, "", name == self.shown.group) for name in names]
        self.choose("Group by", lambda: choices, lambda name: self._group(name))

    @property
    def _tag_names(self) -> list[str]:
        return [*self._spread.common, *self._spread.differing]

    def _group(self, name: str) -> str:
        try:
            self.apply(self.shown.grouped_by(name))
        except KeyError:
            return f"jobs cannot be grouped by {name}"
        return ""

    def action_mark(self) -> None:
        """Mark or unmark, and go on to the next line."""
        self.model.mark()
        self.view.move(1)
        self.paint()

    def action_mark_all(self) -> None:
        """Mark all that are shown."""
        self.model.mark_all()
        self.paint()

    def action_preview(self) -> None:
        """Show or hide the preview."""
        self._wants_preview = not self._wants_preview
        self.paint()

    def action_columns(self) -> None:
        """Choose the columns."""

        def choices() -> list[Choice]:
            without = self.shown.without
            return [Choice(c.name, c.name, "", c.name not in without) for c in COLUMNS]

        def toggle(name: str) -> None:
            self.apply(self.shown.toggled(name))

        self.choose("Columns", choices, lambda _: None, toggle)

    def action_views(self) -> None:
        """Choose a view that was saved."""
        saved = self.dashboard.views.saved
        choices = [Choice(name, name, view.words) for name, view in sorted(saved.items())]
        if not choices:
            self.say("no view was saved: :view save NAME saves this one")
            return
        self.choose("Views", lambda: choices, self._open_view)

    def _open_view(self, name: str) -> str:
        saved = self.dashboard.views.saved
        if name not in saved:
            return f"there is no view {name}; there are {', '.join(sorted(saved)) or 'none'}"
        self.apply(saved[name])
        return ""

    def action_retry(self) -> None:
        """Try the link of the workspace under the cursor again, or log in."""
        row = self.current
        self.dashboard.retry(row.workspace if row else self.workspace)

    # Commands

    def commands(self) -> dict[str, Command]:
        """Return what can be typed here."""
        sorts = [*(c.name for c in COLUMNS), *(f"-{c.name}" for c in COLUMNS)]
        return {
            "sort": Command(
                "sort by a column or tag.NAME, with - the other way round",
                self._sort_command,
                lambda: [*sorts, *(f"tag.{name}" for name in self._tag_names)],
            ),
            "group": Command("group the jobs", self._group, lambda: groupings(self._tag_names)),
            "filter": Command("show the jobs that match", self._filter_command),
            "fail": Command(
                "show failures only", lambda _: self._filter_command('@state = "error"')
            ),
            "columns": Command("choose the columns", lambda _: self._act(self.action_columns)),
            "view": Command("save, delete or open a view", self._view_command, self._view_words),
        }

    def _act(self, action: Callable[[], None]) -> str:
        action()
        return ""

    def _sort_command(self, name: str) -> str:
        try:
            self.apply(self.shown.sorted_by(name))
        except KeyError:
            return f"jobs cannot be sorted by {name}"
        return ""

    def _filter_command(self, text: str) -> str:
        self.find(text)
        return f"expected {self.finder.expected}" if self.finder.expected else ""

    def _view_words(self) -> list[str]:
        saved = sorted(self.dashboard.views.saved)
        return [*saved, "save ", *(f"delete {name}" for name in saved)]

    def _view_command(self, text: str) -> str:
        word, _, name = text.partition(" ")
        name = name.strip()
        views = self.dashboard.views
        if word == "save" and name:
            return views.save(name, self.shown) or f"view {name} is saved: {self.shown.words}"
        if word == "delete" and name:
            return views.delete(name) or f"view {name} is deleted"
        return self._open_view(text)


def _arranged_by(view: View) -> tuple[str, bool, str]:
    return view.sort, view.is_reversed, view.group
