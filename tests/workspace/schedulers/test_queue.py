"""One question for all jobs, asked seldom, and what it shows of them while a workspace is watched."""

from __future__ import annotations

import os
import pwd
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.support.effort import examples
from tests.support.slurm import FakeSlurm, slurm_job
from tests.workspace.disk import Disk, TextHost, snapshot, write
from xpm_remote.workspace.agent.announcing import Pages
from xpm_remote.workspace.agent.scheduling import Scheduling
from xpm_remote.workspace.agent.tracking import Tracker
from xpm_remote.workspace.agent.unread import Unread
from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.jobs import CLAIM, JobFacts
from xpm_remote.workspace.reading.reader import WorkspaceReader, current_jobs
from xpm_remote.workspace.rows import SLURM, Phase, Row
from xpm_remote.workspace.schedulers import slurm as slurm_module
from xpm_remote.workspace.schedulers.queue import (
    HEAR_WAIT,
    LONGEST_INTERVAL,
    Answer,
    Queue,
    ask_slurm,
)
from xpm_remote.workspace.schedulers.slurm import Slurm, why_ended
from xpm_remote.workspace.watching.watch import Watcher

ONE, TWO, LOCAL = (JobId("pkg.learn", letter * 64) for letter in "abc")
ME = os.geteuid()
PID = {"type": "slurm", "pid": "15", "options": [], "host": "login"}
AFTER = 4e9
"""A time at which the files of a test are old."""
CLAIMED = {"code": 1, "reason": "failed", "message": CLAIM}


class Told(Pages):
    """The jobs as they were sent last."""

    def __init__(self) -> None:
        super().__init__(lambda *_: None)
        self.facts: dict[JobId, JobFacts] = {}
        self.unread: list[UnreadFile] = []

    def jobs(self, jobs: list[JobFacts]) -> None:
        """Record jobs."""
        self.facts.update({facts.id: facts for facts in jobs})

    def unreadable(self, files: list[Unread], left_out: int) -> None:
        """Record what cannot be read."""
        self.unread = [each.file for each in files]
        assert not left_out


class Watched:
    """A watched workspace, with a clock that a test advances.

    Args:
        disk: The workspace.
        interval: Seconds between two questions.
        locked: How the paths of locks that are held end.
    """

    def __init__(
        self, disk: Disk, interval: float | None = 120.0, locked: Iterable[str] = ()
    ) -> None:
        self.now = 50_000.0
        self.questions: list[float] = []
        self.told = Told()
        host = TextHost(pids=[77], locked=locked)
        reader = WorkspaceReader(disk.root, host)
        self.queue = Queue(
            reader.layout, host, interval, self._ask, lambda: self.now, self._epoch, 0.0
        )
        self.tracker = Tracker(
            reader, Watcher(None, lambda: self.now), self.told, host, lambda: self.now, self.queue
        )
        self.tracker.load()

    def run(self, seconds: float) -> None:
        """Let time pass as the agent does."""
        end = self.now + seconds
        while self.now < end:
            wait = min(self.tracker.wait_time(), self.queue.wait_time())
            self.now = min(end, self.now + max(wait, 0.001))
            if self.queue.ask_if_due():
                self.tracker.hear_queue()
            self.tracker.step()

    def state(self, job: JobId) -> str:
        """Return the state of a job that was sent last."""
        return self.told.facts[job].state

    def _ask(self, binpath: Path | None, users: Sequence[int]) -> Answer:
        self.questions.append(self.now)
        return ask_slurm(binpath, users)

    def _epoch(self) -> float:
        return AFTER


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A SLURM in the PATH."""
    made = FakeSlurm(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A workspace with two jobs of SLURM and one of this host."""
    disk = Disk(tmp_path / "ws")
    disk.job(ONE, {"state": "running"}, pid=PID)
    disk.job(TWO, {"state": "scheduled"}, pid={**PID, "pid": "16"})
    disk.job(LOCAL, {"state": "running"}, pid={"type": "local", "pid": 77, "host": "node01"})
    disk.run("exp", [ONE, TWO, LOCAL])
    return disk


def directory(disk: Disk, job: JobId) -> Path:
    """Return the directory of a job."""
    return disk.root / "jobs" / job.task / job.hash


