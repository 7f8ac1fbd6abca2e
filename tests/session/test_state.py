"""The values that say how a link does."""

from __future__ import annotations

from xpm_remote.session.state import Phase, Update


def test_phases() -> None:
    """The phases are named as the documents for scripts name them, in the order in which they come."""
    assert [phase.value for phase in Phase] == ["connecting", "loading", "live", "ended"]


def test_update_of_nothing() -> None:
    """An update that brings nothing is that of the link alone: no change, no notice."""
    update = Update()
    assert (update.changes, update.recovered, update.notice) == ((), False, "")
