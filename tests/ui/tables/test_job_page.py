"""The page of a job."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tests.model.builders import epoch, known_job, moment
from tests.ui.reports.test_inspecting import FAILURE, JOB, OTHER, STOPPED, detail
from xpm_remote.model.samples import Samples
from xpm_remote.ui.tables.columns import Look
from xpm_remote.ui.tables.job_page import JobPage, PageLine, attempt_text, page_lines
from xpm_remote.ui.tables.jobs import JobRow
from xpm_remote.workspace.inspecting.answers import JobFile, LinkedJob
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.rows import Phase, Row
from xpm_remote.workspace.states import Process, Progress, State

LOOK = Look(epoch(3600))
FAILED = replace(
    known_job(State.ERROR, started=120, ended=1800, reason="FAILED", retry_count=1),
    submitted=moment(60), exit_code=1, tags={"lr": 0.1, "seed": 2}, experiments=("e",), path="/ws/j",
)  # fmt: skip
RUNS = known_job(
    State.RUNNING, started=600, progress=(Progress(0, 0.5, "epoch 5"), Progress(1, None))
)
FACTS = JobFacts(*JOB, "/ws/jobs", state="error")


def lines(page: JobPage, look: Look = LOOK, width: int = 100) -> list[PageLine]:
    """Return the lines of a page."""
    return list(page_lines(page, look, width))


def texts(page: JobPage, look: Look = LOOK, width: int = 100) -> list[str]:
    """Return what they say, with single blanks."""
    return [" ".join(line.text.split()) for line in lines(page, look, width)]


def test_before_its_host_has_answered() -> None:
    """What is known without asking is shown at once; then why nothing more comes."""
    row = JobRow("jz", FAILED, "out of memory")
    shown = texts(JobPage(row))
    first = ["F ✖ FAILED exit 1 try 2", "out of memory", "tags lr=0.1 seed=2"]
    assert shown[:4] == [*first, "experiments e"]
    assert "asking jz …" in shown
    assert shown[-1] == "path /ws/j"
    assert "30 min ago" in shown[-2]
    assert "submitted 20" in shown[-2]
    assert "─ waited 1 min 0 s ─ started " in shown[-2]
    assert "─ ran 28 min 0 s ─ failed " in shown[-2]
    assert shown[-2].count("2026-") == 1
    assert "no \\x1b way" in texts(JobPage(row, trouble="no \x1b way"))
    assert " - failed" in " ".join(texts(JobPage(row), Look(epoch(3600), is_ascii=True)))


def test_a_failure() -> None:
    """It has its exception and frames, which lead to the log, its parameters, dependencies and files."""
    facts = FACTS._replace(process=Process(12, "slurm", "node2"))
    known = detail(facts)
    page = JobPage(JobRow("jz", FAILED), known, FAILURE)
    shown = texts(page)
    assert shown[0] == "F ✖ FAILED exit 1 try 2 slurm 12 on node2"
    assert shown[1:4] == ["BadError: lr 0.1", "second \\x1b[2J", "learner.py:212 forward"]
    assert [line.log for line in lines(page)[1:4]] == ["err"] * 3
    for line in (
        'params batch=64 index={"type": "Index", "job": "cd"}',
        "needs ▸ D ✔ index/cd",
        "needed by ▸ I?– last/ef",  # noqa: RUF001
        "and 3 more",
        "logs err 10 B out 0 B",
        "err 2.0 KiB of the try that ended 2026-11-28 12:00",
        "files learn.err 10 B data/",
        "unreadable /ws/x: Stale file handle",
    ):
        assert line in shown, line
    assert [line.job for line in lines(page) if line.job] == ["d.index/cd", "d.last/ef"]
    assert [line.attempt for line in lines(page) if line.attempt] == ["20261128120000"]


def test_a_failure_without_much() -> None:
    """A long message is cut; one without exception or frames has neither."""
    many = FAILURE._replace(exception="", message="\n".join("abcdefghi"), frames=())
    shown = texts(JobPage(JobRow("jz", FAILED), detail(FACTS), many))
    assert shown[1:8] == [*"abcdef", "and 3 lines more"]
    assert shown[0].endswith("on node1")
    nowhere = detail(FACTS)._replace(host=None)
    assert "on" not in texts(JobPage(JobRow("jz", FAILED), nowhere))[0].split()


def test_a_job_that_was_stopped() -> None:
    """It leads to the job that it needed, and to the one that this needed."""
    row = JobRow("jz", FAILED)
    found = [line for line in lines(JobPage(row, None, STOPPED)) if line.job]
    assert [line.job for line in found] == [str(OTHER), str(JOB)]
    found = [line for line in lines(JobPage(row, None, STOPPED._replace(root=OTHER))) if line.job]
    assert [line.job for line in found] == [str(OTHER)]


def test_parameters_that_differ() -> None:
    """They are compared with those of another job, which the line leads to."""
    known = detail(FACTS)
    other = known._replace(params={"batch": 32, "text": "é" * 400})
    page = JobPage(JobRow("jz", FAILED), known, None, None, other)
    (first, *_) = [line for line in lines(page) if line.job == str(JOB)]
    assert "differs from ab, which has batch=32, index=none, text=ééé" in first.text
    same = JobPage(JobRow("jz", FAILED), known, None, None, known)
    assert any("nothing but what it needs" in line for line in texts(same))


def samples(*points: tuple[float, float]) -> Samples:
    """Make samples of a job's progress."""
    found = Samples(epoch(600))
    for at, fraction in points:
        found.add(epoch(at), fraction)
    return found


