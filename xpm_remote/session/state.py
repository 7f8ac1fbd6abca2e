"""The state of a link, its updates, and the picture of a workspace, as values to draw or print. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from xpm_remote.model.agent_pages import UnreadablePage
from xpm_remote.model.entities import Change, JobChange
from xpm_remote.model.store import Store
from xpm_remote.settings.schema import Backend
from xpm_remote.workspace.states import State

RECONCILE_INTERVAL = 10.0
"""Seconds between two reconciliations: a change that was not announced is seen this much later."""


class Phase(str, Enum):
    """The phase of a link; ``WAITING`` is for the next attempt, ``NEEDS_PERSON`` for a person at the terminal."""

    CONNECTING = "connecting"
    LOADING = "loading"
    LIVE = "live"
    WAITING = "waiting"
    NEEDS_PERSON = "needs-person"
    ENDED = "ended"


@dataclass(frozen=True)
class Digest:
    """What happened while the link was down.

    Attributes:
        away: For how many seconds it was down.
        done: The number of jobs that succeeded.
        failed: The number of jobs that failed.
        started: The number of jobs that started and still run.
    """

    away: float
    done: int = 0
    failed: int = 0
    started: int = 0

    def with_changes(self, changes: Iterable[Change]) -> Digest:
        """Return it with the changes of job states counted, too."""
        states = Counter(
            change.after.state
            for change in changes
            if isinstance(change, JobChange)
            and change.after is not None
            and (change.before is None or change.before.state is not change.after.state)
        )
        return Digest(
            self.away,
            self.done + states[State.DONE],
            self.failed + states[State.ERROR],
            self.started + states[State.RUNNING],
        )


@dataclass(frozen=True)
class LinkState:
    """A link at a moment.

    All times are local epoch seconds.

    Attributes:
        phase: The phase.
        since: When the phase began.
        detail: Why the link was lost or ended, until it is restored.
        stale_since: Since when what is shown may be out of date; None while it is up to date.
        retry_at: When the next attempt is made, in ``WAITING``.
        asked: What only a person can answer, while one is needed.
        is_asking: Whether the host may ask at the terminal now; then nothing may be drawn there.
        digest: What happened while the link was down, once it is restored.
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
        """Return the state in a phase of connecting: what is shown is as stale as before."""
        return LinkState(
            phase,
            now,
            detail=self.detail,
            stale_since=self.stale_since,
            asked=self.asked if is_asking else "",
            is_asking=is_asking,
        )

    def lost(self, now: float, error: str, known: float | None, retry_at: float) -> LinkState:
        """Return the state of waiting for the next attempt; what is shown is stale since it was ``known``."""
        stale_since = self.stale_since or known or now
        return LinkState(
            Phase.WAITING, now, detail=error, stale_since=stale_since, retry_at=retry_at
        )

    def stuck(self, now: float, error: str, asked: str) -> LinkState:
        """Return the state of waiting for a person."""
        return LinkState(
            Phase.NEEDS_PERSON, now, detail=error, stale_since=self.stale_since, asked=asked
        )

    def ended(self, now: float, error: str) -> LinkState:
        """Return the last state."""
        return LinkState(Phase.ENDED, now, detail=error, stale_since=self.stale_since)


@dataclass(frozen=True)
class Stall:
    """A wait for the workspace while the connection stands: what is shown gets older.

    Attributes:
        since: When it was last read, in local epoch seconds.
        why: What does not answer.
        waits_for: The path or the request.
    """

    since: float
    why: str
    waits_for: str


@dataclass(frozen=True)
class BackendChoice:
    """Which remote side serves a workspace.

    Attributes:
        backend: Never ``AUTO``.
        why: Why it was chosen.
        is_fallback: Whether the other one was tried and cannot serve.
        warning: What it may do to the workspace; empty for nothing.
    """

    backend: Backend
    why: str
    is_fallback: bool = False
    warning: str = ""


@dataclass(frozen=True)
class Picture:
    """What to show of one workspace.

    Attributes:
        host: The host, as named in the settings or on the command line.
        workspace: The directory there.
        link: The state of the link.
        heard: When the remote was last heard, in local epoch seconds; None before it was.
        skew: Seconds by which the remote's clock is ahead of ours.
        store: Experiments and jobs.
        served_by: The remote side.
        messages: Messages about failed jobs, by the jobs' keys; only our agent sends any.
        unreadable: What our agent cannot read now; what is shown of it is from before.
        stall: What is waited for although the connection stands; None while the workspace is read.
    """

    host: str
    workspace: str
    link: LinkState
    heard: float | None
    skew: float
    store: Store
    served_by: BackendChoice = BackendChoice(Backend.EXPERIMAESTRO, "it is asked for")
    messages: Mapping[str, str] = field(default_factory=dict)
    unreadable: UnreadablePage = field(default_factory=UnreadablePage)
    stall: Stall | None = None


@dataclass(frozen=True)
class Update:
    """A change of the store, a notice, or, where both are empty, a change of the link's state.

    Attributes:
        changes: What changed in the store, in order.
        recovered: Whether the changes were found by a query, not announced as they happened.
        notice: A message to show, such as an experiment's warning; empty for none.
    """

    changes: tuple[Change, ...] = ()
    recovered: bool = False
    notice: str = ""
