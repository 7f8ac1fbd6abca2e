"""The first screen: the clusters, each with its experiments."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from xpm_remote.model.entities import sliced
from xpm_remote.model.pace import Pace
from xpm_remote.ui.screen.frame import Changed
from xpm_remote.ui.screen.keys import FLEET
from xpm_remote.ui.screen.tabular import Tabular, begin, in_slices
from xpm_remote.ui.tables.columns import Cell, Look
from xpm_remote.ui.tables.digests import digest_cells
from xpm_remote.ui.tables.experiments import COLUMNS, FLEET_ORDER, FleetKey, FleetRow, fleet_rows
from xpm_remote.ui.tables.links import link_cells
from xpm_remote.ui.tables.slurm import silence_cells
from xpm_remote.ui.tables.table import Line
from xpm_remote.workspace.states import State

if TYPE_CHECKING:
    from xpm_remote.model.store import Store

_HOW_TO_BEGIN = (
    "no workspace: add one to the settings, or name HOST and REMOTE_WORKDIR (docs/settings.md)"
)

PACE_EVERY = 10.0
"""Seconds between two looks at the times at which jobs ended; where none has, that is nothing."""

_SLICE = 1000


class FleetScreen(Tabular):
    """Clusters and experiments."""

    place = FLEET

    def __init__(self) -> None:
        super().__init__(FLEET_ORDER, COLUMNS)
        self._folded: set[str] = set()
        self._paces: dict[str, dict[str, Pace]] = {}
        self._stamps: dict[FleetKey, tuple[str, int]] = {}
        self._paced = -PACE_EVERY
        self._is_due = True

    def notes(self) -> list[Cell]:
        """Return where SLURM does not answer."""
        look, found = self.dashboard.look(), []
        for name, picture in self.dashboard.pictures.items():
            cells = silence_cells(picture, look.then(name))
            found += [Cell(name, "bold"), *cells] if cells else []
        return found

    def crumbs(self) -> tuple[list[Cell], list[Cell]]:
        """Name the screen, or say how to begin."""
        if not self.dashboard.pictures:
            return [Cell(self.dashboard.opening or _HOW_TO_BEGIN, "waiting")], []
        digests = self.dashboard.triage.digests(self.dashboard.pictures)
        news = [] if self.found_cells else digest_cells(digests.values(), time.time())
        hint = [Cell("4 all  Esc seen", "key")] if news else []
        return [Cell("fleet", "bold"), *self.found_cells, *news], hint

    def step_back(self) -> bool:
        """Undo the last step, or then take what is new for seen."""
        if super().step_back():
            return True
        is_new = bool(self.dashboard.triage.digests(self.dashboard.pictures))
        self.take({})
        self.dashboard.see_all()
        return is_new

    def take(self, changed: Changed) -> None:
        """Note that rows may differ: they are made anew for the next picture, all of them, since they are few."""
        del changed
        self._is_due = True

    def _take_all(self) -> None:
        self._is_due = False
        rows: dict[FleetKey, FleetRow | None] = dict.fromkeys(self.model.rows)
        triage = self.dashboard.triage
        for place, (name, picture) in enumerate(self.dashboard.pictures.items()):
            digest = triage.digest(name, picture)
            news = {} if digest is None else digest.news.experiments
            paces = self._paces.get(name, {})
            rows.update({row.key: row for row in fleet_rows(name, place, picture, news, paces)})
        before = self.model.rows
        differ = {key: row for key, row in rows.items() if row is None or before.get(key) != row}
        if differ:
            self.model.update(differ)

    def paint(self) -> None:
        """Draw what differs; now and then find out how fast experiments go on."""
        now = time.monotonic()
        if now - self._paced >= PACE_EVERY:
            self._paced = now
            begin(self, self._pace, group="compare", is_exclusive=True)
        if self._is_due:
            self._take_all()
        super().paint()

    async def _pace(self) -> None:
        for name, picture in list(self.dashboard.pictures.items()):
            paces = self._paces.setdefault(name, {})
            for experiment in list(picture.store.experiments):
                key = experiment.experiment_id
                counts = picture.store.counts(key)
                stamp = (experiment.run_id, counts.done)
                if counts.running + counts.waiting and self._stamps.get((name, key)) != stamp:
                    ends: list[float] = []
                    await in_slices(_ends(picture.store, key, ends))
                    self._stamps[name, key], paces[key] = stamp, Pace(ends)
        self.take({})

    def title_of(self, line: Line[Any], look: Look) -> Sequence[Cell] | None:
        """Return the line of a workspace: its name, where it is, and its link."""
        name, experiment = line.key or ("", "")
        if experiment:
            return None
        row = self.model.rows[line.key]
        mark = ("+", "-") if look.is_ascii else ("▸", "▾")
        picture = self.dashboard.pictures[name]
        status = link_cells(picture, look.now, is_ascii=look.is_ascii, retry=self.key_of("retry"))
        fold = mark[name not in self._folded]
        return [Cell(f" {fold} {name}", "bold"), status[0], Cell(row.title, "dim"), *status[1:]]

    def test(self) -> Any:  # noqa: ANN401 - of any row
        """Return whether a row is found, and its workspace is not folded."""
        found, folded = self.finder.test, frozenset(self._folded)
        if not folded:
            return found if found is None else lambda row: row.experiment is None or found(row)
        return lambda row: (
            row.experiment is None
            or (row.workspace not in folded and (found is None or found(row)))
        )

    def action_fold(self) -> None:
        """Fold the workspace under the cursor."""
        self._fold(is_folded=True)

    def action_unfold(self) -> None:
        """Unfold the workspace under the cursor."""
        self._fold(is_folded=False)

    def _fold(self, *, is_folded: bool) -> None:
        line = self.model.current
        if line is None or line.key is None:
            return
        name = line.key[0]
        (self._folded.add if is_folded else self._folded.discard)(name)
        title = self.model.index(Line(line.group, (name, "")))
        if is_folded and title is not None:
            self.model.go(title)
        self.rearrange()

    @property
    def here(self) -> str:
        """The workspace under the cursor."""
        line = self.model.current
        return "" if line is None or line.key is None else line.key[0]

    def action_enter(self) -> None:
        """Go to the jobs of what is under the cursor."""
        line = self.model.current
        if line is not None and line.key is not None:
            name, experiment = line.key
            self.dashboard.show_jobs(name, experiment)

    def action_retry(self) -> None:
        """Try the link of the workspace under the cursor again, or log in."""
        line = self.model.current
        if line is not None and line.key is not None:
            self.dashboard.retry(line.key[0])


def _ends(store: Store, experiment: str, ends: list[float]) -> Iterator[None]:
    """Find the times at which jobs of an experiment were done, in steps."""
    for part in sliced(list(store.keys_in(experiment=experiment, state=State.DONE)), _SLICE):
        jobs = (store.jobs.get(key) for key in part)
        ends += [each.ended.timestamp() for each in jobs if each is not None and each.ended]
        yield
