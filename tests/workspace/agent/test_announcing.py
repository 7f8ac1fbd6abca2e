"""Notifications about entities: their rows, the numbers of jobs, and the order of pages."""

from __future__ import annotations

from typing import Any

from xpm_remote.workspace.agent.announcing import PAGE, Pages, by_importance, importance, in_order
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.runs import JobInfo, RunFacts, age
from xpm_remote.workspace.states import Process, Progress
from xpm_remote.workspace.watching.places import JobSubject, ListSubject, RunSubject

RUN = RunFacts(
    "exp",
    "r1",
    "running",
    started=5.0,
    job_states={"aa": "running"},
    job_infos={
        "aa": JobInfo("pkg.learn", "aa", {"x": 1}, 1.23456),
        "bb": JobInfo("pkg.learn", "bb", {}),
    },
)


def test_rows_and_numbers() -> None:
    """A job keeps the number of its first row; trailing nulls are left out; each notification has its place."""
    sent: list[tuple[str, dict[str, Any]]] = []
    times = iter([10.0, 20.9])
    pages = Pages(lambda name, params: sent.append((name, params)), lambda: next(times))
    pages.listed(RUN, ["aa", "bb"])
    pages.begin()
    pages.jobs(
        [
            JobFacts("pkg.learn", "bb", "/ws/jobs", "done", started=1.0, ended=2.0006),
            JobFacts("pkg.learn", "aa", "/ws/jobs"),
        ]
    )
    pages.gone([JobId("pkg.learn", "bb"), JobId("pkg.learn", "never told")])
    pages.loaded()
    names = ("listed", "jobs", "gone", "loaded")
    assert [name for name, _ in sent] == [f"notification.{name}" for name in names]
    assert [(each["sequence"], each["mark"]) for _, each in sent] == [
        (1, 10),
        (2, 20),
        (3, 20),
        (4, 20),
    ]
    listed, jobs, gone, _ = (params for _, params in sent)
    assert (listed["experiment_id"], listed["run_id"], listed["tasks"]) == (
        "exp",
        "r1",
        ["pkg.learn"],
    )
    assert listed["rows"] == [[0, 0, "aa", 1235, {"x": 1}, "running"], [1, 0, "bb", None, {}, None]]
    assert jobs["rows"] == [
        [1, "done", None, 1000, 2001, None, None, None, {"scheduler_state": "unscheduled"}],
        [-1, "unscheduled"],
    ]
    assert gone["numbers"] == [1]


def test_rarities() -> None:
    """Rare fields of jobs are in the last column, under the names of the wire."""
    sent: list[dict[str, Any]] = []
    pages = Pages(lambda _, params: sent.append(params))
    facts = JobFacts(
        "pkg.learn",
        "aa",
        "/ws/jobs",
        "running",
        scheduler_state="running",
        progress=(Progress(0, 0.5, "epochs"),),
        process=Process(7, "local", "node"),
        carbon={"carbon_metrics": {"kg": 1}},
        has_directory=False,
        resumable=True,
        progressed=1.00049,
    )
    pages.jobs([facts])
    assert sent[0]["rows"][0][7:] == [
        [[0, 0.5, "epochs"]],
        {
            "process": ["local", 7, "node"],
            "resumable": True,
            "progressed": 1.0,
            "has_directory": False,
            "carbon_metrics": {"kg": 1},
        },
    ]


def test_order() -> None:
    """Active jobs come first, then the newest; jobs that have ended come last, in pages."""
    old = RunFacts("old", "r", "done", started=1.0)
    new = RunFacts(
        "new", "r", "done", started=9.0, job_states={str(each): "done" for each in range(PAGE + 1)}
    )
    assert sorted([old, new, RUN], key=importance) == [RUN, new, old]
    assert sorted([new, RUN, old], key=age) == [old, RUN, new]
    ended = list(new.job_states)
    news = {"new": [*ended, "waiting"], "exp": ["aa", "bb"]}
    assert list(by_importance([RUN, new], news)) == [
        (RUN, ["aa", "bb"]),
        (new, ["waiting"]),
        (new, ended[:PAGE]),
        (new, ended[PAGE:]),
    ]


def test_lists_come_before_what_they_list() -> None:
    """A list is read before its entries."""
    job, run = JobSubject("pkg.learn", "aa"), RunSubject("exp")
    assert in_order({job, run, ListSubject()}) == [ListSubject(), run, job]


def test_pages_that_are_known() -> None:
    """While everything is sent once, pages have digests, and of a page that is known only that is sent."""
    facts = JobFacts("pkg.learn", "aa", "/ws/jobs", "done")

    def told(known: list[str]) -> list[tuple[str, dict[str, Any]]]:
        sent: list[tuple[str, dict[str, Any]]] = []
        pages = Pages(lambda name, params: sent.append((name, params)), lambda: 1.0)
        pages.expect(known)
        pages.listed(RUN, ["aa"])
        pages.jobs([facts])
        pages.loaded()
        pages.jobs([facts])
        return sent

    listed, jobs, loaded, later = told([])
    assert (loaded[0], "digest" in later[1]) == ("notification.loaded", False)
    digest = jobs[1]["digest"]
    again = told([digest, "unknown"])
    assert again[0] == listed
    assert again[1] == ("notification.again", {"sequence": 2, "mark": 1, "digest": digest})
    assert again[2:] == [loaded, later]
