"""What had been seen of a workspace, in few bytes, and what is new since: between two runs of the program too. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from xpm_remote.model.entities import Experiment, Job
from xpm_remote.model.store import Store
from xpm_remote.workspace.states import State

VERSION = 1
"""The version of what is written; another one is left alone."""

FAILURES_KEPT = 2_000
"""Failures that are remembered one by one, the latest: some 60 KB. Earlier ones count as seen."""

EXPERIMENTS_KEPT = 1_000
"""Experiments that are remembered, the newest."""

MUTED_KEPT = 1_000
"""Causes that may be muted in a workspace."""

TOLERANCE = 2.0
"""Seconds by which two kinds of remote side may tell the time of one end differently."""

_ENDED = frozenset({"done", "failed", "crashed"})

NO_CAUSES: Mapping[str, str] = MappingProxyType({})


class SeenRun(msgspec.Struct, array_like=True, frozen=True):
    """The run of an experiment, whether it had ended, and how many of its jobs were done; None: not known."""

    run_id: str
    has_ended: bool
    done: int | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What had been seen of a workspace.

    Attributes:
        version: The version of this format.
        workspace: Where it is, as ``host:directory``.
        at: When, in local epoch seconds.
        done: The number of jobs that were done.
        experiments: The runs, by the names of their experiments.
        failed: When each failed job had ended, in epoch seconds of the host (0: unknown), by a digest of its key.
        since: The end of the earliest of them, if there were more: what ended before it has been seen.
        muted: The causes of failures that are not to be told.
    """

    version: int = VERSION
    workspace: str
    at: float
    done: int = 0
    experiments: dict[str, SeenRun] = {}
    failed: dict[str, float] = {}
    since: float | None = None
    muted: tuple[str, ...] = ()


class ExperimentNews(msgspec.Struct):
    """What is new in an experiment.

    Attributes:
        done: How many more of its jobs are done.
        failures: The keys of those that failed, the latest first, by their cause, as of ``News``.
        status: Its status if it has ended; else empty.
    """

    done: int = 0
    failures: dict[str, list[str]] = {}
    status: str = ""


class News(msgspec.Struct, frozen=True):
    """What is new in a workspace.

    Attributes:
        since: When it was last seen, in local epoch seconds.
        done: How many more jobs are done.
        failures: The keys of the jobs that failed, the latest first, by their cause; without a known one under "".
        muted: How many more failed of causes that are muted.
        ended: The experiments that ended, with their status.
        experiments: What is new in each of those in which something is; jobs of none are under "".
    """

    since: float
    done: int = 0
    failures: dict[str, list[str]] = {}
    muted: int = 0
    ended: tuple[tuple[str, str], ...] = ()
    experiments: dict[str, ExperimentNews] = {}

    @property
    def failed(self) -> int:
        """The number of failures that are told."""
        return sum(map(len, self.failures.values()))

    def __bool__(self) -> bool:
        return bool(self.done or self.failures or self.ended)


def see(store: Store, workspace: str, now: float, muted: Iterable[str] = ()) -> Seen:
    """Return what is to be remembered of a workspace.

    Args:
        store: What is known of it.
        workspace: Where it is.
        now: The local time in epoch seconds.
        muted: The causes that are not to be told.
    """
    jobs = store.latest_failures(FAILURES_KEPT)
    is_cut = store.number_in_state(State.ERROR) > len(jobs)
    newest = sorted(store.experiments, key=lambda each: each.run_id, reverse=True)
    return Seen(
        workspace=workspace,
        at=now,
        done=store.number_in_state(State.DONE),
        experiments={
            each.experiment_id: SeenRun(
                each.run_id, has_ended(each), store.counts(each.experiment_id).done
            )
            for each in newest[:EXPERIMENTS_KEPT]
        },
        failed={_digest(job.key): _ended(job) for job in jobs},
        since=min(map(_ended, jobs)) if is_cut else None,
        muted=tuple(muted)[-MUTED_KEPT:],
    )


def news(seen: Seen, store: Store, causes: Mapping[str, str] = NO_CAUSES) -> News:
    """Return what is new since a workspace was seen.

    Args:
        seen: What had been seen.
        store: What is known now.
        causes: The causes of failures, as far as they are known, by the jobs' keys.
    """
    failures: dict[str, list[str]] = {}
    experiments: dict[str, ExperimentNews] = {}
    muted = 0
    for job in store.latest_failures(FAILURES_KEPT):
        cause = causes.get(job.key, "")
        if not is_new(job, seen):
            continue
        if cause and cause in seen.muted:
            muted += 1
        else:
            failures.setdefault(cause, []).append(job.key)
            for name in job.experiments or ("",):
                of_experiment = experiments.setdefault(name, ExperimentNews()).failures
                of_experiment.setdefault(cause, []).append(job.key)
    ended = tuple(
        (each.experiment_id, each.status)
        for each in store.experiments
        if has_ended(each) and not _was_ended(each, seen)
    )
    more = max(0, store.number_in_state(State.DONE) - seen.done)
    for name, status in ended:
        experiments.setdefault(name, ExperimentNews()).status = status
    for each in store.experiments:
        done = _more_done(each, seen, store)
        if done:
            experiments.setdefault(each.experiment_id, ExperimentNews()).done = done
    return News(seen.at, more, failures, muted, ended, experiments)


def _more_done(experiment: Experiment, seen: Seen, store: Store) -> int:
    done, run = store.counts(experiment.experiment_id).done, _seen_run(experiment, seen)
    if run is None or run.run_id != experiment.run_id:
        return 0 if _is_older(experiment, seen) else done
    return 0 if run.done is None else max(0, done - run.done)


def is_new(job: Job, seen: Seen) -> bool:
    """Return whether a job that failed has certainly done so since a workspace was seen."""
    if not job.certain:
        return False
    ended, known = _ended(job), seen.failed.get(_digest(job.key))
    if known is not None:
        return (
            ended != 0 and abs(ended - known) > TOLERANCE
        )  # tried again; clocks are set back, too
    return seen.since is None or ended > seen.since


def _was_ended(experiment: Experiment, seen: Seen) -> bool:
    run = _seen_run(experiment, seen)
    if run is not None:
        return run.run_id == experiment.run_id and run.has_ended
    return _is_older(experiment, seen)


def _seen_run(experiment: Experiment, seen: Seen) -> SeenRun | None:
    return seen.experiments.get(experiment.experiment_id)


def _is_older(experiment: Experiment, seen: Seen) -> bool:
    """Return whether an experiment is older than all that were kept, and so has been seen."""
    is_full = len(seen.experiments) >= EXPERIMENTS_KEPT
    return is_full and experiment.run_id < min(each.run_id for each in seen.experiments.values())


def has_ended(experiment: Experiment) -> bool:
    """Return whether an experiment is known to have ended."""
    return experiment.status in _ENDED and experiment.certain


def _ended(job: Job) -> float:
    return 0.0 if job.ended is None else float(round(job.ended.timestamp()))


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
