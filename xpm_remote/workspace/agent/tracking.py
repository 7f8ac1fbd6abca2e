"""Tracking a workspace: everything once, the important first, then what changes.

Loading reads the cheap files (runs) first, so that clients have a picture before any job folder is read; then the jobs,
those that go on first. Afterwards only what changed is read again, and sent only if it differs. The death of a process
leaves no trace on disk, so it is checked for at a bounded rate.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable, Collection, Iterable, NamedTuple

from xpm_remote.workspace import states
from xpm_remote.workspace.agent.announcing import (
    Pages,
    by_importance,
    has_ended,
    importance,
    in_order,
    is_live,
    pages,
)
from xpm_remote.workspace.agent.attempts import Try, steps_back, try_of
from xpm_remote.workspace.agent.filling import FILLING, FillingRuns
from xpm_remote.workspace.agent.pulses import Pulses
from xpm_remote.workspace.agent.scheduling import Scheduling
from xpm_remote.workspace.agent.unread import UnreadSubjects
from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.directories import (
    DIRECTORY,
    LINK,
    list_jobs,
    place_unless_changed,
    run_changed,
)
from xpm_remote.workspace.reading.jobs import JobFacts
from xpm_remote.workspace.reading.json_files import unread_file
from xpm_remote.workspace.reading.parallel import ParallelReader
from xpm_remote.workspace.reading.reader import WorkspaceReader
from xpm_remote.workspace.reading.runs import RunFacts, age
from xpm_remote.workspace.rows import SLURM
from xpm_remote.workspace.states import Process
from xpm_remote.workspace.watching.places import (
    EventsSubject,
    JobSubject,
    ListSubject,
    LiveSubject,
    Places,
    RunSubject,
    TaskSubject,
)
from xpm_remote.workspace.watching.watch import Subject, Watcher

if TYPE_CHECKING:
    from xpm_remote.workspace.schedulers.queue import Queue

BEAT_INTERVAL = 3.0
"""Seconds between two looks at the workspace itself: nothing else may be due for minutes, and its disk may be gone."""

REREAD_LOAD = 0.1
"""The share of its time that reading one run again may take: large runs are read less often while they change."""

SECOND_LOOK = 1.0
"""Seconds after which a job that seems to have stepped back is read again: files are written one after another."""

CORRECTION = 60.0
"""Seconds after which a step back is believed that all files show all the time: the earlier judgement was wrong."""

_CARBON = JobFacts._fields.index("carbon")  # the one field that cannot be hashed
_WORKSPACE = "workspace"
"""The subject of the workspace itself."""


class _Known(NamedTuple):
    """The last known values of a job.

    Attributes:
        digest: A number of what was sent.
        place: What is at its path.
        is_watched: Whether its directory is watched: there is one, and the job has not ended.
        last: Its try.
    """

    digest: int
    place: str | None
    is_watched: bool = False
    last: Try | None = None


class _Doubt(NamedTuple):
    """A job that seems to have stepped back: since when, and when it is read again."""

    since: float
    due: float


class Tracker:
    """Tracks a workspace.

    Args:
        reader: Reads it.
        watcher: Watches it.
        told: Sends the notifications.
        host: The host on which this code runs.
        clock: Seconds that never go back.
        queue: What the scheduler has of the jobs; by default it is not asked.
    """

    def __init__(
        self,
        reader: WorkspaceReader,
        watcher: Watcher,
        told: Pages,
        host: Host,
        clock: Callable[[], float] = time.monotonic,
        queue: Scheduling | Queue | None = None,
    ) -> None:
        self._queue = queue or Scheduling(reader.layout, host)
        self._reader = reader
        self._host = host
        self._watcher = watcher
        self._places = Places(reader.layout, watcher)
        self._told = told
        self._clock = clock
        self._runs: dict[str, RunFacts] = {}
        self._jobs: dict[JobId, _Known] = {}
        self._by_hash: dict[str, JobId] = {}
        self._owners: dict[str, str] = {}
        self._not_before: dict[str, float] = {}
        self._late: set[Subject] = set()
        self._unread = UnreadSubjects(clock)
        self._held: set[Subject] = set()
        self._is_loaded = False
        self._beaten = clock()
        self._doubts: dict[JobId, _Doubt] = {}
        self._filling = FillingRuns(clock)
        self._active: dict[JobId, Process | None] = {}
        self._pulses = Pulses(self._living, self._has_pulse, clock)

    def load(
        self, since: float | None = None, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Read everything once, or what changed since a time.

        Args:
            since: When everything had been sent before, epoch seconds; what has not changed since is not sent again.
            is_stopped: Returns whether to end early; called now and then.
        """
        self._places.watch_workspace()
        for directory in self._places.live_directories():
            self._watch_live(LiveSubject(directory))
        names = self._list_experiments()
        self._read_runs(names or [])
        self._told.runs(list(self._runs.values()), [], names)
        self._tell_unread()
        ordered = sorted(self._runs.values(), key=importance)
        for run in ordered:
            self._own(run)
        news = {run.experiment_id: self._news_of(run, since) for run in ordered}
        for run in ordered:
            for page in pages(news[run.experiment_id]):
                self._told.listed(run, page)
        # What comes or goes after the directories were listed is reported by their watches.
        for task_id in {info.task_id for run in ordered for info in run.job_infos.values()}:
            self._places.watch_task(task_id)
        read = ParallelReader(self._reader).read
        for run, page in by_importance(ordered, news):
            if is_stopped():
                return
            self._read_jobs(run, page, read)
        self._update_jobs(self._concerned())
        self._tell_unread()
        self._is_loaded = True
        self._told.loaded()

    def wait_time(self) -> float:
        """Return the seconds until the next step is due, if the watcher reports nothing before."""
        now = self._clock()
        due = [self._watcher.due(), self._pulses.wait_time(), self._unread.wait_time()]
        due += [max(0.0, self._not_before.get(_name_of(each), now) - now) for each in self._late]
        due += [max(0.0, doubt.due - now) for doubt in self._doubts.values()]
        return min(due)

    def step(self) -> None:
        """Find what changed since the last step, and send it."""
        subjects = self._watcher.collect() | self._late | self._held | self._unread.due()
        self._late, self._held = set(), set()
        subjects |= set(self._pulses.due())
        now = self._clock()
        subjects |= {JobSubject(*job) for job, doubt in self._doubts.items() if doubt.due <= now}
        subjects -= {_WORKSPACE, SLURM}
        if self._is_there(subjects):
            self._update_all(subjects)
        else:
            self._held = subjects
        self._note_scheduler()
        self._tell_unread()

    def _concerned(self) -> list[JobId]:
        return [each for each in self._queue.concerned() if each.hash in self._owners]

    def hear_queue(self) -> None:
        """Read the jobs again for which the scheduler was asked."""
        self._late |= {JobSubject(*job_id) for job_id in self._concerned()}

    def _note_scheduler(self) -> None:
        trouble = self._queue.trouble
        self._unread.take(SLURM, UnreadFile(SLURM, trouble) if trouble else None)

    def _is_there(self, subjects: set[Subject]) -> bool:
        """Return whether the workspace itself can be read; checked now and then, and before anything else is read."""
        now = self._clock()
        is_due = now - self._beaten >= BEAT_INTERVAL
        if is_due:
            self._beaten = now
        if subjects or is_due:
            unread = self._reader.unmounted(by_servers=is_due)
            return self._unread.take(_WORKSPACE, unread)
        return True

    def _tell_unread(self) -> None:
        news = self._unread.news()
        if news is not None:
            self._told.unreadable(*news)

    def _update_all(self, subjects: Iterable[Subject]) -> None:
        jobs: dict[JobId, None] = {}
        for subject in in_order(subjects):
            if isinstance(subject, JobSubject):
                jobs[JobId(subject.task_id, subject.job_id)] = None
            elif isinstance(subject, EventsSubject):
                known = self._by_hash.get(subject.job_hash)
                jobs.update({known: None} if known is not None else {})
            else:
                self._update(subject)
        self._update_jobs(jobs)

    def _update(self, subject: Subject) -> None:
        if isinstance(subject, ListSubject):
            self._update_list()
        elif isinstance(subject, RunSubject):
            self._update_run(subject)
        elif isinstance(subject, LiveSubject):
            self._update_all(self._watch_live(subject))
        elif isinstance(subject, TaskSubject):
            self._update_task(subject.task_id)

    def _watch_live(self, subject: LiveSubject) -> Iterable[Subject]:
        """Watch a directory of live events; return the subjects of its files."""
        try:
            found = self._places.watch_live(subject.directory)
        except OSError as error:
            self._unread.take(subject, unread_file(subject.directory, error))
            return []
        self._unread.take(subject, None)
        return found

    def _list_experiments(self) -> list[str] | None:
        """Return all experiments; None if they cannot be listed."""
        names, unread = self._reader.listing()
        return names if self._unread.take(ListSubject(), unread) else None

    def _read_runs(self, names: Iterable[str]) -> None:
        for name in names:
            self._places.watch_experiment(name)
            run = self._reader.experiment(name)
            if run is not None:
                self._unread.take(RunSubject(name), run.unread)
                self._watch_run(run)
                self._runs[name] = run

    def _news_of(self, run: RunFacts, since: float | None) -> list[str]:
        """Return the jobs of a run that are sent at first; the others count as known."""
        layout = self._reader.layout
        if since is None or is_live(run) or run_changed(layout, run, since):
            return list(run.job_infos)
        told = []
        for job_id, info in run.job_infos.items():
            name = JobId(info.task_id, job_id)
            place = place_unless_changed(layout.job(name), since)
            if place is None or not has_ended(run, job_id):
                told.append(job_id)
            else:
                self._by_hash[job_id] = name
                self._jobs[name] = _Known(0, place)
        return told

    def _watch_run(self, run: RunFacts) -> None:
        if run.run_id:
            self._places.watch_run(run.experiment_id, run.run_id, is_live=is_live(run))

    def _read_jobs(
        self,
        run: RunFacts,
        job_ids: Iterable[str],
        read: Callable[[RunFacts], Iterable[JobFacts]] | None = None,
    ) -> None:
        """Read jobs of a run; send those that differ from what was sent."""
        name = run.experiment_id
        infos = {each: run.job_infos[each] for each in job_ids if self._owners.get(each) == name}
        chosen = run._replace(job_infos=infos)
        found = (read or self._reader.jobs)(chosen)
        judged = map(self._queue.judged, found)
        changed = [facts for facts in judged if self._remember(facts, (name, run.run_id))]
        if changed:
            self._told.jobs(changed)

    def _remember(self, facts: JobFacts, run: tuple[str, str]) -> bool:
        """Record the facts of a job; return whether they are new, and no step back that has to be confirmed."""
        job_id, digest = facts.id, _digest(facts)
        before = self._jobs.get(job_id)
        if not self._unread.take(JobSubject(*job_id), facts.unread) and before is not None:
            is_news = facts.has_done_marker and before.last and before.last.state != states.DONE
            if not is_news:
                return False
        last = before.last if before else None
        if last is not None and steps_back(last, facts, run) and not self._is_confirmed(facts):
            return False
        self._doubts.pop(job_id, None)
        is_active = facts.state in states.LIVE and not facts.has_died
        place = LINK if facts.is_link else DIRECTORY if facts.has_directory else None
        is_watched = is_active or (place == DIRECTORY and facts.state not in states.FINAL)
        if is_watched and not (before and before.is_watched):
            self._places.watch_job(job_id)
            if (
                self._is_loaded
            ):  # it has just appeared, perhaps with more than was read before it was watched
                self._late.add(JobSubject(*job_id))
        elif before is not None and before.is_watched and not is_watched:
            self._places.forget_job(job_id)
        if is_active:
            self._active[job_id] = facts.process
        else:
            self._active.pop(job_id, None)
        self._by_hash[job_id.hash] = job_id
        self._jobs[job_id] = _Known(digest, place, is_watched, try_of(facts, run))
        return before is None or before.digest != digest

    def _is_confirmed(self, facts: JobFacts) -> bool:
        """Return whether a step back has been seen for long enough to be believed; otherwise plan another look."""
        now = self._clock()
        doubt = self._doubts.get(facts.id)
        since = now if doubt is None else doubt.since
        # A marker that is there all along, and does not count: its process has shown itself later.
        if now - since >= (SECOND_LOOK if facts.has_failure_marker else CORRECTION):
            return True
        self._doubts[facts.id] = _Doubt(since, now + SECOND_LOOK)
        return False

    def _update_list(self) -> None:
        names = self._list_experiments()
        if names is None:
            return
        removed = [name for name in self._runs if name not in set(names)]
        for name in removed:
            self._places.forget_experiment(name)
            del self._runs[name]
            self._unread.forget(RunSubject(name))
            self._forget_unlisted(name)
        for name in names:
            if name not in self._runs:
                self._places.watch_experiment(name)
                self._update_run(RunSubject(name))
        self._told.runs([], removed, names)

    def _own(self, run: RunFacts) -> None:
        """Assign jobs to their run. One that several experiments list belongs to the latest of them."""
        name, order = run.experiment_id, age(run)
        for job_id in run.job_infos:
            owner = self._runs.get(self._owners.get(job_id, name))
            if owner is None or job_id not in owner.job_infos or age(owner) <= order:
                self._owners[job_id] = name

    def _forget_unlisted(self, name: str) -> None:
        """Forget the jobs of an experiment that no run lists any more; assign the others to another run."""
        lost = []
        for job_hash in [each for each, owner in self._owners.items() if owner == name]:
            listing = [run for run in self._runs.values() if job_hash in run.job_infos]
            if name in (run.experiment_id for run in listing):
                continue
            del self._owners[job_hash]
            if listing:
                latest = max(listing, key=age)
                self._own(latest._replace(job_infos={job_hash: latest.job_infos[job_hash]}))
                self._read_jobs(latest, [job_hash])
            else:
                lost.append(job_hash)
        self._forget(lost)

    def _forget(self, hashes: list[str]) -> None:
        gone = [self._by_hash.pop(each) for each in hashes if each in self._by_hash]
        for job_id in gone:
            self._places.forget_job(job_id)
            self._jobs.pop(job_id, None)
            self._active.pop(job_id, None)
            self._unread.forget(JobSubject(*job_id))
            self._doubts.pop(job_id, None)
        if gone:
            self._told.gone(gone)

    def _update_run(self, subject: RunSubject) -> None:
        name, began = subject.experiment_id, self._clock()
        if began < self._not_before.get(name, began):
            self._late.add(subject)
            return
        run = self._reader.experiment(name)
        before = self._runs.get(name)
        could_read = self._unread.take(subject, run.unread if run else None)
        if run is None or (not could_read and before is not None):
            return
        self._watch_run(run)
        if before is not None and self._filling.take(run, before):
            self._late.add(subject)
            self._not_before[name] = self._clock() + FILLING
            return
        self._runs[name] = run
        self._own(run)
        if before is None or _head(before) != _head(run):
            self._told.runs([run], [], None)
        self._tell_jobs(run, before)
        took = self._clock() - began
        self._not_before[name] = self._clock() + took / REREAD_LOAD

    def _tell_jobs(self, run: RunFacts, before: RunFacts | None) -> None:
        """Send the jobs that changed in a run, and read them."""
        same_run = before is not None and before.run_id == run.run_id
        old = before if same_run and before is not None else RunFacts(run.experiment_id, "")
        changed = [
            job_id
            for job_id, info in run.job_infos.items()
            if old.job_infos.get(job_id) != info
            or old.job_states.get(job_id) != run.job_states.get(job_id)
        ]
        rejudged = before is not None and before.status != run.status
        for page in pages(changed):
            self._told.listed(run, page)
        for task_id in {run.job_infos[job_id].task_id for job_id in changed}:
            self._places.watch_task(task_id)
        # A job that only waits in a scheduler ends with it, so all its jobs are read again.
        for page in pages(run.job_infos if rejudged else changed):
            self._read_jobs(run, page)
        others = [each for each in changed if self._owners.get(each) != run.experiment_id]
        self._update_jobs([JobId(run.job_infos[each].task_id, each) for each in others])
        if before is not None and (not same_run or len(old.job_infos) > len(run.job_infos)):
            self._forget_unlisted(run.experiment_id)

    def _update_task(self, task_id: str) -> None:
        """Read the jobs of a task whose directories came or went."""
        self._places.watch_task(task_id)
        directory = str(self._reader.layout.jobs / task_id)
        try:
            found = list_jobs(directory)
        except OSError as error:
            self._unread.take(TaskSubject(task_id), unread_file(directory, error))
            return
        self._unread.take(TaskSubject(task_id), None)
        self._update_jobs(
            [
                job_id
                for job_id, known in self._jobs.items()
                if job_id.task == task_id and known.place != found.get(job_id.hash)
            ]
        )

    def _update_jobs(self, job_ids: Collection[JobId]) -> None:
        """Read jobs again, those of each run together."""
        by_run: dict[str, list[str]] = {}
        jobs = self._reader.several_jobs(len(job_ids))
        for job_id in job_ids:
            owner = self._owners.get(job_id.hash)
            if owner is not None:
                by_run.setdefault(owner, []).append(job_id.hash)
        for name, hashes in by_run.items():
            run = self._runs.get(name)
            # What a run that has just begun does with its jobs is read when it is sent.
            if run is not None and name not in self._filling:
                for page in pages(each for each in hashes if each in run.job_infos):
                    self._read_jobs(run, page, lambda part: self._reader.jobs(part, jobs))

    def _living(self) -> list[Subject]:
        living: list[Subject] = [JobSubject(*job_id) for job_id in self._active]
        living += [RunSubject(run.experiment_id) for run in self._runs.values() if is_live(run)]
        return living

    def _has_pulse(self, subject: Subject) -> bool:
        """Return whether a run's scheduler is as it was, or a job's process lives here: that need not be read again."""
        if isinstance(subject, JobSubject):
            return self._lives_here(JobId(subject.task_id, subject.job_id))
        run = self._runs.get(subject.experiment_id) if isinstance(subject, RunSubject) else None
        if run is None:
            return False
        lock = str(self._reader.layout.scheduler_lock(run.experiment_id))
        try:
            held = disk.call(lock, self._host.is_locked, lock)
        except OSError:
            return False
        return held is bool(run.scheduler_alive)

    def _lives_here(self, job_id: JobId) -> bool:
        process, known = self._active.get(job_id), self._jobs.get(job_id)
        if process is None or known is None or known.last is None or known.last.started is None:
            return (
                False  # without its start it cannot be told from a later process of the same number
            )
        return self._host.is_alive(process, known.last.started) is True


def _head(run: RunFacts) -> RunFacts:
    """Return a run without its jobs."""
    return run._replace(job_infos={}, job_states={})


def _digest(facts: JobFacts) -> int:
    """Return a number that differs when a job does; valid in this process only."""
    carbon = repr(facts.carbon) if facts.carbon else None
    return hash((facts[:_CARBON], facts[_CARBON + 1 :], carbon))


def _name_of(subject: Subject) -> str:
    return subject.experiment_id if isinstance(subject, RunSubject) else ""
