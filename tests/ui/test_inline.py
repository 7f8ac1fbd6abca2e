"""The picture redrawn in place: how often it is drawn while nothing happens."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from tests.model.builders import store_with
from xpm_remote.session.fleet import Fleet
from xpm_remote.session.state import LinkState, Phase, Picture, Stall
from xpm_remote.ui.inline import InlineDashboard


def test_rest() -> None:
    """A picture is drawn less often once nothing has changed since the last one, every link is live and all is read."""
    store = store_with({"a": "waiting"})
    member = SimpleNamespace(picture=None)

    def show(phase: Phase, stall: Stall | None = None) -> None:
        member.picture = Picture("h", "/ws", LinkState(phase, 0.0), 0.0, 0.0, store, stall=stall)

    fleet = cast("Fleet", SimpleNamespace(members={"a": member}, subscribe=lambda _: None))
    board: Any = InlineDashboard(fleet, Console(file=io.StringIO()))
    show(Phase.LIVE)
    assert [board._is_at_rest() for _ in range(2)] == [False, True]
    store.apply_experiments([])
    assert [board._is_at_rest() for _ in range(2)] == [False, True]
    show(Phase.WAITING)
    assert not board._is_at_rest()
    show(Phase.LIVE, Stall(0.0, "the file server does not answer", "/ws"))
    assert not board._is_at_rest()
