"""How the outcomes of jobs that were to be copied are judged."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from xpm_remote.cli import jobs_shared
from xpm_remote.cli.jobs_shared import copy_jobs, error_of_left
from xpm_remote.errors import BusyError, FolderError, JobsError, NoJobFoundError, SomeMissingError
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.outcomes import RecoveryOutcome, RecoveryStatus


@pytest.mark.parametrize(
    ("left", "is_failed", "is_busy", "kind"),
    [
        (1, True, True, FolderError),
        (3, True, False, FolderError),
        (1, False, True, BusyError),
        (3, False, True, BusyError),
        (2, False, False, SomeMissingError),
        (3, False, False, NoJobFoundError),
    ],
)
def test_error_of_left(left: int, is_failed: bool, is_busy: bool, kind: type[JobsError]) -> None:
    """The worst outcome decides the exit code: a folder, then another process, then the number of missing jobs."""
    error = error_of_left(left, 3, "recovered", is_failed=is_failed, is_busy=is_busy)
    assert type(error) is kind
    assert f"{left} job" in str(error)
    assert "of 3 cannot be recovered" in str(error)


def outcome(job: JobId, status: RecoveryStatus) -> RecoveryOutcome:
    """Return the outcome of a recovery."""
    return RecoveryOutcome(job, status, Path("/ws"))


@pytest.mark.parametrize("frees", [True, False])
def test_jobs_of_another_command_are_tried_again(
    frees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands that hold a job of each other's both end well; one that stays held is told in the end, once."""
    monkeypatch.setattr(jobs_shared, "BUSY_WAIT", 30.0 if frees else 0.2)
    monkeypatch.setattr(jobs_shared, "_BUSY_INTERVAL", 0.05)
    jobs = [JobId("u", f"{number}") for number in range(4)]
    held = {jobs[0], jobs[2]}
    asked: list[list[JobId]] = []
    shown: list[RecoveryOutcome] = []

    def work(left: Sequence[JobId], _: object) -> Generator[RecoveryOutcome, None, None]:
        asked.append(list(left))
        for job in left:
            is_busy = job in held
            yield outcome(job, RecoveryStatus.BUSY if is_busy else RecoveryStatus.THERE)
        if len(asked) == 2 and frees:
            held.clear()

    done = copy_jobs("recovering", 0, 0, jobs, work, shown.append)
    assert asked[:2] == [jobs, [jobs[0], jobs[2]]]
    assert [each.job for each in done] == [jobs[1], jobs[3], jobs[0], jobs[2]]
    assert shown == done
    assert [each.is_busy for each in done] == [False, False, not frees, not frees]
