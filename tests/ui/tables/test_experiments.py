"""The rows, cells and order of the fleet."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.model.builders import epoch, moment
from tests.ui.pictures import NOW, busy_store, picture
from xpm_remote.model.entities import Counts, Experiment
from xpm_remote.model.pace import Pace
from xpm_remote.model.seen import ExperimentNews
from xpm_remote.ui.tables.columns import Cell, Look
from xpm_remote.ui.tables.experiments import COLUMNS, FLEET_ORDER, FleetKey, FleetRow, fleet_rows
from xpm_remote.ui.tables.table import Table

LOOK = Look(NOW)


def row(status: str = "running", *, counts: Counts | None = None, **given: Any) -> FleetRow:
    """Make the row of an experiment."""
    experiment = Experiment(experiment_id="exp", status=status, **given)
    return FleetRow("jz", 0, "", experiment, counts or Counts())


def cells(row: FleetRow, look: Look = LOOK) -> dict[str, Cell]:
    """Return the cells that show something, without what fills them up."""
    drawn = {column.name: column.cell(row, look) for column in COLUMNS}
    return {
        name: cell._replace(text=" ".join(cell.text.split()))
        for name, cell in drawn.items()
        if cell.text
    }


def texts(row: FleetRow, look: Look = LOOK) -> dict[str, str]:
    """Return the texts of the cells that show something, without what fills them up."""
    return {name: cell.text for name, cell in cells(row, look).items()}


def test_time_left() -> None:
    """An experiment that runs shows the time left by the ends of its jobs, or a ? where it is stale."""
    pace = Pace(NOW - 60 * number for number in range(21))
    counts = Counts(total=51, done=21, running=10, waiting=20)
    running = dataclasses.replace(row(counts=counts), pace=pace)
    assert texts(running)["eta"] == "~30 min"
    assert texts(running, Look(NOW, stale=frozenset({"jz"})))["eta"] == "?"
    assert "eta" not in texts(running, Look(NOW + 3600))
    assert "eta" not in texts(dataclasses.replace(row("done", counts=counts), pace=pace))
    (_, _, found) = fleet_rows(
        "jz", 0, picture(busy_store()), {"exp": ExperimentNews(3)}, {"exp": pace}
    )
    assert (found.pace, texts(found)["news"]) == (pace, "+3 done")


def test_a_workspace_has_no_state_of_its_own() -> None:
    """The row of a workspace shows the numbers of its jobs, but neither name, state nor age of an experiment."""
    told = texts(FleetRow("jz", 0, "alice@cluster:/data/ws", counts=Counts(total=3, running=3)))
    assert told == {
        "done": "0/3",
        "bar": "──────────",
        "running": "3",
        "waiting": "0",
        "failed": "0",
        "idle": "0",
    }
    assert "done" not in texts(FleetRow("jz", 0))


def test_an_experiment_that_runs() -> None:
    """It shows its state, its name, what part of its jobs is done, their numbers, its status and its age."""
    (_, _, running) = fleet_rows("jz", 0, picture(busy_store()))
    assert texts(running) == {
        "state": "R ●",
        "name": "exp",
        "done": "1/6",
        "bar": "━─────────",
        "running": "1",
        "waiting": "2",
        "failed": "1",
        "idle": "1",
        "status": "running",
        "age": "1 h",
    }
    numbers = {name: cells(running)[name].style for name in ("running", "failed")}
    assert numbers == {"running": "running", "failed": "failed"}
    assert cells(row())["failed"].style == "dim"


@pytest.mark.parametrize(
    ("status", "letter"),
    [
        ("running", "R"),
        ("detached", "R"),
        ("done", "D"),
        ("failed", "F"),
        ("crashed", "F"),
        ("unknown", "I"),
        ("of a later version", "I"),
    ],
)
def test_states(status: str, letter: str) -> None:
    """Each status has the letter of a state of jobs; one that is unknown is idle."""
    assert texts(row(status), Look(NOW, is_ascii=True))["state"] == letter


def test_doubt() -> None:
    """A state that may be another has a question mark, also in a workspace whose rows may be out of date."""
    assert texts(row(certain=False))["state"] == "R?●"
    assert texts(row(), Look(NOW, stale=frozenset({"jz"})))["state"] == "R?●"
    assert texts(row(), Look(NOW, stale=frozenset({"lip6"})))["state"] == "R ●"


def test_age() -> None:
    """The age is that of the end, else of the start, by the clock of the workspace; without both there is none."""
    began, ended = moment(0), moment(1800)
    assert texts(row(started=began, ended=ended))["age"] == "30 min"
    assert texts(row(started=began), Look(epoch(60), {"jz": 7200.0}))["age"] == "2 h"
    assert "age" not in texts(row())


def test_text_of_the_remote_moves_no_cursor() -> None:
    """Names and statuses are escaped."""
    experiment = Experiment(experiment_id="a\x1b[2J", status="b\n")
    told = texts(FleetRow("jz", 0, "", experiment))
    assert (told["name"], told["status"]) == (r"a\x1b[2J", r"b\n")


def test_what_rows_are_found_by() -> None:
    """A workspace is found by its name and place, an experiment by its own name, its status and its workspace."""
    workspace, finished, running = fleet_rows("JZ", 0, picture(busy_store()))
    assert workspace.words == "jz alice@cluster:/data/ws"
    assert running.words == "exp running jz"
    assert finished.words == "finished done jz"
    assert [each.job for each in (workspace, running)] == [None, None]


def test_order() -> None:
    """Workspaces come in their order, each before its experiments, of which those that run come first."""
    later = Experiment(experiment_id="later", status="running", started=moment(60))
    crashed = Experiment(experiment_id="crashed", status="crashed", started=moment(90))
    timeless = Experiment(experiment_id="timeless", status="done")
    rows = [
        *fleet_rows("second", 1, picture()),
        *(FleetRow("first", 0, "", each) for each in (timeless, crashed, later)),
        *fleet_rows("first", 0, picture(busy_store())),
    ]
    table = Table[FleetKey, FleetRow](FLEET_ORDER)
    table.update({each.key: each for each in rows})
    assert list(table.shown_keys()) == [
        ("first", ""),
        ("first", "later"),
        ("first", "exp"),
        ("first", "crashed"),
        ("first", "finished"),
        ("first", "timeless"),
        ("second", ""),
    ]
