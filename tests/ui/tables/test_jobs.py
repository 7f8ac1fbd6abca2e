"""The cells, orders and groups of jobs."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.model.builders import epoch, known_job
from tests.ui.pictures import busy_store
from xpm_remote.model.entities import Job
from xpm_remote.model.samples import Samples
from xpm_remote.ui.tables.columns import Look
from xpm_remote.ui.tables.jobs import (
    COLUMNS,
    GROUPINGS,
    JobRow,
    grouping,
    job_order,
    row_texts,
    tally_cells,
)
from xpm_remote.ui.tables.table import Table
from xpm_remote.workspace.states import Progress, State

LOOK = Look(epoch(3600), tags=("lr",))
RUNS = known_job(State.RUNNING, started=600, progress=(Progress(0, 0.45, "epoch 5"),))
FAILED = known_job(State.ERROR, started=60, ended=1800, reason="TIMEOUT")


def shown(job: Job, look: Look = LOOK, message: str = "") -> dict[str, str]:
    """Return the texts of all cells that show something."""
    row = JobRow("jz", job, message)
    cells = {column.name: column.cell(row, look).text for column in COLUMNS}
    return {name: text for name, text in cells.items() if text}


def test_a_job_that_runs() -> None:
    """It shows its progress, what it is at, its tags that differ, how long it runs, and its age."""
    job = replace(RUNS, tags={"lr": 0.1, "model": "big"}, experiments=("one", "two"))
    assert shown(job) == {
        "state": "R ●",
        "job": "task/a",
        "progress": " 45 % ━━━━──────",
        "what": "epoch 5",
        "tags": "lr=0.1",
        "experiment": "one, two",
        "cluster": "jz",
        "time": "50 min",
        "age": "50 min",
    }


def test_a_job_that_failed() -> None:
    """It shows its reason, and its message where there is one; no progress."""
    told = shown(replace(FAILED, progress=RUNS.progress), message="CUDA\nout")
    assert (told["state"], told["what"], told["time"], told["age"]) == (
        "F ✖",
        r"TIMEOUT: CUDA\nout",
        "29 min",
        "30 min",
    )
    assert "progress" not in told
    assert shown(FAILED)["what"] == "TIMEOUT"


@pytest.mark.parametrize(
    ("state", "letter", "what"),
    [
        (State.DONE, "D ✔", None),
        (State.WAITING, "W ◌", "waiting"),
        (State.SCHEDULED, "W ◌", "scheduled"),
        (State.UNSCHEDULED, "I –", "unscheduled"),  # noqa: RUF001
    ],
)  # fmt: skip
def test_other_states(state: State, letter: str, what: str | None) -> None:
    """Each has its letter and glyph; what waits says for what; without times there are none."""
    told = shown(known_job(state))
    assert (told["state"], told.get("what")) == (letter, what)
    assert "time" not in told
    assert "age" not in told


def test_doubt_and_ascii() -> None:
    """A state that may be another has a question mark, also in a stale workspace; ASCII is only letters."""
    assert shown(replace(RUNS, certain=False))["state"] == "R?●"
    assert shown(RUNS, Look(LOOK.now, stale=frozenset({"jz"})))["state"] == "R?●"
    told = shown(RUNS, Look(LOOK.now, is_ascii=True))
    assert (told["state"], told["progress"]) == ("R", " 45 % ####......")


def test_ages_are_by_the_clock_of_the_workspace() -> None:
    """A remote clock that is ahead makes nothing older."""
    assert shown(RUNS, Look(LOOK.now, {"jz": 3600.0}))["time"] == "1 h"
    assert shown(RUNS, Look(epoch(630)))["time"] == "<1 min"


def table(**named: Any) -> Table[tuple[str, str], JobRow]:
    """Make a table of the jobs of a busy workspace."""
    made = Table[tuple[str, str], JobRow](job_order(**named))
    rows = [JobRow("jz", job) for job in busy_store().jobs.values()]
    made.update({row.key: row for row in rows})
    return made


def ids(table: Table[tuple[str, str], JobRow]) -> list[str]:
    """Return the ids of the jobs in their order, and the titles of groups."""
    lines = [table.line(index) for index in range(len(table))]
    return [line.group[1] if line.key is None else line.key[1].rpartition("/")[2] for line in lines]


def samples_of(*points: tuple[float, float]) -> Samples:
    """Make samples of a job's progress."""
    found = Samples(epoch(600))
    for at, fraction in points:
        found.add(epoch(at), fraction)
    return found