def test_a_job_that_runs() -> None:
    """It shows its progress, how that went, and when it will end; or that it has stopped to advance."""
    row = JobRow("jz", RUNS)
    steady = samples(*((3000 + 60 * n, n / 20) for n in range(11)))
    shown = texts(JobPage(row, samples=steady))
    assert "runs for 50 min 0 s" in shown
    assert "progress ━━━━━━━━━━────────── 50 % epoch 5" in shown
    assert any("▅" in line and "5 % a min ~10 min left" in line for line in shown)
    slower = ((3450.0 + 30 * n, 0.45 + n / 80) for n in range(6))
    slowed = samples(*((3000.0 + 15 * n, n / 80) for n in range(31)), *slower)
    assert any(
        "slowed x2.0 in the last 2 min" in line for line in texts(JobPage(row, samples=slowed))
    )
    late = Look(epoch(9000), is_ascii=True)
    assert any("no progress for 1 h" in line for line in texts(JobPage(row, samples=steady), late))
    few = texts(JobPage(row, samples=samples((3000, 1.0))))
    assert "█" in few
    assert "time" not in " ".join(texts(JobPage(JobRow("jz", known_job(State.RUNNING), ""))))
    assert texts(JobPage(row, samples=Samples(0.0))) == texts(JobPage(row))


def test_many_dependencies() -> None:
    """Of very many some are shown, and the others counted; a state of later versions is unknown."""
    links = tuple(LinkedJob(JobId("d.x", f"{number:02x}"), "new-state") for number in range(60))
    files = tuple(JobFile(f"f{number}", 1, 1.0) for number in range(30))
    known: Any = detail(FACTS)._replace(
        needs=links, files=files, left_out={"files": 7}, attempts=()
    )
    shown = texts(JobPage(JobRow("jz", FAILED), known), width=40)
    assert "and 10 more" in shown
    assert any("and 7 more" in line for line in shown)
    assert "▸ I – x/01" in shown  # noqa: RUF001


def test_the_tree_of_dependencies() -> None:
    """What is unfolded has what it needs, or is needed by, below it; each line leads to its job."""
    index, last = ("needs", "d.index/cd"), ("needed by", "d.last/ef")
    deeper = (*index, "d.raw/01")
    branches = {index: (LinkedJob(JobId("d.raw", "01"), "done"),), deeper: (), last: ()}
    page = JobPage(JobRow("jz", FAILED), detail(FACTS), branches=branches)
    shown = [line for line in lines(page) if line.node]
    assert [" ".join(line.text.split()) for line in shown] == [
        "needs ▾ D ✔ index/cd",
        "▾ D ✔ raw/01",
        "needs nothing",
        "needed by ▾ I?– last/ef",  # noqa: RUF001
        "is needed by nothing",
    ]
    assert [line.node for line in shown] == [index, deeper, deeper, last, last]
    assert shown[1].job == "d.raw/01"
    plain = [line.text for line in lines(page, Look(epoch(3600), is_ascii=True)) if line.node]
    assert plain[0].split()[:3] == ["needs", "-", "D"]


def test_days() -> None:
    """A time of another day than the one before has its date."""
    row = JobRow("jz", replace(FAILED, ended=moment(90_000)))
    assert " ".join(texts(JobPage(row))).count("2026-") == 2


def test_a_job_that_did_not_run() -> None:
    """A job that was not started has not run until it failed."""
    row = JobRow("jz", replace(FAILED, started=None))
    assert "─ waited 29 min 0 s ─ failed" in " ".join(texts(JobPage(row)))


def test_names_of_tries() -> None:
    """A try has the time of its end; the last one is that."""
    assert attempt_text("20261128101500") == "try that ended 2026-11-28 10:15"
    assert attempt_text("") == "last try"


def test_what_slurm_said_before_it_fell_silent() -> None:
    """What SLURM has of a job has its age where it does not answer any more."""
    row = Row("15", Phase.RUNNING, "RUNNING", "/ws", nodes="n1", asked=epoch(3000))
    shown = texts(JobPage(JobRow("jz", replace(RUNS, row=row))))
    at = shown.index("slurm job 15 RUNNING on n1")
    assert shown[at + 1] == "so it said 10 min ago, and does not answer since"
