"""What is known of a link and of what it brought: values for everybody who draws or prints. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from xpm_remote.model.entities import Change, Job, JobChange
from xpm_remote.model.store import Store
from xpm_remote.settings.schema import Backend
from xpm_remote.workspace.states import State

RECONCILE_INTERVAL = 10.0
"""Seconds between two reconciliations: what an announcement did not tell is seen this much later."""


class Phase(str, Enum):
    """How far a link has come."""

    CONNECTING = "connecting"
    LOADING = "loading"
    LIVE = "live"
    WAITING = "waiting"
    NEEDS_PERSON = "needs-person"
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
            if isinstance(change, JobChange)
            and change.after is not None
            and _has_moved(change.before, change.after)
        )
        return cls(away, ways[State.DONE], ways[State.ERROR], ways[State.RUNNING])


def _has_moved(before: Job | None, after: Job) -> bool:
    return before is None or before.state is not after.state


@dataclass(frozen=True)
class LinkState:
    """A link at a moment.

    All times are local epoch seconds.

    Attributes:
        phase: How far it has come; ``WAITING`` is for the next attempt, ``NEEDS_PERSON`` for somebody at the terminal.
        since: When it came there.
        detail: Why it was lost or ended, while it is.
        stale_since: Since when what is shown may not be true any more; None while it is.
        retry_at: When the next attempt is made, while that is waited for.
        asked: What only a person can answer, while one is needed.
        is_asking: Whether whoever is at the terminal may be asked now: then the terminal is theirs.
        digest: What had happened meanwhile, when it has come back.
    """

    phase: Phase
    since: float
    detail: str = ""
    stale_since: float | None = None
    retry_at: float | None = None
    asked: str = ""
    is_asking: bool = False
    digest: Digest | None = None

    def reached(self, phase: Phase, now: float, *, is_asking: bool) -> LinkState:
        """Give the state on the way back, or on the first way there: what is shown is as stale as before."""
        return LinkState(
            phase,
            now,
            detail=self.detail,
            stale_since=self.stale_since,
            asked=self.asked if is_asking else "",
            is_asking=is_asking,
        )

    def lost(self, now: float, error: str, heard: float | None, retry_at: float) -> LinkState:
        """Give the state of waiting for the next attempt; what is shown was true when the remote was last heard."""
        stale_since = self.stale_since or heard or now
        return LinkState(
            Phase.WAITING, now, detail=error, stale_since=stale_since, retry_at=retry_at
        )

    def stuck(self, now: float, error: str, asked: str) -> LinkState:
        """Give the state of waiting for a person."""
        return LinkState(
            Phase.NEEDS_PERSON, now, detail=error, stale_since=self.stale_since, asked=asked
        )

    def ended(self, now: float, error: str) -> LinkState:
        """Give the last state."""
        return LinkState(Phase.ENDED, now, detail=error, stale_since=self.stale_since)


@dataclass(frozen=True)
class BackendChoice:
    """Which remote side serves a workspace.

    Attributes:
        backend: Never ``AUTO``.
        why: Why that one.
        is_fallback: Whether the other one was tried and will not do.
    """

    backend: Backend
    why: str
    is_fallback: bool = False


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
        served_by: The remote side.
        messages: What else is known of the failure of jobs, by their keys: of our agent only.
    """

    host: str
    workspace: str
    link: LinkState
    heard: float | None
    skew: float
    store: Store
    served_by: BackendChoice = BackendChoice(Backend.EXPERIMAESTRO, "it is asked for")
    messages: Mapping[str, str] = field(default_factory=dict)


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
