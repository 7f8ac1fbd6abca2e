"""Names and paths in a workspace; ids are checked before they become paths.

Source of the names: workspaces that experimaestro 2.0 to 2.7 wrote. Pure.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from xpm_remote.workspace.failures import BadIdFailure

MARKER = ".__experimaestro__"
"""The empty file that makes a directory a workspace."""

STAGING_PREFIX = ".tmp."
"""Begins the name of a directory that is being filled beside its final place, as experimaestro names it."""

ASIDE_PREFIX = ".orphan."
"""Begins the name of a job that is set aside, whole, while it is decided again whether it is removed. Experimaestro
removes what begins with ``STAGING_PREFIX``, so it is not that."""

_STILL_OPEN = re.compile(r"\.nfs[0-9a-f]{16,}|\.fuse_hidden[0-9a-f]{16}")

NAME_MAX = 255
"""Bytes of a file name that every file system in use takes."""

_FORBIDDEN = re.compile(r"[/\x00-\x1f\x7f]")


class JobId(NamedTuple):
    """The two names of a job: of its task, lower-cased and with dots, and the hash of its parameters."""

    task: str
    hash: str

    def __str__(self) -> str:
        return f"{self.task}/{self.hash}"

    @property
    def script_name(self) -> str:
        """The stem of the job's own files: what follows the last dot of the task."""
        return self.task.rpartition(".")[2]


def is_of_open_file(name: str) -> bool:
    """Return whether a name is one by which NFS and FUSE keep a file that was removed while it is open."""
    return _STILL_OPEN.fullmatch(name) is not None


def is_name(text: str) -> bool:
    """Return whether a text can be a part of a job's id: a file name, not hidden, without control characters."""
    if not text or text.startswith(".") or _FORBIDDEN.search(text):
        return False
    return len(text.encode("utf-8", "surrogateescape")) <= NAME_MAX


def parse_job_id(text: str) -> JobId:
    """Read ``task/hash``; a task is lower-cased, as experimaestro does, only on disk and not here.

    Raises:
        BadIdFailure: It is not two names with one slash between them.
    """
    task, slash, job_hash = text.partition("/")
    if not slash or not is_name(task) or not is_name(job_hash):
        raise BadIdFailure(
            f"{text!r} is not the id of a job", "give task/hash, as `jobs list` prints it"
        )
    return JobId(task, job_hash)


class Layout:
    """The paths of a workspace, or of a folder, which has jobs only.

    Args:
        root: Its directory, absolute.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.marker = root / MARKER
        self.jobs = root / "jobs"
        self.experiments = root / "experiments"
        self.first_experiments = root / "xp"  # version 1 of the layout, which is still read
        self.live_job_events = root / ".events" / "jobs"
        self.live_experiment_events = root / ".events" / "experiments"

    def job(self, job_id: JobId) -> Path:
        """Return the directory of a job."""
        return self.jobs.joinpath(job_id.task, job_id.hash)

    def job_files(self, job_id: JobId) -> JobFiles:
        """Return the files of a job."""
        return JobFiles(self.job(job_id), job_id.script_name)

    def experiment(self, experiment_id: str) -> Path:
        """Return the directory of an experiment."""
        return self.experiments / experiment_id

    def scheduler_lock(self, experiment_id: str) -> Path:
        """Return the file that is locked while a scheduler runs the experiment."""
        return self.experiment(experiment_id) / "lock"


class JobFiles:
    """The files that experimaestro keeps in the directory of a job; the rest is the user's.

    Each path is made when it is asked for: of many jobs only one or two are.

    Args:
        directory: The job's directory, in a workspace, in a folder, or staged.
        name: The job's script name.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name

    @cached_property
    def done(self) -> Path:
        """The success marker."""
        return self.directory / f"{self.name}.done"

    @cached_property
    def failed(self) -> Path:
        """The failure marker, which holds the reason."""
        return self.directory / f"{self.name}.failed"

    @cached_property
    def pid(self) -> Path:
        """The pid file, which names the process that runs the job."""
        return self.directory / f"{self.name}.pid"

    @cached_property
    def lock(self) -> Path:
        """The file that is locked while the job runs."""
        return self.directory / f"{self.name}.lock"

    @cached_property
    def stdout(self) -> Path:
        """The job's standard output."""
        return self.directory / f"{self.name}.out"

    @cached_property
    def stderr(self) -> Path:
        """The job's standard error."""
        return self.directory / f"{self.name}.err"

    @cached_property
    def params(self) -> Path:
        """The parameters of the job."""
        return self.directory / "params.json"

    @cached_property
    def own(self) -> Path:
        """The directory of experimaestro's own notes on the job."""
        return self.directory / ".experimaestro"


class FolderMode(str, Enum):
    """What a folder is for."""

    USE = "use"
    """Read only: jobs are found there, nothing is ever written."""

    BACKUP = "backup"
    """Jobs that succeeded are copied there."""

    MOVE = "move"
    """Jobs that succeeded are moved there, and the workspace keeps a link."""


class Folder(NamedTuple):
    """A folder of a workspace.

    Attributes:
        path: Its root, above ``jobs``, absolute: a relative one would mean another directory for each process. In the
            settings of a remote workspace it is that of the remote host, where ``~`` is the home there.
        mode: What it is for.
    """

    path: Path
    mode: FolderMode = FolderMode.USE

    @property
    def layout(self) -> Layout:
        """The paths in it."""
        return Layout(self.path)

    def job(self, job: JobId) -> Path:
        """Return the directory of a job in it."""
        return self.layout.job(job)
