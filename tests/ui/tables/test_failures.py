"""The rows of the table of failures."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec.structs import replace

from tests.model.builders import epoch, known_job
from xpm_remote.model.causes import find_causes
from xpm_remote.model.entities import Job
from xpm_remote.model.tells_apart import Distinction
from xpm_remote.ui.tables.columns import Look
from xpm_remote.ui.tables.failures import COLUMNS, FAILURES_ORDER, FailureRow, failure_rows
from xpm_remote.ui.tables.jobs import JobKey
from xpm_remote.ui.tables.table import Table
from xpm_remote.workspace.inspecting.answers import Failure
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.states import State

CAUSE = "Error: no *\nlearn.py:step"
KNOWN = ("jz", "a.learn/aa")


def failure(job: str, cause: str = CAUSE, **given: Any) -> Failure:
    """Make a failure."""
    return Failure(JobId("a.learn", job), "", cause, ended=epoch(60), **given)


FAILURES = [
    ("jz", failure("aa")),
    ("lip6", failure("bb")),
    ("jz", failure("cc", "other", reason="DEPENDENCY", needs=JobId("a.b", "0" * 12), root=JobId("a.learn", "aa"))),
    ("jz", Failure(JobId("a.learn", "dd"), "", "\x1b[31mx")),
]  # fmt: skip


def find(key: JobKey) -> Job | None:
    """Return a job that is known."""
    job = replace(known_job(State.ERROR), tags={"lr": 0.1}, task_id="a.learn", job_id="aa", key="")
    return job if key == KNOWN else None


def rows(
    *, new: Collection[JobKey] = (), muted: Collection[str] = (), folded: Collection[str] = ()
) -> list[FailureRow]:
    """Return the rows in their order."""
    told = {CAUSE: [Distinction("lr", 0.1, 13, 13, 12, 290)]}
    found = failure_rows(
        find_causes(FAILURES), find, new=new, muted=muted, folded=folded, distinctions=told
    )
    table: Table[Any, FailureRow] = Table(FAILURES_ORDER)
    table.update({row.key: row for row in found})
    return [table.rows[key] for key in table.shown_keys()]


def shown(row: FailureRow, *, is_ascii: bool = False) -> str:
    """Return the cells of a row."""
    look = Look(epoch(3660), is_ascii=is_ascii)
    texts = [column.cell(row, look).text for column in COLUMNS]
    return " | ".join(text.strip() for text in texts if text.strip())


def test_causes_and_their_jobs() -> None:
    """Each cause has what goes with it and its jobs, those that were stopped by them too."""
    assert [shown(row) for row in rows(new=[KNOWN])] == [
        "▾    3 | +1 | Error: no * | learn.py:step | 1 h | 1 h",
        "",
        "new | learn/aa lr=0.1 | jz | 1 h",
        "a.learn/bb | lip6 | 1 h",
        "a.learn/cc needs b/00000000 | jz | 1 h",
        "▾    1 | \\x1b[31mx",
        "a.learn/dd | jz",
    ]
    assert rows()[1].text.startswith("goes with lr=0.1: 13 of 13")
    assert len({row.key for row in rows()}) == len(rows())


def test_folded_and_muted() -> None:
    """Of a folded cause only its title is there; a muted one comes last."""
    found = rows(muted=[CAUSE], folded=[CAUSE])
    assert [row.kind for row in found] == [0, 2, 0]
    assert shown(found[-1], is_ascii=True).startswith("+    3 | muted: Error: no *")
    assert found[-1].is_folded


def test_what_is_meant() -> None:
    """A cause means its latest job, and is found by its words and those of its jobs."""
    first = rows()[0]
    assert first.job_key == KNOWN
    assert rows()[3].job_key == ("lip6", "a.learn/bb")
    assert all(word in first.words for word in ("error", "learn.py:step", "a.learn/cc", "lip6"))
