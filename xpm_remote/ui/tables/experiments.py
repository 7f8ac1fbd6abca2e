"""The table of the fleet: workspaces, and the experiments of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xpm_remote.escaping import safe
from xpm_remote.model.entities import Counts, Experiment, Job
from xpm_remote.model.pace import Pace
from xpm_remote.model.seen import ExperimentNews
from xpm_remote.session.state import Picture
from xpm_remote.ui.tables.arrangement import Order
from xpm_remote.ui.tables.columns import NOTHING, Cell, Column, Look
from xpm_remote.ui.tables.digests import experiment_cells
from xpm_remote.ui.tables.jobs import DONE, FAILED, IDLE, RUNNING, bar, state_cell
from xpm_remote.ui.text import left_text, rough_span

FleetKey = tuple[str, str]
"""The name of a workspace, and of an experiment, or empty for the workspace itself."""

_KINDS = {
    "running": RUNNING,
    "detached": RUNNING,
    "done": DONE,
    "failed": FAILED,
    "crashed": FAILED,
}


NO_JOBS = Counts()
UNKNOWN: Mapping[str, Pace] = MappingProxyType({})
NOTHING_NEW: Mapping[str, ExperimentNews] = MappingProxyType({})


@dataclass(frozen=True)
class FleetRow:
    """A workspace, or an experiment of it.

    Attributes:
        workspace: The name of the workspace.
        place: The workspace's number among all.
        title: Where the workspace is.
        experiment: The experiment; None for the workspace itself.
        counts: Its jobs by state.
        news: What is new in it, in words.
        pace: How fast its jobs come to their ends; None where that is not known.
    """

    workspace: str
    place: int
    title: str = ""
    experiment: Experiment | None = None
    counts: Counts = NO_JOBS
    news: str = ""
    pace: Pace | None = None

    @property
    def key(self) -> FleetKey:
        """The row's key."""
        return (self.workspace, self.experiment.experiment_id if self.experiment else "")

    @property
    def words(self) -> str:
        """All that it can be found by, in lower case."""
        if self.experiment is None:
            return f"{self.workspace} {self.title}".lower()
        return f"{self.experiment.experiment_id} {self.experiment.status} {self.workspace}".lower()

    @property
    def job(self) -> Job | None:
        """None: filters are about jobs."""
        return None


def fleet_rows(
    name: str,
    place: int,
    picture: Picture,
    news: Mapping[str, ExperimentNews] = NOTHING_NEW,
    paces: Mapping[str, Pace] = UNKNOWN,
) -> Iterator[FleetRow]:
    """Yield the row of a workspace, and those of its experiments.

    Args:
        name: The name of the workspace.
        place: Its number among all.
        picture: What is known of it.
        news: What is new in its experiments, by their names.
        paces: How fast the jobs of those that run come to their ends.
    """
    yield FleetRow(name, place, f"{picture.host}:{picture.workspace}")
    for experiment in picture.store.experiments:
        counts = picture.store.counts(experiment.experiment_id)
        fresh = news.get(experiment.experiment_id)
        words = "" if fresh is None else " ".join(c.text for c in experiment_cells(fresh) if c.text)
        pace = paces.get(experiment.experiment_id)
        yield FleetRow(name, place, "", experiment, counts, words, pace)


def kind(experiment: Experiment) -> str:
    """Return the kind of state of an experiment."""
    return _KINDS.get(experiment.status, IDLE)


def _rank(row: FleetRow) -> tuple[int, int, float, str]:
    """Return the order: each workspace before its experiments, of which those that run come first."""
    experiment = row.experiment
    if experiment is None:
        return (row.place, 0, 0.0, "")
    started = experiment.started.timestamp() if experiment.started else 0.0
    is_over = kind(experiment) != RUNNING
    return (row.place, 1 + is_over, -started, experiment.experiment_id)


FLEET_ORDER = Order(_rank)


def _state(row: FleetRow, look: Look) -> Cell:
    if row.experiment is None:
        return NOTHING
    is_certain = row.experiment.certain and row.workspace not in look.stale
    return state_cell(kind(row.experiment), look, is_certain=is_certain)


def _name(row: FleetRow, _: Look) -> Cell:
    return Cell("" if row.experiment is None else safe(row.experiment.experiment_id))


def _done(row: FleetRow, _: Look) -> Cell:
    counts = row.counts
    if not counts.total:
        return NOTHING
    return Cell(f"{counts.done:>5}/{counts.total:<5}")


def _bar(row: FleetRow, look: Look) -> Cell:
    counts = row.counts
    return Cell(bar(counts.done / counts.total, look)) if counts.total else NOTHING


def _number(name: str, style: str) -> Column[FleetRow]:
    def cell(row: FleetRow, _: Look) -> Cell:
        number = getattr(row.counts, name)
        return Cell(str(number), style if number else "dim")

    return Column(
        name, name[0].upper(), cell, least=1, most=6, weight=4 + (name == "failed"), is_right=True
    )


def _eta(row: FleetRow, look: Look) -> Cell:
    if row.experiment is None or row.pace is None or kind(row.experiment) != RUNNING:
        return NOTHING
    if row.workspace in look.stale:
        return Cell("?", "dim")
    left = row.counts.running + row.counts.waiting
    estimate = row.pace.estimate(left, look.then(row.workspace))
    return NOTHING if estimate is None else Cell(left_text(*estimate))


def _age(row: FleetRow, look: Look) -> Cell:
    experiment = row.experiment
    if experiment is None or experiment.started is None:
        return NOTHING
    started = (experiment.ended or experiment.started).timestamp()
    return Cell(rough_span(look.then(row.workspace) - started), "dim")


def _status(row: FleetRow, _: Look) -> Cell:
    return Cell("" if row.experiment is None else safe(row.experiment.status), "dim")


COLUMNS: tuple[Column[FleetRow], ...] = (
    Column("state", "", _state, least=3, most=3, weight=9),
    Column("name", "NAME", _name, least=12, most=40, weight=10),
    Column("done", " DONE/ALL", _done, least=11, most=12, weight=7),
    Column("bar", "", _bar, least=10, most=10, weight=1),
    _number("running", "running"),
    _number("waiting", "waiting"),
    _number("failed", "failed"),
    _number("idle", "idle"),
    Column("eta", "ETA", _eta, least=6, most=14, weight=5),
    Column("status", "STATUS", _status, least=6, most=12, weight=2),
    Column("age", "AGE", _age, least=6, weight=3, is_right=True),
    Column("news", "NEWS", lambda row, _: Cell(row.news, "waiting"), least=17, most=60, weight=6),
)
