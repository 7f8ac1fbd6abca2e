"""Runs that have just begun, and may be about to list the jobs of those before."""

from __future__ import annotations

from typing import Callable, NamedTuple

from xpm_remote.workspace.agent.announcing import is_live
from xpm_remote.workspace.reading.runs import RunFacts

FILLING = 2.0
"""Seconds without another job after which a run that has just begun has listed its jobs, as far as we can see."""

FILLING_LIMIT = 10.0
"""Seconds after which a run that has just begun is sent in any case: a script may submit its jobs for hours."""


class _Filling(NamedTuple):
    """A run that has just begun: since when it is known, the number of its jobs, and since when that is so."""

    run_id: str
    since: float
    jobs: int
    grown: float


class FillingRuns:
    """The runs that are not sent yet, since they lack jobs.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._runs: dict[str, _Filling] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._runs

    def __len__(self) -> int:
        return len(self._runs)

    def take(self, run: RunFacts, before: RunFacts) -> bool:
        """Return whether a run that has just begun lacks jobs of the one before, which it may be about to list.

        Sent at once, its jobs would be gone, and a moment later they would be new.
        """
        name, now = run.experiment_id, self._clock()
        if (
            run.run_id == before.run_id
            or not is_live(run)
            or before.job_infos.keys() <= run.job_infos.keys()
        ):
            self._runs.pop(name, None)
            return False
        jobs = len(run.job_infos)
        known = self._runs.get(name)
        if known is None or known.run_id != run.run_id:
            known = _Filling(run.run_id, now, jobs, now)
        elif known.jobs != jobs:
            known = known._replace(jobs=jobs, grown=now)
        if now - known.grown < FILLING and now - known.since < FILLING_LIMIT:
            self._runs[name] = known
            return True
        self._runs.pop(name, None)
        return False
