"""The requests to the agent: handshake, pages of changes, logs, plans of actions."""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from xpm_remote.workspace.agent.announcing import Pages
from xpm_remote.workspace.agent.judging import find_missing, judge
from xpm_remote.workspace.agent.scheduling import Scheduling
from xpm_remote.workspace.agent.tracking import Tracker
from xpm_remote.workspace.agent.watchdog import Watchdog
from xpm_remote.workspace.agent.wire import (
    Method,
    Notify,
    ParameterError,
    Params,
    job_id_of,
    read_list,
    text,
)
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.optional import select
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.reader import WorkspaceReader, current_jobs, is_directory
from xpm_remote.workspace.rows import ASK_INTERVAL, silence
from xpm_remote.workspace.watching.following import Follower, JobLife
from xpm_remote.workspace.watching.inotify import Inotify
from xpm_remote.workspace.watching.logs import STDERR, STDOUT, Log, LogPosition
from xpm_remote.workspace.watching.looping import Loop
from xpm_remote.workspace.watching.watch import Watcher

if TYPE_CHECKING:
    from xpm_remote.workspace.agent.actions import Actions


AGENT_VERSION = 1
"""The version of these requests: raised when an older client could not use them."""

PROTOCOL_VERSION = "2.0"
"""The version of the monitor protocol whose framing and error codes the agent uses."""

INSTANCE_BYTES = 8
"""Random bytes that identify an agent."""

CAPABILITIES = ("subscribe", "since", "pages", "logs", "actions", "folders", "ping", "inspecting")
"""The capabilities in the handshake, by which a client knows which requests it may send."""

_FOLDER_READING = (
    "find_jobs",
    "get_references",
    "plan_recovery",
    "plan_archive",
    "find_orphans",
    "plan_orphans",
)
_FOLDER_ACTING = ("recover", "archive", "clean_orphans")

_INSPECTING = ("get_failures", "get_job_detail", "read_log_part", "search_log")

LINES_DEFAULT = 10
"""Lines of a log that are sent unless the request has a number."""


class Tracking:
    """The tracker of a workspace in a thread of its own.

    Args:
        reader: Reads the workspace; of this thread alone.
        watcher: Watches it.
        host: The host on which this code runs.
        notify: Sends a notification.
        queue: What the scheduler has of the jobs.

    Attributes:
        looked: When the last look at the workspace was completed, in epoch seconds; None before the first one.
    """

    def __init__(
        self,
        reader: WorkspaceReader,
        watcher: Watcher,
        host: Host,
        notify: Notify,
        queue: Scheduling,
    ) -> None:
        self.looked: float | None = None
        self._pages = Pages(notify)
        self._queue = queue
        self._tracker = Tracker(reader, watcher, self._pages, host, queue=queue)
        self._loop = Loop("tracking", watcher.fileno(), self._tracker.wait_time, self._step)

    def start(self, since: float | None, known: list[str], is_stopped: Callable[[], bool]) -> None:
        """Read everything, or what changed since a time; then go on with what changes."""
        self._pages.expect(known)
        self._loop.call(lambda: self._tracker.load(since, is_stopped))
        self._queue.start(self._hear)
        self._loop.start()

    def _hear(self) -> None:
        self._loop.call(self._tracker.hear_queue)

    def _step(self) -> None:
        self._pages.begin()
        self._tracker.step()
        self.looked = time.time()


