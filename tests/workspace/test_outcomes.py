"""The meaning of the statuses of a job's recovery."""

from __future__ import annotations

import pytest

from xpm_remote.workspace.outcomes import RecoveryStatus


@pytest.mark.parametrize("status", RecoveryStatus)
def test_recovery_status(status: RecoveryStatus) -> None:
    """Only an existing or restored job counts as there; only a restored one, or one still busy, is to be done."""
    assert status.is_there == (status.name in ("THERE", "RECOVERED"))
    assert status.is_to_do == (status.name in ("RECOVERED", "BUSY"))
