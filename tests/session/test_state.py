"""The values that say how a link does."""

from __future__ import annotations

from xpm_remote.model.changes import Change, ExperimentChange, JobChange
from xpm_remote.model.entities import Experiment, Job
from xpm_remote.model.states import State
from xpm_remote.session.state import Digest, Phase, Update


def test_phases() -> None:
    """The phases are named as the documents for scripts name them, in the order in which they come."""
    names = ["connecting", "loading", "live", "waiting", "ended"]
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
    assert Digest.of(changes, 7.5) == Digest(away=7.5, done=1, failed=1, started=1)


def test_update_of_nothing() -> None:
    """An update that brings nothing is that of the link alone: no change, no notice."""
    update = Update()
    assert (update.changes, update.recovered, update.notice) == ((), False, "")
