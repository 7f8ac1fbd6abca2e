"""The delay of announcements."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from xpm_remote.doctor.examine import ENOUGH_EVENTS, Delays
from xpm_remote.doctor.probe import Offset
from xpm_remote.rpc.protocol import Notification

AHEAD = 3600.0
"""Seconds by which the host's clock is ahead."""


def announced(timestamp: float | None, method: str = "notification.state_event") -> Notification:
    """Make an announcement of a job's progress."""
    data: dict[str, Any] = {"job_id": "a" * 64, "task_id": "demo.train", "timestamp": timestamp}
    params = {"event_type": "JobProgressEvent", "data": data}
    return Notification(method, msgspec.Raw(json.dumps(params).encode()))


@pytest.fixture
def delays() -> Delays:
    """A listener for a host whose clock is an hour ahead."""
    listening = Delays()
    listening.begin(Offset(AHEAD, 0.001))
    return listening


def test_clocks_are_compared(delays: Delays) -> None:
    """The delay is from the event's own time, by the host's clock, to its arrival, by our clock."""
    delays.hear(announced(time.time() + AHEAD + 0.5))
    assert -0.5 <= delays.seconds[0] < 5


def test_what_came_before_does_not_count(delays: Delays) -> None:
    """Events of before the subscription do not count as delayed."""
    delays.hear(announced(time.time() + AHEAD - 60))
    assert delays.seconds == []


@pytest.mark.parametrize(
    "notification",
    [
        announced(None),
        announced(time.time() + AHEAD + 60, "notification.shutdown"),
        Notification("notification.state_event", msgspec.Raw(b'{"event_type": 1}')),
        Notification(
            "notification.state_event", msgspec.Raw(b'{"event_type": "Other", "data": {}}')
        ),
    ],
)
def test_what_tells_no_time_does_not_count(delays: Delays, notification: Notification) -> None:
    """Announcements without a time, of other kinds, or unreadable are ignored."""
    delays.hear(notification)
    assert delays.seconds == []


def test_enough(delays: Delays) -> None:
    """The listener reports when it has enough of them."""
    for _ in range(ENOUGH_EVENTS):
        assert not delays.enough.is_set()
        delays.hear(announced(time.time() + AHEAD + 1))
    assert delays.enough.is_set()


def test_before_it_listens() -> None:
    """Nothing counts before it has begun."""
    listening = Delays()
    listening.hear(announced(time.time() + 60))
    assert listening.seconds == []