class Requests:
    """Answers all requests. What monitoring never needs is imported when it is first used, so that it starts sooner.

    Args:
        reader: Reads the workspace.
        host: The host on which this code runs.
        notify: Sends a notification.
        polls_only: Whether to do without inotify.
    """

    def __init__(
        self, reader: WorkspaceReader, host: Host, notify: Notify, *, polls_only: bool
    ) -> None:
        self._reader = reader
        self._host = host
        self._notify = notify
        self._polls_only = polls_only
        self._about = {
            "version": AGENT_VERSION,
            "instance": os.urandom(INSTANCE_BYTES).hex(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "capabilities": list(CAPABILITIES),
        }
        self._queue = Scheduling(reader.layout, host)
        self._made_actions: Actions | None = None
        self._acting = threading.Lock()
        self._stopping = threading.Event()
        self._folder_methods: dict[str, Method] = {}
        self._inspecting_methods: dict[str, Method] = {}
        self._watchdog = Watchdog(notify)
        self._watchdog.start()
        self._tracking: Tracking | None = None
        self._follower: Follower | None = None
        self._following: Loop | None = None

    def quick(self) -> dict[str, Method]:
        """Return the methods that never wait behind a long one."""
        return {
            "read_log": self.read_log,
            "follow_log": self.follow_log,
            "unfollow_log": self.unfollow_log,
        }

    def inspecting(self) -> dict[str, Method]:
        """Return the methods about single jobs, each of a part of a second, which wait only for each other."""
        return {name: self._inspecting_method(name) for name in _INSPECTING}

    def asking(self) -> dict[str, Method]:
        """Return the methods that wait for SLURM, and so only for each other."""
        return {"get_account": self._inspecting_method("get_account")}

    def prompt(self) -> dict[str, Method]:
        """Return the methods that never wait for the disk."""
        return {"ping": self.ping, "subscribe": self.subscribe}

    def slow(self) -> dict[str, Method]:
        """Return the methods that are answered in their order."""
        return {
            "get_sync_info": self.get_sync_info,
            "plan_action": self.plan_action,
            "carry_out": self.guarded(self.carry_out),
            "list_jobs": self.list_jobs,
            "judge": lambda params: judge(self._own_reader(), self._queue, params),
            "find_missing": lambda params: find_missing(self._own_reader(), params),
            "get_directory": self.get_directory,
            **{name: self._folder_method(name) for name in _FOLDER_READING},
            **{name: self.guarded(self._folder_method(name)) for name in _FOLDER_ACTING},
        }

    def guarded(self, method: Method) -> Method:
        """Return a method that is completed when the client is lost meanwhile."""

        def act(params: Params) -> object:
            with self._acting:
                return method(params)

        return act

    def stop(self) -> None:
        """Make long work end as soon as it can."""
        self._stopping.set()

    def await_actions(self) -> None:
        """Wait until the action in hand has ended; no other begins."""
        # Not released: the process ends now.
        self._acting.acquire()

    def get_sync_info(self, params: Params) -> dict[str, Any]:
        """Return the protocol's version, the workspace and the agent.

        Params: ``slurm_interval``, seconds between two questions to SLURM, null to ask none; without it the default.
        """
        interval = params.get("slurm_interval", ASK_INTERVAL)
        if interval is not None and not (_is_number(interval) and interval > 0):
            message = "slurm_interval is a number above 0, or null"
            raise ParameterError(message)
        self._queue.interval = interval
        return {
            "protocol_version": PROTOCOL_VERSION,
            "workspace_path": str(self._reader.root),
            "agent": self._about,
        }

    def subscribe(self, params: Params) -> dict[str, Any]:
        """Send everything in pages, then what changes.

        Params: ``since``, the mark of the last notification that the client got from another agent; what has not
        changed since is not sent again. ``known``, the digests of the pages that it has.
        """
        since = params.get("since")
        if since is not None and not _is_number(since):
            message = "since is a mark, or null"
            raise ParameterError(message)
        known = read_list(params.get("known", []), "known", "a digest", str)
        if self._tracking is not None:
            return {"subscribed": False}
        # Its own reader, since the problems that a reader notes belong to one thread.
        reader = self._reader.another()
        self._tracking = Tracking(reader, self._watcher(), self._host, self._notify, self._queue)
        self._tracking.start(since, known, self._stopping.is_set)
        return {"subscribed": True}

    def ping(self, _: Params) -> dict[str, Any]:
        """Return the time, when the last look at the workspace was completed, and what is waited for."""
        looked = None if self._tracking is None else self._tracking.looked
        return {"time": time.time(), "looked": looked, "waiting": self._watchdog.waiting()}

    def read_log(self, params: Params) -> dict[str, Any]:
        """Return the last ``lines`` of a log (null: its beginning), or what follows a ``position``.

        With ``over`` nothing is read after its end.
        """
        log, _ = self._log(params)
        is_over = params.get("over") is True
        position = LogPosition.from_wire(params.get("position"))
        if position is not None:
            return log.after(position, is_over=is_over).to_wire()
        lines = params.get("lines", LINES_DEFAULT)
        if lines is None:
            return log.after(None, is_over=is_over).to_wire()
        if not isinstance(lines, int):
            message = "lines is a number"
            raise ParameterError(message)
        return log.last(lines, is_over=is_over).to_wire()

    def follow_log(self, params: Params) -> dict[str, Any]:
        """Send what is added to a log after a ``position``, as notifications of a ``name``."""
        name = text(params, "name")
        log, files = self._log(params)
        position = LogPosition.from_wire(params.get("position"))
        follower, loop = self._ready_follower()
        follower.check_room(name)
        # Its own reader, since the problems that a reader notes belong to one thread.
        life = JobLife(self._reader.another(), files, job_id_of(params))
        loop.call(lambda: follower.follow(name, log, life.has_ended, position))
        return {"name": name}

    def list_jobs(self, params: Params) -> dict[str, Any]:
        """Return the jobs of the current runs, or of one ``experiment``; if unknown, null and all ``experiments``."""
        # Its own reader, since the answer has the problems of this reading only.
        reader = self._reader.another()
        experiment = None if params.get("experiment") is None else text(params, "experiment")
        jobs = current_jobs(reader, experiment, self._queue.all_judged)
        return {
            "jobs": None if jobs is None else [job.to_wire() for job in jobs],
            "experiments": reader.experiment_ids() if jobs is None else [],
            "problems": [
                each._asdict() for each in (*reader.problems, *silence(self._queue.trouble))
            ],
        }

    def get_directory(self, params: Params) -> dict[str, Any]:
        """Return the directory of a job, and whether it exists."""
        directory = self._reader.layout.job(job_id_of(params))
        return {"path": str(directory), "exists": is_directory(directory)}

    def unfollow_log(self, params: Params) -> dict[str, Any]:
        """Stop following a log."""
        name = text(params, "name")
        follower, loop = self._ready_follower()
        loop.call(lambda: follower.unfollow(name))
        return {"name": name}

    def plan_action(self, params: Params) -> list[dict[str, Any]]:
        """Return the plans to kill or clean ``jobs`` (each with task_id and job_id), to clean them with ``force``."""
        from xpm_remote.workspace.outcomes import CLEAN, KILL, to_wire

        action, jobs = text(params, "action"), params.get("jobs")
        if action not in (KILL, CLEAN) or not isinstance(jobs, list):
            message = f"action is {KILL} or {CLEAN}, and jobs is a list"
            raise ParameterError(message)
        ids = [job_id_of(each) for each in jobs if isinstance(each, dict)]
        is_forced = params.get("force") is True
        return [to_wire(self._actions().plan(action, job, is_forced=is_forced)) for job in ids]

    def carry_out(self, params: Params) -> dict[str, Any]:
        """Carry out ``plans``, one after the other; send each outcome when it is there.

        Params: ``plans``, as of ``plan_action``; ``name``, of the notifications. What another agent has done already
        counts as done.
        """
        from xpm_remote.workspace.outcomes import ActionPlan, from_wire, to_wire

        name = text(params, "name")
        plans = read_list(
            params.get("plans") or [], "plans", "a plan", partial(from_wire, ActionPlan)
        )
        actions = self._actions()
        count = 0
        for plan in plans:
            if self._stopping.is_set():
                break
            outcome = to_wire(actions.perform(plan))
            self._notify("notification.outcome", {"name": name, "outcome": outcome})
            count += 1
        return {"outcomes": count, "stopped": self._stopping.is_set()}

    def _folder_method(self, name: str) -> Method:
        """Return a method of ``JobRequests``, which is imported at the first call, since monitoring never needs it."""

        def ask(params: Params) -> object:
            if not self._folder_methods:
                from xpm_remote.workspace.agent.job_requests import JobRequests

                requests = JobRequests(
                    self._reader.layout, self._host, self._notify, self._stopping.is_set
                )
                self._folder_methods = {**requests.reading(), **requests.acting()}
            return self._folder_methods[name](params)

        return ask

    def _inspecting_method(self, name: str) -> Method:
        """Return a method of ``Inspecting``, imported when it is first called, as of ``_folder_method``."""

        def ask(params: Params) -> object:
            if not self._inspecting_methods:
                from xpm_remote.workspace.agent.inspecting import Inspecting

                self._inspecting_methods = Inspecting(self._own_reader(), self._queue).methods()
            return self._inspecting_methods[name](params)

        return ask

    def _own_reader(self) -> WorkspaceReader:
        """Return a new reader: the problems that a reader notes belong to one reading."""
        return WorkspaceReader(self._reader.root, self._host)

    def _actions(self) -> Actions:
        if self._made_actions is None:
            from xpm_remote.workspace.agent.actions import Actions

            self._made_actions = Actions(self._reader, self._host)
        return self._made_actions

    def _ready_follower(self) -> tuple[Follower, Loop]:
        if self._follower is None or self._following is None:
            watcher = self._watcher()
            self._follower = Follower(watcher, self._notify)
            self._following = Loop(
                "following", watcher.fileno(), self._follower.wait_time, self._follower.step
            )
            self._following.start()
        return self._follower, self._following

    def _watcher(self) -> Watcher:
        if self._polls_only or select is None:
            return Watcher(None)
        try:
            return Watcher(Inotify())
        except OSError:
            return Watcher(None)

    def _log(self, params: Params) -> tuple[Log, JobFiles]:
        stream = params.get("stream", STDERR)
        if stream not in (STDOUT, STDERR):
            message = f"stream is {STDOUT} or {STDERR}"
            raise ParameterError(message)
        files = self._reader.layout.job_files(job_id_of(params))
        return Log(files, stream), files


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