def test_time_left() -> None:
    """A job that tells progress shows the time left as a range; one that stopped to advance, for how long it has."""
    row = JobRow("jz", RUNS, samples=samples_of(*((3000 + 60 * n, n / 20) for n in range(11))))
    cells = {column.name: column for column in COLUMNS}

    def told(look: Look) -> tuple[str, str]:
        return cells["eta"].cell(row, look).text, cells["what"].cell(row, look).text

    assert told(LOOK) == ("~10 min", "epoch 5")
    assert told(Look(epoch(6000))) == ("", "no progress for 40 min: epoch 5")
    assert told(Look(epoch(6000), {"jz": -2400.0}))[0] == "~10 min"
    assert told(Look(epoch(6000), stale=frozenset({"jz"}))) == ("", "epoch 5")
    assert cells["eta"].rank is not None
    assert cells["eta"].rank(row) == pytest.approx(epoch(4200))
    few = JobRow("jz", replace(RUNS, progress=()), samples=samples_of((3000, 0.1)))
    assert (cells["eta"].cell(few, LOOK).text, cells["eta"].rank(few)) == ("", None)
    silent = samples_of(*((3000 + 60 * n, n / 20) for n in range(11)))
    late = JobRow("jz", replace(RUNS, progress=()), samples=silent)
    assert cells["what"].cell(late, Look(epoch(6000))).text == "no progress for 40 min"


def test_what_is_new() -> None:
    """A failure since the last look is marked, and can be sorted by."""
    new, column = JobRow("jz", FAILED, is_new=True), next(c for c in COLUMNS if c.name == "new")
    assert (column.cell(new, LOOK).text, column.cell(JobRow("jz", FAILED), LOOK).text) == (
        "new",
        "",
    )
    assert column.rank is not None
    assert column.rank(new) < column.rank(JobRow("jz", FAILED))


def test_groups_of_causes() -> None:
    """Failures are under their cause, with its place; those of which it is not known, under their words."""
    group = grouping("cause")
    assert group is not None
    row = JobRow(
        "jz", FAILED, "what it says", cause="MemoryError: * bytes\nlearner.py:step\nrun.py:go"
    )
    plain, done = JobRow("jz", FAILED, "what it says"), JobRow("jz", RUNS)
    names = sorted(map(group, (done, plain, row)))
    titles = ["MemoryError: * bytes  learner.py:step", "what it says", "no failure"]
    assert [name[1] for name in names] == titles
    assert group(JobRow("jz", FAILED, cause="DIED"))[1] == "DIED"


def test_default_order() -> None:
    """Failures that have not been seen come first, then what runs, what waits, what was seen, is done, or idle."""
    jobs = table()
    assert ids(jobs) == [
        "failed-job",
        "running-job",
        "waiting-1",
        "waiting-2",
        "done-job",
        "old-job",
        "idle-job",
    ]
    key = ("jz", "demo.task/failed-job")
    jobs.update({key: JobRow("jz", jobs.rows[key].job, is_seen=True)})
    assert ids(jobs)[3] == "failed-job"
    new = ("jz", "demo.task/a")
    jobs.update({key: JobRow("jz", jobs.rows[key].job), new: JobRow("jz", FAILED, is_new=True)})
    assert ids(jobs)[:2] == ["a", "failed-job"]


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.rank is not None])
def test_every_column_sorts(column: Any) -> None:
    """Jobs can be sorted by each column, in both directions."""
    assert sorted(ids(table(sort=column.name))) == sorted(ids(table()))
    assert len(ids(table(sort=column.name, is_reversed=True))) == 7


def test_sorting_by_tag() -> None:
    """A tag sorts as numbers and then texts; jobs without it come last."""
    order = job_order("tag.lr")
    values = (10, 2, "small", None)
    rows = [
        JobRow("jz", replace(RUNS, tags={} if value is None else {"lr": value})) for value in values
    ]
    assert [order.rank(row) for row in rows] == [(0, 10), (0, 2), (1, "small"), None]


def test_unknown_names() -> None:
    """What there is not cannot be sorted or grouped by."""
    for name in ("nothing", "tag."):
        with pytest.raises(KeyError):
            grouping(name)
    with pytest.raises(KeyError):
        job_order("nothing")


@pytest.mark.parametrize("name", [*GROUPINGS, "tag.lr", "tag.nothing"])
def test_every_grouping(name: str) -> None:
    """Jobs can be grouped by each of these, and each group counts the states of its jobs."""
    jobs = table(group=grouping(name))
    titles = [line.group for line in map(jobs.line, range(len(jobs))) if line.key is None]
    assert bool(titles) is (name != "none")
    assert sum(sum(jobs.group(title).tally.values()) for title in titles) in (0, 7)


def test_titles_of_groups() -> None:
    """Groups have the names of what they are by."""
    titles = {"state": "failed", "tag.lr": "lr=0.1", "cause": "TIMEOUT", "experiment": "exp"}
    for name, title in titles.items():
        assert title in ids(table(group=grouping(name)))
    tally = table(group=grouping("cluster")).group(("jz", "jz")).tally
    assert [cell.text for cell in tally_cells(tally)] == ["1 F", "1 R", "2 W", "2 D", "1 I"]


def test_what_is_copied_of_a_row() -> None:
    """A job is its workspace, id, state, reason and tags, in the same places also where there is none of them."""
    job = replace(FAILED, tags={"model": "b\n\x1b", "lr": 0.1})
    told = ["jz\\t", "demo.task/a", "error", "TIMEOUT", r"lr=0.1 model=b\n\x1b"]
    assert row_texts("jz\t", job) == told
    assert row_texts("jz", known_job(State.DONE)) == ["jz", "demo.task/a", "done", "", ""]
