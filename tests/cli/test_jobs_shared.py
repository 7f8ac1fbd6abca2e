"""How the outcomes of jobs that were to be copied are judged."""

from __future__ import annotations

import pytest

from xpm_remote.cli.jobs_shared import error_of_left
from xpm_remote.errors import BusyError, FolderError, JobsError, NoJobFoundError, SomeMissingError


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
