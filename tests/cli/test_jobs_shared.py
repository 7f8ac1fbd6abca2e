"""How what came of jobs that were to be copied is judged."""

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
    """What is worst decides the exit code: a folder, then who else works there, then how many are missing."""
    error = error_of_left(left, 3, "recovered", is_failed=is_failed, is_busy=is_busy)
    assert type(error) is kind
    assert f"{left} job" in str(error)
    assert "of 3 cannot be recovered" in str(error)