def test_ten_minutes(slurm: FakeSlurm, disk: Disk) -> None:
    """SLURM is asked at most six times in ten minutes, for all jobs at once, and nothing is written."""
    slurm.settle(
        slurm_job("15", directory(disk, ONE), uid=ME, nodes="n1", queue="main", ends=4e9),
        slurm_job("16", directory(disk, TWO), "PENDING", uid=ME, reason="Priority"),
    )
    before = snapshot(disk.root)
    watched = Watched(disk)
    watched.run(600)
    assert 5 <= len(watched.questions) <= 6
    assert slurm.asked == ["squeue"] * len(watched.questions)
    assert [watched.state(each) for each in (ONE, TWO, LOCAL)] == [
        "running",
        "scheduled",
        "running",
    ]
    assert watched.told.facts[TWO].row == Row(
        "16", Phase.QUEUED, "PENDING", str(directory(disk, TWO)), "Priority"
    )
    row = watched.told.facts[ONE].row
    assert row is not None
    assert (row.nodes, row.queue) == ("n1", "main")
    assert snapshot(disk.root) == before


def test_not_asked(slurm: FakeSlurm, disk: Disk) -> None:
    """SLURM is not asked where that is off, nor once no job of it is left that has not ended."""
    off = Watched(disk, None)
    off.run(600)
    assert off.questions == []
    for job in (ONE, TWO):
        write(directory(disk, job) / "learn.done", "")
    ended = Watched(disk)
    ended.run(600)
    assert (ended.questions, slurm.asked) == ([], [])
    assert ended.queue.wait_time() == HEAR_WAIT


def test_backoff(slurm: FakeSlurm, disk: Disk) -> None:
    """A SLURM that does not answer is asked less often, which changes no state, and again when it does."""
    slurm.settle(mode="down")
    watched = Watched(disk)
    watched.run(2400)
    pauses = [b - a for a, b in zip(watched.questions, watched.questions[1:], strict=False)]
    assert pauses[0] < pauses[-1] <= LONGEST_INTERVAL + 1
    assert len(watched.questions) <= 7
    assert [watched.state(each) for each in (ONE, TWO)] == ["running", "scheduled"]
    slurm.settle(slurm_job("15", directory(disk, ONE), "PENDING", uid=ME))
    watched.run(1500)
    assert watched.state(ONE) == "scheduled"
    assert watched.questions[-1] - watched.questions[-2] == pytest.approx(120, abs=1)


