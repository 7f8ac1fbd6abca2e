"""The values that describe the state of a link."""

from __future__ import annotations

from xpm_remote.model.entities import Change, Experiment, ExperimentChange, Job, JobChange
from xpm_remote.session.state import Digest, LinkState, Phase, Update
from xpm_remote.workspace.states import State


def test_phases() -> None:
    """The phases have the names of the documents for scripts, in their order."""
    names = ["connecting", "loading", "live", "waiting", "needs-person", "ended"]
    assert [phase.value for phase in Phase] == names


def test_digest_counts_what_became_of_jobs() -> None:
    """A digest counts the jobs that came into another state, not those that only made progress or are gone."""
    running = Job(task_id="t", job_id="a", execution=State.RUNNING)
    done = Job(task_id="t", job_id="a", execution=State.DONE)
    failed = Job(task_id="t", job_id="b", execution=State.ERROR)
    retried = Job(task_id="t", job_id="a", execution=State.RUNNING, retry_count=1)
    experiment = Experiment(experiment_id="e")
    changes: list[Change] = [
        JobChange(running, done),
        JobChange(None, failed),
        JobChange(None, running),
        JobChange(running, retried),
        JobChange(done, None),
        ExperimentChange(None, experiment),
    ]
    assert Digest(7.5).with_changes(changes) == Digest(away=7.5, done=1, failed=1, started=1)


def test_update_of_nothing() -> None:
    """An update without contents is that of the link alone: no change, no notice."""
    update = Update()
    assert (update.changes, update.recovered, update.notice) == ((), False, "")


def test_staleness_begins_when_the_remote_was_last_heard() -> None:
    """Data is current as of the last message of the remote, and stale until the link is live again."""
    live = LinkState(Phase.LIVE, 100.0)
    waiting = live.lost(145.0, "silent", known=101.0, retry_at=146.0)
    assert (waiting.phase, waiting.since, waiting.detail) == (Phase.WAITING, 145.0, "silent")
    assert (waiting.stale_since, waiting.retry_at) == (101.0, 146.0)
    connecting = waiting.reached(Phase.CONNECTING, 146.0, is_asking=False)
    assert (connecting.detail, connecting.stale_since) == ("silent", 101.0)
    assert connecting.lost(147.0, "refused", known=None, retry_at=148.0).stale_since == 101.0
    assert connecting.ended(147.0, "changed").stale_since == 101.0
    assert live.lost(145.0, "silent", known=None, retry_at=146.0).stale_since == 145.0


def test_what_is_asked_is_known_while_it_is_asked() -> None:
    """The prompt for which a user is needed is known while it is open, and no longer."""
    lost = LinkState(Phase.LIVE, 1.0).lost(2.0, "cut", known=1.5, retry_at=3.0)
    stuck = lost.stuck(3.0, "refused", "a password")
    assert (stuck.phase, stuck.asked, stuck.stale_since) == (Phase.NEEDS_PERSON, "a password", 1.5)
    asking = stuck.reached(Phase.CONNECTING, 4.0, is_asking=True)
    assert (asking.asked, asking.is_asking) == ("a password", True)
    loading = asking.reached(Phase.LOADING, 5.0, is_asking=False)
    assert (loading.asked, loading.is_asking) == ("", False)
