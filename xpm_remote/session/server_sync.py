"""Keeping a store in step with a server: snapshot, announcements, and repeated queries.

Announcements are hints: they are applied at once, and their subject is queried again; a slow reconciliation runs even
in silence. Announcements that arrive during a query may be newer than its answer, so they are applied once more after
it. Only so many are kept, and only so many jobs are taken on announcements alone; where one was dropped, everything is
queried again. What is in doubt is published once it has been judged, which is done after each query.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

from xpm_remote.model.entities import Change, Experiment, JobChange, net, steps
from xpm_remote.model.records import (
    Event,
    JobProgressEvent,
    JobStateEvent,
    OtherEvent,
    SchedulerEvent,
)
from xpm_remote.model.runs import job_key
from xpm_remote.model.store import Store
from xpm_remote.rpc.server_api import MonitorServer
from xpm_remote.session.judging import Judge
from xpm_remote.session.state import Update
from xpm_remote.waiting import wait_within

SETTLE_TIME = 0.1
"""Seconds between an announcement and the query that it causes: a burst causes one query."""

MAX_LOAD = 0.2
"""The share of the server's time that our queries may take; large workspaces are queried less often."""

FEW_JOBS = 16
"""Jobs that are queried one by one; of more jobs, the experiments are queried."""

REST_INTERVAL = 10.0
"""Seconds between two queries of the experiments that have ended: their jobs may be deleted, which is not announced."""

REST_LOAD = 0.02
"""The share of time that these queries may take; many jobs that have ended are queried less often."""

FILLING = 2.0
"""Seconds without another job after which a run that has just begun has listed its jobs, as far as can be seen."""

FILLING_LIMIT = 10.0
"""Seconds after which the jobs of the run before are dropped in any case: a script may submit its jobs for hours."""

EVENTS_KEPT = 5_000
"""Announcements that are kept during a query: a burst of a large experiment."""

POSTPONED = 3
"""How often a change waits for another judgement, since the evidence has changed during the one before."""

NEW_JOBS_KEPT = 2_000
"""Jobs that are taken on announcements alone until everything is queried again, and that may be in no experiment."""

SLICE = 100
"""Jobs that are applied at once: a few milliseconds of work."""

_Name = tuple[type, str]
_Item = TypeVar("_Item")
_NOTICES = ("WarningEvent", "ErrorEvent")


class _Filling(NamedTuple):
    """A run that has just begun: since when it is known, the number of its jobs, and since when that is so."""

    since: float
    jobs: int
    grown: float


