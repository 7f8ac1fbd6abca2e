"""What is known of a link and of what it brought: values for everybody who draws or prints. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from xpm_remote.model.changes import Change
from xpm_remote.model.store import Store


class Phase(str, Enum):
    """How far a link has come."""

    CONNECTING = "connecting"
    LOADING = "loading"
    LIVE = "live"
    ENDED = "ended"


@dataclass(frozen=True)
class LinkState:
    """A link at a moment.

    Attributes:
        phase: How far it has come.
        since: When it came there, in local epoch seconds.
        detail: Why it ended, when it did.
    """

    phase: Phase
    since: float
    detail: str = ""


@dataclass(frozen=True)
class Picture:
    """All that is to be seen of one workspace.

    Attributes:
        host: The host, as the person named it.
        workspace: The directory there.
        link: The state of the link.
        heard: When the remote was last heard, in local epoch seconds; None before it was.
        skew: Seconds by which the remote's clock is ahead of ours.
        store: Experiments and jobs.
    """

    host: str
    workspace: str
    link: LinkState
    heard: float | None
    skew: float
    store: Store


@dataclass(frozen=True)
class Update:
    """Something that happened.

    Attributes:
        changes: What changed in the store, in order.
        recovered: Whether it was found by asking, not announced as it happened.
        notice: Something else worth a line, such as an experiment's warning; empty for nothing.
    """

    changes: tuple[Change, ...] = ()
    recovered: bool = False
    notice: str = ""
