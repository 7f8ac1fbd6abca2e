"""Very many jobs, read by one reader or by several."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.disk import Disk
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.job_files import JobReader
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.parallel import (
    PAGES_TOGETHER,
    READERS,
    ParallelReader,
    voluntary_waits,
)
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.reading.runs import RunFacts

MEETING_LIMIT = 20.0
"""Seconds for all readers to be at work; they need milliseconds."""


class Clock:
    """A clock that advances by the time that a test sets for reading.

    Attributes:
        job: Seconds a job.
        share: The part of it in which the processor works.
        waits: How often a reader waits for each job.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.busy = 0.0
        self.job = 0.01
        self.share = 1.0
        self.waits = 2
        self.waited = 0

    def read(self, jobs: int) -> None:
        """Let the time go on that these jobs take."""
        self.now += jobs * self.job
        self.busy += jobs * self.job * self.share
        self.waited += jobs * self.waits


class Reading:
    """A workspace of 24 jobs, and its readers.

    Attributes:
        threads: Which threads have read, anew for each page.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        disk = Disk(root)
        jobs = [JobId("demo.ok", f"{number:04d}") for number in range(24)]
        for job in jobs:
            disk.job(job, {"state": "done"})
        disk.run("many", jobs)
        self.clock = Clock()
        self.threads: list[str] = []
        self.reader = WorkspaceReader(root)
        run = self.reader.experiment("many")
        assert run is not None
        self.run = run
        read_job = JobReader.read

        def read(jobs: JobReader, *job: Any, **options: Any) -> JobFacts:
            self.threads.append(threading.current_thread().name)
            self.clock.read(1)
            return read_job(jobs, *job, **options)

        monkeypatch.setattr(JobReader, "read", read)
        self.parallel = ParallelReader(
            self.reader, lambda: self.clock.now, lambda: self.clock.busy, lambda: self.clock.waited
        )

    def page(self) -> bool:
        """Read a page; return whether several readers did."""
        self.threads.clear()
        found = [facts.job_id for facts in self.parallel.read(self.run)]
        assert found == list(self.run.job_infos)
        together = "reading" in self.threads
        assert together == (threading.current_thread().name not in self.threads)
        return together


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reading:
    """A workspace, read by a simulated clock."""
    return Reading(tmp_path / "ws", monkeypatch)


def test_alone_while_the_processor_is_busy(reading: Reading) -> None:
    """Reading that needs the processor rather than the files has one reader."""
    assert [reading.page() for _ in range(3)] == [False] * 3


def test_alone_while_others_have_the_processor(reading: Reading) -> None:
    """A reader that waits for the processor, and not for files, reads alone: several would wait longer."""
    reading.clock.share, reading.clock.waits = 0.2, 0
    assert [reading.page() for _ in range(3)] == [False] * 3


def test_waits_are_counted() -> None:
    """Waiting for a file is counted, working is not."""
    before = voluntary_waits()
    threading.Event().wait(0.01)
    assert voluntary_waits() > before


def test_together_while_one_waits(reading: Reading) -> None:
    """When one reader mostly waits, several read; occasionally one tries again alone."""
    reading.clock.share = 0.2
    assert not reading.page()
    reading.clock.job = 0.002
    assert [reading.page() for _ in range(PAGES_TOGETHER + 2)] == [
        *[True] * PAGES_TOGETHER,
        False,
        True,
    ]


def test_alone_again_where_several_are_slower(reading: Reading) -> None:
    """Several readers that are slower than one are replaced by one."""
    reading.clock.share = 0.2
    assert not reading.page()
    reading.clock.job = 0.02
    assert reading.page()
    reading.clock.share = 1.0
    assert [reading.page() for _ in range(3)] == [False] * 3


def test_at_the_same_time(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """All readers are at work at the same time."""
    reading.clock.share = 0.2
    assert not reading.page()
    meeting = threading.Barrier(READERS)
    read = JobReader.read
    arrived = threading.local()

    def meet(jobs: JobReader, *job: Any, **options: Any) -> JobFacts:
        if not getattr(arrived, "is_here", False):
            arrived.is_here = True
            meeting.wait(MEETING_LIMIT)
        return read(jobs, *job, **options)

    monkeypatch.setattr(JobReader, "read", meet)
    assert reading.page()


def test_failure(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception of one of several readers ends the reading."""
    reading.clock.share = 0.2
    assert not reading.page()

    def fail(*_: object, **__: object) -> JobFacts:
        raise MemoryError

    monkeypatch.setattr(JobReader, "read", fail)
    with pytest.raises(MemoryError):
        reading.page()


def test_few_jobs(reading: Reading) -> None:
    """A handful of jobs is read by one, at any speed."""
    reading.clock.share = 0.2
    assert not reading.page()
    few = dict(list(reading.run.job_infos.items())[:READERS])
    reading.threads.clear()
    part: RunFacts = reading.run._replace(job_infos=few)
    assert len(reading.parallel.read(part)) == READERS
    assert "reading" not in reading.threads