class ServerSync:
    """Keeps a store in step with a server.

    Args:
        server: The server, after its handshake.
        store: The store.
        publish: Called with every change.
        judge: Judges what the server cannot tell; None: that stays uncertain.
    """

    def __init__(
        self,
        server: MonitorServer,
        store: Store,
        publish: Callable[[Update], None],
        judge: Judge | None = None,
    ) -> None:
        self._server = server
        self._store = store
        store.has_doubts = True
        self._judge = judge
        self._pending: list[Change] = []
        self._announced: set[_Name] = set()
        self._postponed: Counter[_Name] = Counter()
        self._publish = publish
        self._loaded = False
        self._events: list[Event] = []
        self._queries = 0
        self._dirty_jobs: dict[str, None] = {}
        self._dirty_experiments = False
        self._is_incomplete = False
        self._new_jobs = 0
        self._woken = asyncio.Event()
        self._rest_due = 0.0
        self._filling: dict[str, _Filling] = {}

    def hear(self, event: Event) -> None:
        """Apply an announcement of the server; before the snapshot is complete, keep it."""
        if not self._has_room(event):
            self._miss()
            return
        if self._queries or not self._loaded:
            self._events.append(event)
        self._note(event)
        if not self._loaded:
            return
        self._tell(self._store.apply_event(event))
        if isinstance(event, OtherEvent) and event.kind in _NOTICES and event.message:
            self._publish(Update(notice=event.message))

    def _has_room(self, event: Event) -> bool:
        """Return whether an announcement can be kept and applied; a new job that it adds is counted."""
        if (self._queries or not self._loaded) and len(self._events) >= EVENTS_KEPT:
            return False
        if not self._loaded or not isinstance(
            event, (JobStateEvent, JobProgressEvent, SchedulerEvent)
        ):
            return True
        job = self._store.jobs.get(job_key(event))
        is_listed = not isinstance(event, SchedulerEvent) or (
            job is not None and event.experiment_id in job.experiments
        )
        if job is None or not is_listed:
            self._new_jobs += 1
        return self._new_jobs <= NEW_JOBS_KEPT or (job is not None and is_listed)

    def _miss(self) -> None:
        """Note that an announcement was dropped: everything is to be queried."""
        self._is_incomplete = self._dirty_experiments = True
        self._woken.set()

    async def snapshot(self) -> None:
        """Query everything; publish the experiments as soon as they arrive, then their jobs."""
        await self._query(self._ask_experiments())
        names = [each.experiment_id for each in _busiest_first(self._store.experiments)]
        await self._query(self._ask_jobs_of(names))
        if self._judge is not None:
            await self._judge.judge(partial(self._tell, recovered=True))

    def catch_up(self) -> None:
        """Apply what was announced during the snapshot; from now on apply announcements at once."""
        self._loaded = True
        changes = self._replay()
        self._events.clear()
        self._tell(changes)

    async def follow(self, interval: float) -> None:
        """Keep the store in step until cancelled.

        Args:
            interval: The shortest time between two reconciliations, in seconds.
        """
        try:
            await self._follow(interval)
        finally:
            self._judge = None
            self._settle()

    async def _follow(self, interval: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + interval
        while True:
            await self._wait_woken(due - loop.time())
            began = loop.time()
            if began >= due or self._dirty_experiments:
                await self._query(self._reconcile())
                due = loop.time() + (min(interval, FILLING) if self._filling else interval)
            else:
                await self._query(self._ask_dirty())
            # Later announcements wait a little: the server has other clients.
            busy = loop.time() - began
            if self._judge is not None:
                await self._judge.judge(self._pending.extend)
                self._settle(self._still_in_doubt())
            due = max(due, loop.time() + busy / MAX_LOAD)
            await asyncio.sleep(busy / MAX_LOAD)

    async def _wait_woken(self, timeout: float) -> None:
        try:
            await wait_within(self._woken.wait(), max(timeout, 0.0))
        except (TimeoutError, asyncio.TimeoutError):
            return
        await asyncio.sleep(SETTLE_TIME)

    def _note(self, event: Event) -> None:
        """Note what an announcement requires to query: progress is complete in itself and requires nothing."""
        is_few = len(self._dirty_jobs) < EVENTS_KEPT
        if is_few and isinstance(event, (JobStateEvent, SchedulerEvent)) and event.task_id:
            self._dirty_jobs[job_key(event)] = None
        elif not isinstance(event, JobProgressEvent):
            self._dirty_experiments = True
        else:
            return
        self._woken.set()

    async def _query(self, asking: Coroutine[Any, Any, object]) -> None:
        self._queries += 1
        try:
            await asking
        finally:
            self._queries -= 1
            if self._loaded and not self._queries:
                self._events.clear()

    async def _reconcile(self) -> None:
        is_incomplete, self._is_incomplete = self._is_incomplete, False
        self._forget_wishes()
        changed = await self._ask_experiments()
        self._forget_former()
        began = asyncio.get_running_loop().time()
        rest = is_incomplete or began >= self._rest_due
        names = [
            each.experiment_id
            for each in self._store.experiments
            if rest or each.experiment_id in changed or self._is_busy(each.experiment_id)
        ]
        await self._ask_jobs_of(names)
        if rest:
            now = asyncio.get_running_loop().time()
            self._rest_due = now + max(REST_INTERVAL, (now - began) / REST_LOAD)
        self._new_jobs = 0
        self._absorb(self._store.drop_unlisted(NEW_JOBS_KEPT))

    def _forget_former(self) -> None:
        """Drop the jobs of former runs that the new ones do not seem to list any more."""
        now, full = asyncio.get_running_loop().time(), []
        before, self._filling = self._filling, {}
        for name, jobs in self._store.filling().items():
            known = before.get(name, _Filling(now, jobs, now))
            if known.jobs != jobs:
                known = known._replace(jobs=jobs, grown=now)
            if now - known.grown >= FILLING or now - known.since >= FILLING_LIMIT:
                full.append(name)
            else:
                self._filling[name] = known
        self._absorb(self._store.forget_former(full))

    async def _ask_dirty(self) -> None:
        keys = list(self._dirty_jobs)
        self._forget_wishes()
        if len(keys) <= FEW_JOBS:
            await _all(self._ask_job(key) for key in keys)
            return
        jobs = self._store.jobs
        names = {name for key in keys if key in jobs for name in jobs[key].experiments}
        # Only a list of experiments makes the server read the job folders again.
        await self._ask_experiments()
        await self._ask_jobs_of(names)

    def _forget_wishes(self) -> None:
        self._dirty_jobs.clear()
        self._dirty_experiments = False
        self._woken.clear()

    def _is_busy(self, experiment_id: str) -> bool:
        counts = self._store.counts(experiment_id)
        return counts.done + counts.failed < counts.total or counts.total == 0

    async def _ask_experiments(self) -> set[str]:
        """Query the list of experiments; return the ids of those in which something changed."""
        runs = []
        for record in await self._server.experiments():
            runs.append(self._store.run_of(record))
            await asyncio.sleep(0)
        changes, keys = self._store.list_experiments(runs)
        changed = {change.key for change in changes}
        first = keys[:SLICE]
        changes += self._store.derive(first)
        self._absorb(changes)
        for part in _slices(keys[SLICE:]) if keys[SLICE:] else ():
            await asyncio.sleep(0)
            found = self._store.derive(part)
            changes += found
            self._absorb(found, part)
        for change in changes:
            if isinstance(change, JobChange) and change.after is not None:
                changed.update(change.after.experiments)
        return changed

    async def _ask_jobs_of(self, names: Iterable[str]) -> None:
        await _all(self._ask_jobs(name) for name in names)

    async def _ask_jobs(self, experiment_id: str) -> None:
        records = await self._server.jobs(experiment_id)
        for part in _slices(records):
            self._absorb(self._store.apply_jobs(experiment_id, part), map(job_key, part))
            await asyncio.sleep(0)

    async def _ask_job(self, key: str) -> None:
        task_id, _, job_id = key.rpartition("/")
        record = await self._server.job(task_id, job_id)
        if record is None:
            self._absorb(self._store.apply_absence(key))
        else:
            self._absorb(self._store.apply_jobs(None, [record]))

    def _absorb(self, changes: list[Change], keys: Iterable[str] | None = None) -> None:
        """Publish what an answer changed, unless newer announcements undo it.

        Args:
            changes: What it has changed.
            keys: The jobs that it is about; None: any.
        """
        if self._loaded:
            changes = net([*changes, *self._replay(keys)])
            if not changes:
                return
        self._tell(changes, recovered=True)

    def _tell(self, changes: list[Change], *, recovered: bool = False) -> None:
        """Publish changes; what is in doubt, and what follows it, is kept until it has been judged."""
        may_wait = self._loaded and self._judge is not None and not self._judge.is_out
        now: list[Change] = []
        waiting = {_name(change) for change in self._pending}
        for change in changes:
            is_certain = change.after is None or change.after.certain
            if (may_wait and not is_certain) or _name(change) in waiting:
                self._pending.append(change)
                waiting.add(_name(change))
                if not recovered:
                    self._announced.add(_name(change))
                if not self._queries:
                    self._woken.set()
            else:
                now.append(change)
        if now or (recovered and not self._loaded):
            self._publish(Update(tuple(now), recovered=recovered))
        if len(self._pending) >= EVENTS_KEPT:
            self._settle()

    def _still_in_doubt(self) -> set[_Name]:
        """Return what is to be judged once more before it is published: its evidence has just changed."""
        if self._judge is None or self._judge.is_out:
            return set()
        found = {
            _name(change)
            for change in self._pending
            if self._postponed[_name(change)] < POSTPONED and self._store.is_open(change)
        }
        self._postponed = Counter({name: self._postponed[name] + 1 for name in found})
        if found:
            self._woken.set()
        return found

    def _settle(self, waiting: Collection[_Name] = ()) -> None:
        """Publish what was kept, as it has been judged, except what waits."""
        changes = steps(each for each in self._pending if _name(each) not in waiting)
        announced = tuple(change for change in changes if _name(change) in self._announced)
        found = tuple(change for change in changes if _name(change) not in self._announced)
        self._pending[:] = [each for each in self._pending if _name(each) in waiting]
        self._announced.intersection_update(waiting)
        if announced:
            self._publish(Update(announced))
        if found:
            self._publish(Update(found, recovered=True))

    def _replay(self, keys: Iterable[str] | None = None) -> list[Change]:
        """Apply once more what was announced during the queries, of some jobs only if they are named."""
        if not self._events:
            return []
        events: Iterable[Event] = self._events
        if keys is not None:
            names = set(keys)
            events = [each for each in self._events if _subject(each) in names]
        return [change for event in events for change in self._store.apply_event(event)]


def _name(change: Change) -> _Name:
    return type(change), change.key


def _subject(event: Event) -> str | None:
    """Return the key of the job that an announcement is about; None for others."""
    if isinstance(event, (JobStateEvent, JobProgressEvent, SchedulerEvent)):
        return job_key(event)
    return None


def _slices(items: list[_Item]) -> Iterator[list[_Item]]:
    """Yield a list in slices; an empty one as one."""
    for start in range(0, max(len(items), 1), SLICE):
        yield items[start : start + SLICE]


async def _all(questions: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run queries concurrently; raise the first failure and cancel the others."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _busiest_first(experiments: Iterable[Experiment]) -> list[Experiment]:
    """Order experiments for loading: running ones, then the newest."""
    by_age = sorted(experiments, key=lambda each: each.run_id, reverse=True)
    return sorted(by_age, key=lambda each: each.status != "running")
