"""Finding the runs of experiments, and reading one of them."""

# ruff: noqa: PTH119  (paths are plain text here, as in the modules that read very many jobs)

from __future__ import annotations

import errno
import os
import re
from typing import NamedTuple

from xpm_remote.workspace.failures import UnreadFile
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading import disk
from xpm_remote.workspace.reading.directories import is_directory, list_named
from xpm_remote.workspace.reading.json_files import (
    LARGE_LIMIT,
    Problems,
    read_lines,
    read_object,
    whole_of,
)
from xpm_remote.workspace.reading.live_events import LiveEvents
from xpm_remote.workspace.reading.looks import LOOKS_AT_WHAT_APPEARS, Look
from xpm_remote.workspace.reading.runs import (
    RUN_RUNNING,
    RUN_UNKNOWN,
    RUN_UNREADABLE,
    RunDraft,
    RunFacts,
)

FIRST_RUN_ID = "v1"
"""The id of the only run of an experiment of version 1 of the layout."""

MORE_LOOKS = 2
"""Further readings of a run whose status is written while it is read: it is written at its start and at its end."""

_RUN_NAME = re.compile(r"(\d{8}_\d{6})(?:\.(\d{1,9}))?")
_RUN_FILES = ("status.json", "jobs.jsonl", "environment.json")


class Listing(NamedTuple):
    """The experiments of a workspace.

    Attributes:
        names: Their ids, sorted; where ``unread`` is set, some may be lacking.
        unread: What could not be read; None when the list is complete.
    """

    names: list[str]
    unread: UnreadFile | None


