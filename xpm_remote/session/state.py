"""What is known of a link and of what it brought: values for everybody who draws or prints. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from xpm_remote.model.changes import Change, JobChange
from xpm_remote.model.states import State
from xpm_remote.model.store import Store


class Phase(str, Enum):
    """How far a link has come."""

    CONNECTING = "connecting"
    LOADING = "loading"
    LIVE = "live"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True)
class Digest:
    """What happened while we were away.

    Attributes:
        away: For how many seconds we were.
        done: How many jobs ended well.
        failed: How many jobs failed.
        started: How many jobs began and still run.
    """

    away: float
    done: int = 0
    failed: int = 0
    started: int = 0

    @classmethod
    def of(cls, changes: Iterable[Change], away: float) -> Digest:
        """Count what changed."""
        ways = Counter(
            change.after.state
            for change in changes
            if isinstance(change, JobChange) and change.after is not None and _moved(change)
        )
        return cls(away, ways[State.DONE], ways[State.ERROR], ways[State.RUNNING])


def _moved(change: JobChange) -> bool:
    before, after = change.before, change.after
    return before is None or after is None or before.state is not after.state


@dataclass(frozen=True)
class LinkState:
    """A link at a moment.

    All times are local epoch seconds.

    Attributes:
        phase: How far it has come; ``WAITING`` is for the next attempt.
        since: When it came there.
        detail: Why it was lost or ended, while it is.
        stale_since: Since when what is shown may not be true any more; None while it is.
        retry_at: When the next attempt is made, while that is waited for.
        digest: What had happened meanwhile, when it has come back.
    """

    phase: Phase
    since: float
    detail: str = ""
    stale_since: float | None = None
    retry_at: float | None = None
    digest: Digest | None = None


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
