"""What the words for the recovery of a job mean."""

from __future__ import annotations

import pytest

from xpm_remote.workspace.outcomes import RecoveryStatus


@pytest.mark.parametrize("status", RecoveryStatus)
def test_recovery_status(status: RecoveryStatus) -> None:
    """Only what is there or is restored counts as there; only what is restored, or is busy as yet, is to be done."""
    assert status.is_there == (status.name in ("THERE", "RECOVERED"))
    assert status.is_to_do == (status.name in ("RECOVERED", "BUSY"))