class RunFiles:
    """Reads the runs of one workspace.

    Args:
        root: The workspace, absolute.
        events: Its live events.
        host: The host on which this code runs.
        problems: Where broken files are noted.
    """

    def __init__(self, root: str, events: LiveEvents, host: Host, problems: Problems) -> None:
        self._root = root
        self._experiments = f"{root}/experiments"
        self._first = f"{root}/xp"
        self._events = events
        self._host = host
        self._problems = problems
        self._was_there = False

    def experiment_ids(self) -> Listing:
        """Return the ids of all experiments, sorted."""
        look = Look(self._root, self._problems)
        found = {entry.name for entry in _directories(self._experiments, look)}
        found.update(entry.name for entry in _directories(self._first, look))
        look.forgive(self._first)  # experimaestro leaves a dangling link in its place
        self._check_there(look)
        look.check_marker()
        return Listing(sorted(found), look.settle())

    def current(self, experiment_id: str) -> RunFacts | None:
        """Return the current run: where the experiment's link leads, or the latest; None when there is none.

        A run of which something cannot be read (``unread``) is returned as far as it is known.
        """
        run, is_settled = self._current(experiment_id)
        for number in range(LOOKS_AT_WHAT_APPEARS):
            is_appearing = run is not None and run.unread is not None
            if is_settled or (not is_appearing and number >= MORE_LOOKS):
                break
            run, is_settled = self._current(experiment_id)
        return run

    def _current(self, experiment_id: str) -> tuple[RunFacts | None, bool]:
        """Return the current run, and whether its status was the same after everything was read.

        Its end writes its status anew, and then unlinks its live events.
        """
        look = Look(self._root, self._problems)
        run_ids = self._run_ids(experiment_id, look)
        run_id = self._current_id(experiment_id, run_ids, look)
        if run_id is None:
            self._check_there(look)
            unread = look.settle()
            if unread is None:
                return None, True
            run = RunFacts(experiment_id, "", status=RUN_UNREADABLE, unread=unread)
            return run, not look.is_overtaken
        path = f"{self._experiments}/{experiment_id}/{run_id}/status.json"
        before = _stamp(path, look)
        run = self._read(experiment_id, run_id, len(run_ids), look)
        is_same = _stamp(path, look) == before
        unread = look.settle()
        return run._replace(unread=unread), not look.is_overtaken if unread else is_same

    def _check_there(self, look: Look) -> None:
        """Record a failure if the directory of all experiments is not there for a moment: it was, or there are jobs."""
        if look.stat_again(self._experiments) is not None:
            self._was_there = True
        elif self._was_there:
            look.fail(self._experiments, OSError(errno.ENOENT, "is not there any more"))
        elif look.lstat(self._first) is None and look.entries(f"{self._root}/jobs"):
            look.fail(
                self._experiments, OSError(errno.ENOENT, "is not there, while jobs/ has jobs")
            )

    def _run_ids(self, experiment_id: str, look: Look) -> list[str]:
        """Return the ids of an experiment's runs, oldest first."""
        directory = f"{self._experiments}/{experiment_id}"
        found = [entry.name for entry in _directories(directory, look) if _is_run(entry, look)]
        first = [FIRST_RUN_ID] if self._has_first(experiment_id, look) else []
        return first + sorted(found, key=_run_order)

    def _current_id(self, experiment_id: str, run_ids: list[str], look: Look) -> str | None:
        for link in (
            f"{self._experiments}/{experiment_id}/current",
            self._events.older_current(experiment_id),
            f"{self._root}/.experimaestro/experiments/{experiment_id}",
        ):
            target = look.link_target(link)
            if target is None:
                continue
            run_id = os.path.basename(target)
            if run_id in run_ids:
                return run_id
            look.stat(link)  # it dangles: that run was removed, or its disk is not mounted
        return run_ids[-1] if run_ids else None

    def _read(self, experiment_id: str, run_id: str, runs_count: int, look: Look) -> RunFacts:
        draft = RunDraft(experiment_id, run_id)
        if run_id == FIRST_RUN_ID and self._has_first(experiment_id, look):
            # A run of version 1 is a tree of links and nothing else.
            for task in _directories(f"{self._first}/{experiment_id}/jobs", look):
                for job in list_named(task.path, look):
                    draft.take_info({"task_id": task.name, "job_id": job.name})
            return draft.facts(None, runs_count)
        # Checked before the files are read: a scheduler that ends now counts as alive, and next time as ended.
        held = self._is_locked(f"{self._experiments}/{experiment_id}/lock", look)
        directory = f"{self._experiments}/{experiment_id}/{run_id}"
        status = read_object(f"{directory}/status.json", LARGE_LIMIT, look) or {}
        draft.take_status(status)
        path = f"{directory}/jobs.jsonl"
        named = [draft.take_info(line) for line in read_lines(path, look)]
        if not all(named):
            look.note(path, "has a line that names no job")
        if draft.status in (RUN_RUNNING, RUN_UNKNOWN):
            environment = read_object(f"{directory}/environment.json", LARGE_LIMIT, look)
            draft.take_environment(environment or {})
        first = max(whole_of(status.get("events_count")) or 0, 0)
        for event in self._events.of_experiment(experiment_id, first, look):
            draft.take_event(event)
        facts = draft.facts(self._alive(draft, held=held), runs_count)
        is_known = status or look.settle() is None
        return facts if is_known else facts._replace(status=RUN_UNREADABLE)

    def _is_locked(self, path: str, look: Look) -> bool | None:
        """Return whether a scheduler's lock is held; None when that cannot be known."""
        try:
            return disk.call(path, self._host.is_locked, path)
        except OSError as error:
            look.fail(path, error)
            return None

    def _alive(self, draft: RunDraft, *, held: bool | None) -> bool | None:
        """Return whether the scheduler of the current run lives; None when this host cannot know."""
        if held is not False:
            return held
        if draft.status not in (RUN_RUNNING, RUN_UNKNOWN) or self._host.is_me(draft.hostname):
            return False
        return None

    def _has_first(self, experiment_id: str, look: Look) -> bool:
        path = f"{self._first}/{experiment_id}/jobs"
        found = look.is_directory(path)
        look.forgive(path)
        return found


def _stamp(path: str, look: Look) -> tuple[int, int, int] | None:
    """Return what changes with the content of a file; None when it is missing."""
    found = look.stat_again(path)
    return None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)


def _directories(path: str, problems: Problems) -> list[os.DirEntry[str]]:
    """Return the directories in a directory, and the links: what they lead to is read as that of directories."""
    entries = list_named(path, problems)
    return [entry for entry in entries if is_directory(entry, problems, or_link=True)]


def _is_run(entry: os.DirEntry[str], look: Look) -> bool:
    if _RUN_NAME.fullmatch(entry.name):
        return True
    if not is_directory(entry, look):
        return False  # a link to another run, as ``current`` is
    return any(look.lstat(f"{entry.path}/{name}") for name in _RUN_FILES)


def _run_order(run_id: str) -> tuple[str, int, str]:
    """Return a key that sorts runs by their time, and the runs of one second by their number."""
    named = _RUN_NAME.fullmatch(run_id)
    return (named[1], int(named[2] or 0), run_id) if named else (run_id, 0, run_id)