@pytest.mark.parametrize("mode", ["down", "frozen"])
def test_silence(slurm: FakeSlurm, disk: Disk, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While SLURM does not answer, what it said is shown with its age and as uncertain, and why; then no more."""
    jobs = (
        slurm_job("15", directory(disk, ONE), uid=ME, nodes="n1"),
        slurm_job("16", directory(disk, TWO), "PENDING", uid=ME, reason="Priority"),
    )
    slurm.settle(*jobs)
    watched = Watched(disk)
    watched.run(5)
    one = watched.told.facts[ONE]
    assert (one.certain, one.row and one.row.asked, watched.told.unread) == (True, None, [])
    slurm.settle(*jobs, mode=mode)
    with monkeypatch.context() as patched:
        if mode == "frozen":
            patched.setattr(slurm_module, "ANSWER_LIMIT", 0.2)
        watched.run(125)
    for job, state in ((ONE, "running"), (TWO, "scheduled")):
        found = watched.told.facts[job]
        assert (found.state, found.certain, found.row and found.row.asked) == (state, False, AFTER)
    assert watched.told.facts[LOCAL].certain
    (silent,) = watched.told.unread
    assert (silent.path, silent.error) == (SLURM, "")
    assert ("Unable to contact" if mode == "down" else "has not answered in 0.2 s") in silent.why
    slurm.settle(*jobs)
    watched.run(LONGEST_INTERVAL)
    one = watched.told.facts[ONE]
    assert (one.certain, one.row and one.row.asked, watched.told.unread) == (True, None, [])


def test_silence_that_matters_no_more(slurm: FakeSlurm, disk: Disk) -> None:
    """That SLURM does not answer is told no longer than there are jobs for which it is asked."""
    slurm.settle(mode="down")
    watched = Watched(disk)
    watched.run(5)
    assert [each.path for each in watched.told.unread] == [SLURM]
    for job in (ONE, TWO):
        write(directory(disk, job) / "learn.done", "")
    watched.run(60)
    assert watched.told.unread == []
    reader = WorkspaceReader(disk.root, TextHost())
    queue = Queue(reader.layout, TextHost())
    current_jobs(reader, None, queue.all_judged)
    assert queue.trouble == ""


def test_claim(slurm: FakeSlurm, disk: Disk) -> None:
    """A job that a monitor has marked as failed and SLURM has waits or runs, also in lists."""
    (directory(disk, ONE) / "learn.pid").unlink()
    disk.job(ONE, failed=CLAIMED, sh="#SBATCH --x\n")
    slurm.settle(slurm_job("15", directory(disk, ONE), "PENDING", uid=ME))
    watched = Watched(disk)
    watched.run(5)
    assert watched.state(ONE) == "scheduled"
    reader = WorkspaceReader(disk.root, TextHost())
    listed = current_jobs(reader, None, Queue(reader.layout, TextHost()).all_judged)
    assert listed is not None
    (found,) = [each for each in listed if each.facts.id == ONE]
    assert (found.state, found.row and found.row.id) == ("scheduled", "15")
    slurm.settle(slurm_job("15", directory(disk, ONE), uid=ME))
    watched.run(130)
    assert watched.state(ONE) == "running"


def test_pid_file_that_a_monitor_has_removed(slurm: FakeSlurm, disk: Disk) -> None:
    """A job that runs is known to be of SLURM by its script, too, when nothing else of it is doubtful."""
    (directory(disk, ONE) / "learn.pid").unlink()
    disk.job(ONE, {"state": "running"}, sh="#SBATCH --x\n")
    slurm.settle(slurm_job("15", directory(disk, ONE), uid=ME, nodes="n1"))
    watched = Watched(disk, locked=[f"{ONE.hash}/learn.lock"])
    watched.run(5)
    found = watched.told.facts[ONE]
    assert (found.state, found.certain, found.row and found.row.nodes) == ("running", True, "n1")


def test_requeued(slurm: FakeSlurm, disk: Disk) -> None:
    """A job that was ended by a signal just now is asked for, and waits if SLURM has queued it again."""
    for job in (ONE, TWO):
        (directory(disk, job) / "learn.pid").unlink()
        ended = {"code": 15, "reason": "cancelled", "message": "Job terminated by SIGTERM"}
        file = disk.job(job, failed=ended, sh="#SBATCH --x\n") / "learn.failed"
        os.utime(file, (AFTER - 60, AFTER - 60))
    slurm.settle(slurm_job("15", directory(disk, ONE), "PENDING", uid=ME, reason="BeginTime"))
    watched = Watched(disk)
    assert [watched.state(each) for each in (ONE, TWO)] == ["error", "error"]
    watched.run(5)
    assert [watched.state(each) for each in (ONE, TWO)] == ["scheduled", "error"]
    os.utime(directory(disk, TWO) / "learn.failed", (AFTER - 6000, AFTER - 6000))
    again = Watched(disk)
    assert set(again.queue.waiting) == {ONE}


def test_died(slurm: FakeSlurm, disk: Disk) -> None:
    """A job that SLURM does not have any more has died, for the reason in its log, and is asked for no more."""
    disk.job(ONE, err="slurmstepd: error: *** JOB 15 ON n1 CANCELLED AT x DUE TO TIME LIMIT ***\n")
    watched = Watched(disk)
    watched.run(5)
    one = watched.told.facts[ONE]
    assert (one.state, one.failure_reason) == ("error", "TIMEOUT")
    assert watched.state(TWO) == "error"
    assert watched.queue.waiting == ()


def test_another_users_programs(slurm: FakeSlurm, disk: Disk, tmp_path: Path) -> None:
    """A binpath in a pid file that others can write is not used."""
    trap = tmp_path / "trap"
    trap.mkdir()
    write(trap / "squeue", f"#!/bin/sh\ntouch {tmp_path}/sprung\n").chmod(0o755)
    file = write(directory(disk, ONE) / "learn.pid", {**PID, "options": [["binpath", str(trap)]]})
    file.chmod(0o666)
    watched = Watched(disk)
    watched.run(5)
    assert slurm.asked == ["squeue"]
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("slurmstepd: error: *** JOB 1 ON n CANCELLED AT x DUE TO TIME LIMIT ***", "TIMEOUT"),
        ("slurmstepd: error: *** JOB 1 ON n CANCELLED AT x DUE TO JOB REQUEUE ***", "REQUEUED"),
        ("slurmstepd: error: *** JOB 1 ON n CANCELLED AT x ***", "CANCELLED"),
        ("slurmstepd: error: *** JOB 1 ON n CANCELLED AT x DUE TO PREEMPTION ***", "PREEMPTED"),
        ("srun: error: Node failure on n1", "NODE_FAIL"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.batch", "OUT_OF_MEMORY"),
        ("slurmstepd: error: Exceeded job memory limit; exceeded memory limit", "OUT_OF_MEMORY"),
        ("srun: error: n1: task 0: Out Of Memory", "OUT_OF_MEMORY"),
        ("a program that writes: CANCELLED AT noon", None),
    ],
)
def test_hint(line: str, state: str | None) -> None:
    """What SLURM writes into a log tells the reason; what a program writes does not."""
    assert why_ended(f"epoch 1\n{line}\n") == state


def test_much_and_strange_output(slurm: FakeSlurm, disk: Disk) -> None:
    """Warnings, words of another language and many rows of others do not hide a job, nor change one."""
    rows = examples(20_000, 100_000)
    mine = f"15|PENDING|main|1|N/A|N/A||1|200M|N/A|Prioritätß|{directory(disk, ONE)}"
    array = f"16|RUNNING|gpu|1|2|99999999999999|n[1-3]|8|4G|gres:gpu:2|None|{directory(disk, TWO)}"
    script = slurm.bin / "squeue"
    script.write_text(
        "#!/bin/sh\necho 'squeue: Avertissement | un | deux' >&2\necho 'warning: x | y'\n"
        f'seq 100 {rows + 99} | sed "s#.*#&|RUNNING|main|1|1|2|n|1|1|N/A|None|/home/other/&#"\n'
        f"printf '%s\\n' '{mine}' '{array}'\n"
    )
    watched = Watched(disk)
    watched.run(5)
    one, two = (watched.told.facts[each].row for each in (ONE, TWO))
    assert one is not None
    assert two is not None
    assert (one.phase, one.reason, one.starts, one.gpus) == (Phase.QUEUED, "Prioritätß", None, "")
    assert (two.nodes, two.cpus, two.gpus, two.ends) == ("n[1-3]", "8", "gres:gpu:2", None)
    assert [watched.state(each) for each in (ONE, TWO)] == ["scheduled", "running"]


def test_number_that_is_given_again(slurm: FakeSlurm, disk: Disk, tmp_path: Path) -> None:
    """A job whose number SLURM has given to another one, which runs elsewhere, is not that one."""
    slurm.settle(slurm_job("15", tmp_path / "other", uid=ME))
    watched = Watched(disk)
    watched.run(5)
    assert watched.state(ONE) == "error"
    assert watched.told.facts[ONE].row is None


def test_job_of_another_user(slurm: FakeSlurm, disk: Disk) -> None:
    """A job of another user that SLURM does not show may be hidden, and has not died."""
    if ME != 0:
        pytest.skip("only root can give a directory to another user")
    os.chown(directory(disk, ONE), 3002, 3002)
    watched = Watched(disk)
    watched.run(5)
    assert watched.state(ONE) == "running"


def test_programs_of_the_login_shell(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the PATH has no squeue, that of a login shell is asked; else the error names where it was looked for."""
    path = os.environ["PATH"].partition(":")[2]
    monkeypatch.setenv("PATH", path)
    shell = write(tmp_path / "shell", f"#!/bin/sh\necho Welcome\necho {slurm.bin}/squeue\n")
    shell.chmod(0o755)
    entry = pwd.struct_passwd(("me", "x", ME, ME, "", "/", str(shell)))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    slurm_module.in_login_shell.cache_clear()
    assert Slurm().ask([ME]) == {}
    shell.write_text("#!/bin/sh\necho Welcome\n")
    slurm_module.in_login_shell.cache_clear()
    asked = Slurm()
    assert asked.ask([ME]) is None
    assert path in asked.why
    assert "shell_init" in asked.why
    slurm_module.in_login_shell.cache_clear()


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_clocks_that_differ(
    slurm: FakeSlurm, disk: Disk, skew: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was submitted after the last question has not died, whatever the clocks of the hosts say."""
    slurm.settle(slurm_job("16", directory(disk, TWO), "PENDING", uid=ME))
    for job in (ONE, TWO):
        os.utime(directory(disk, job) / "learn.pid", (AFTER, AFTER))
    (directory(disk, ONE) / "learn.pid").unlink()
    disk.job(ONE, {"state": "waiting"})
    monkeypatch.setattr(Watched, "_epoch", lambda _: AFTER + skew)
    watched = Watched(disk)
    watched.run(5)
    pid = disk.job(ONE, {"state": "running"}, pid=PID) / "learn.pid"
    os.utime(pid, (AFTER, AFTER))
    slurm.settle(
        slurm_job("15", directory(disk, ONE), uid=ME), slurm_job("16", directory(disk, TWO), uid=ME)
    )
    watched.run(60)
    assert watched.state(ONE) == "running"
    watched.run(120)
    assert [watched.state(each) for each in (ONE, TWO)] == ["running", "running"]


def test_other_kinds_of_numbers(slurm: FakeSlurm, disk: Disk) -> None:
    """An element of an array, and a component of a heterogeneous job, are shown as such; others of them are not it."""
    slurm.settle(
        slurm_job("15_2", directory(disk, ONE), uid=ME),
        slurm_job("15_3", directory(disk, LOCAL).parent / "other", "PENDING", uid=ME),
        slurm_job("16+0", directory(disk, TWO), "PENDING", uid=ME, reason="Resources"),
        slurm_job("16+1", Path("/home/me"), uid=ME),
    )
    watched = Watched(disk)
    watched.run(5)
    rows = [watched.told.facts[each].row for each in (ONE, TWO)]
    assert [row and row.id for row in rows] == ["15_2", "16+0"]
    assert [watched.state(each) for each in (ONE, TWO)] == ["running", "scheduled"]


def test_slow_answer(disk: Disk) -> None:
    """A SLURM that takes long keeps nothing waiting: what the files show is sent, and its answer when it comes."""
    asked, released, heard = threading.Event(), threading.Event(), threading.Event()

    def ask(_: Path | None, __: Sequence[int]) -> Answer:
        asked.set()
        assert released.wait(60)
        row = Row("15", Phase.QUEUED, "PENDING", str(directory(disk, ONE)), "Priority")
        return Answer({row.directory: row})

    host, told = TextHost(pids=[77]), Told()
    reader = WorkspaceReader(disk.root, host)
    queue = Queue(reader.layout, host, ask=ask, first_wait=0.0)
    tracker = Tracker(reader, Watcher(None), told, host, queue=queue)
    threading.Thread(target=queue.run, args=(heard.set,), daemon=True).start()
    tracker.load()
    assert asked.wait(60)
    tracker.step()
    assert told.facts[ONE].state == "running"
    assert queue.trouble == ""
    released.set()
    assert heard.wait(60)
    tracker.hear_queue()
    tracker.step()
    assert told.facts[ONE].state == "scheduled"


def test_unwatched(slurm: FakeSlurm, disk: Disk) -> None:
    """An agent that nothing watches, as one for logs, asks SLURM for nothing; a list asks once for all jobs."""
    reader = WorkspaceReader(disk.root, TextHost())
    scheduling = Scheduling(reader.layout, TextHost())
    assert scheduling.trouble == ""
    assert scheduling.concerned() == ()
    assert slurm.asked == []
    current_jobs(reader, None, scheduling.all_judged)
    current_jobs(reader, None, scheduling.all_judged)
    assert slurm.asked == ["squeue"]
