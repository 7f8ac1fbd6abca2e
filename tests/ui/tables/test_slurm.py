"""What SLURM has of jobs: the line above their table, and the words of one."""

from __future__ import annotations

from dataclasses import replace as with_fields

import pytest
from msgspec.structs import replace

from tests.model.builders import EXPERIMENT, known_job
from tests.ui.pictures import NOW, busy_store, picture
from xpm_remote.model.agent_pages import Unreadable, UnreadablePage
from xpm_remote.model.records import JobRecord
from xpm_remote.model.store import Store
from xpm_remote.ui.tables.columns import Look
from xpm_remote.ui.tables.jobs import COLUMNS, JobRow
from xpm_remote.ui.tables.slurm import account_words, row_words, time_left, waiting_cells
from xpm_remote.workspace.rows import SLURM, Account, Phase, Row
from xpm_remote.workspace.states import State

QUEUED = Row("15", Phase.QUEUED, "PENDING", "/ws", "Priority", "main", starts=NOW + 600)
RUNS = Row("16", Phase.RUNNING, "RUNNING", "/ws", queue="main", nodes="n1", ends=NOW + 7200)
LOOK = Look(NOW)


def told(store: Store, row: Row, state: State) -> Store:
    """Let SLURM have a job of a store in a state."""
    job = next(iter(store.in_state(state)))
    store.apply_judged([JobRecord(job.job_id, job.task_id, state=state.value, row=row)])
    return store


def words(*stores: Store, experiment: str = "", **others: object) -> list[str]:
    """Return what the line says."""
    pictures = {f"ws{number}": picture(store) for number, store in enumerate(stores)}
    shown = {name: with_fields(each, **others) for name, each in pictures.items()}  # type: ignore[arg-type]
    return [cell.text for cell in waiting_cells(shown, experiment, LOOK)]


def test_waiting_jobs() -> None:
    """What jobs wait for is counted by reason, for an experiment or for all, with the name of each of several."""
    waits = told(busy_store(), QUEUED, State.WAITING)
    (line,) = words(waits)
    assert line.startswith("waiting in SLURM: 1 Priority, ~")
    assert words(waits, experiment=EXPERIMENT) == [line]
    assert words(waits, experiment="another") == []
    assert words(busy_store(), waits) == ["ws1", line]


@pytest.mark.parametrize("state", [State.WAITING, State.RUNNING])
def test_contradictions(state: State) -> None:
    """Jobs whose files and SLURM contradict each other are counted."""
    row = (QUEUED if state is State.WAITING else RUNS)._replace(warning="x")
    found = words(told(busy_store(), row, state))
    assert found[-1] == "! 1 job marked as failed, which SLURM has"


def test_silence() -> None:
    """Where SLURM does not answer, why and for how long is told; other files are no matter of it."""
    files = [Unreadable("/x", "no"), Unreadable(SLURM, "squeue: down", since=NOW - 720)]
    page = UnreadablePage(0, 0, files)
    found = words(busy_store(), unreadable=page)
    assert found == ["SLURM does not answer (12 min)", "squeue: down"]
    pictures = {
        "jz": with_fields(picture(told(busy_store(), QUEUED, State.WAITING)), unreadable=page)
    }
    first, *others = [cell.text for cell in waiting_cells(pictures, "", LOOK)]
    assert (first, others[-1]) == ("SLURM does not answer (12 min)", "squeue: down")
    assert len(others) == 2, "what it said before stands between"


def test_columns() -> None:
    """Jobs that run have their node, and the time that is left; all have queue and number, and how files contradict."""

    def shown(job_state: State, row: Row | None) -> dict[str, str]:
        found = JobRow("jz", replace(known_job(job_state), row=row))
        assert row is None or row.id in found.words
        cells = {column.name: column.cell(found, LOOK).text for column in COLUMNS}
        names = ("node", "left", "queue", "slurm", "what")
        return {name: cells[name] for name in names if cells[name]}

    runs = {"node": "n1", "left": "2 h", "queue": "main", "slurm": "16", "what": "n1"}
    assert shown(State.RUNNING, RUNS) == runs
    assert shown(State.SCHEDULED, QUEUED) == {"queue": "main", "slurm": "15", "what": "Priority"}
    assert shown(State.SCHEDULED, QUEUED._replace(warning="no"))["what"] == "! no"
    assert shown(State.RUNNING, None) == {}
    ranks = {column.name: column.rank for column in COLUMNS}
    row = JobRow("jz", replace(known_job(State.RUNNING), row=RUNS))
    found = [rank(row) for name in ("node", "left", "queue", "slurm") if (rank := ranks[name])]
    assert found == ["n1", RUNS.ends, "main", "16"]


def test_words_of_a_job() -> None:
    """A job that waits has why and until about when; one that runs has where, and for how long it may."""
    waits = row_words(QUEUED, NOW)
    assert waits[:3] == ["job 15", "PENDING", "waits for Priority"]
    assert waits[3].startswith("start ~")
    runs = row_words(RUNS._replace(cpus="2", memory="4G", gpus="gpu:1", nodes="n\x1b"), NOW)
    assert runs[2:] == ["queue main", "on n\\x1b", "2 h left", "2 cpus", "4G", "gpu:1"]
    assert row_words(QUEUED._replace(starts=None, queue=""), NOW) == waits[:3]
    assert (time_left(None, NOW), time_left(RUNS._replace(ends=None), NOW)) == (None, None)
    assert time_left(RUNS, NOW + 9e9) == 0.0


def test_words_of_the_accounting() -> None:
    """They are its values, or why there are none; nothing for a job that is not of SLURM."""
    assert account_words(None) == []
    assert account_words(Account((("elapsed", "1\x1b"),))) == ["elapsed 1\\x1b"]
    assert account_words(Account((), "off")) == ["not known: off"]
