"""The verdicts on what is in doubt, and what they were asked on; ``doubt`` has the rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xpm_remote.model.doubt import (
    Basis,
    RunVerdict,
    Verdict,
    basis,
    is_contradicted_by,
    is_ended_by,
    is_job_in_doubt,
    with_run_verdict,
    with_verdict,
)
from xpm_remote.model.entities import Experiment, Job
from xpm_remote.workspace.states import State


class Verdicts:
    """Verdicts on jobs and runs.

    Attributes:
        evidence: Jobs by the server's evidence, by key, where another value is shown.
        mortal: Jobs that run, as far as is known, and may have died.
        asked: What was known of each job when it was last asked about.
    """

    def __init__(self) -> None:
        self.evidence: dict[str, Job] = {}
        self.mortal: dict[str, None] = {}
        self.asked: dict[str, Basis] = {}
        self._of_jobs: dict[str, Verdict] = {}
        self._of_runs: dict[str, RunVerdict] = {}

    def judge_run(self, judged: Experiment) -> None:
        """Take a judgement of a run."""
        self._of_runs[judged.experiment_id] = RunVerdict(judged.run_id, judged)

    def judge_job(self, judged: Job) -> None:
        """Take a judgement of a job that was asked about."""
        self._of_jobs[judged.key] = Verdict(self.asked[judged.key], judged)

    def is_judged(self, run: Experiment) -> bool:
        """Return whether there is a verdict on a run."""
        verdict = self._of_runs.get(run.experiment_id)
        return verdict is not None and verdict.run_id == run.run_id

    def shown_run(self, run: Experiment) -> Experiment:
        """Return a run as it is to be shown: by its verdict, where it is in doubt."""
        return with_run_verdict(run, self._of_runs.get(run.experiment_id))

    def shown_job(self, job: Job, runs: Sequence[Experiment]) -> Job:
        """Return a job as it is to be shown: by its verdict, where it is in doubt.

        Args:
            job: The job, by the server's evidence.
            runs: The runs that have it, as they are shown.
        """
        key, verdict = job.key, self._of_jobs.get(job.key)
        self.mortal.pop(key, None)
        is_doubtful = is_job_in_doubt(job, runs)
        now = basis(job, runs) if is_doubtful or verdict is not None else None
        is_doubtful |= now is not None and is_contradicted_by(verdict, job, now)
        if now is None or not (is_doubtful or is_ended_by(verdict, job, now)):
            self.evidence.pop(key, None)
            shown = job
        else:
            self.evidence[key] = job
            shown = with_verdict(job, now, verdict)
        is_active = shown.state in (State.RUNNING, State.SCHEDULED)
        if shown.certain and (is_active if is_doubtful else job.state is State.RUNNING):
            self.mortal[key] = None
        return shown

    def trust(self, key: str) -> None:
        """Forget what was in doubt of a job: what is known of it is a judgement itself."""
        self.mortal.pop(key, None)
        self.evidence.pop(key, None)

    def forget(self, key: str) -> None:
        """Forget a job that is gone."""
        known: dict[str, Any]
        for known in (self.evidence, self._of_jobs, self.mortal, self.asked):
            known.pop(key, None)
