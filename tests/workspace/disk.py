"""Workspaces written by hand, and a host with given processes and locks."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.processes import Host

HOST = "node01"
RUN_ID = "20261101_120000"


class TextHost(Host):
    """A host with only the listed processes and locks."""

    def __init__(
        self, name: str = HOST, pids: Iterable[int] = (), locked: Iterable[str] = ()
    ) -> None:
        self.pids = set(pids)
        self.locked = set(locked)
        super().__init__(
            name,
            lambda pid, at: pid in self.pids,
            lambda path: any(path.endswith(each) for each in self.locked),
        )


class Disk:
    """Writes a workspace as experimaestro 2.7 lays it out.

    Args:
        root: Its directory, made here.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        (root / ".__experimaestro__").touch()

    def job(self, job: JobId, status: object = None, **files: object) -> Path:
        """Write a job: its status.json, and files by their ending (``done=""``, ``pid={...}``)."""
        directory = self.root / "jobs" / job.task / job.hash
        (directory / ".experimaestro").mkdir(parents=True, exist_ok=True)
        if status is not None:
            write(directory / ".experimaestro" / "status.json", status)
        for ending, content in files.items():
            write(directory / f"{job.script_name}.{ending}", content)
        return directory

    def events(self, job: JobId, *events: dict[str, Any], number: int = 0) -> Path:
        """Write a file of live events of a job."""
        hash8 = hashlib.sha256(job.task.encode()).hexdigest()[:8]
        path = self.root / ".events" / "jobs" / f"{hash8}-{job.hash}-{number}.jsonl"
        return write_lines(path, events)

    def experiment_events(self, name: str, *events: dict[str, Any], number: int = 0) -> Path:
        """Write a file of live events of an experiment."""
        return write_lines(self.root / ".events" / "experiments" / f"{name}-{number}.jsonl", events)

    def run(
        self,
        name: str,
        jobs: Iterable[JobId] = (),
        run_id: str = RUN_ID,
        current: bool = True,
        **status: object,
    ) -> Path:
        """Write a run; ``status`` are further keys of its status.json."""
        directory = self.root / "experiments" / name / run_id
        directory.mkdir(parents=True)
        infos = [
            {"job_id": job.hash, "task_id": job.task, "tags": {"x": k}, "timestamp": 1.5 + k}
            for k, job in enumerate(jobs)
        ]
        write_lines(directory / "jobs.jsonl", infos)
        write(
            directory / "status.json",
            {
                "version": 1,
                "experiment_id": name,
                "run_id": run_id,
                "status": "running",
                "hostname": HOST,
                "started_at": "2026-11-01T12:00:00",
                "ended_at": None,
                "job_states": {},
                **status,
            },
        )
        if current:
            link = directory.parent / "current"
            link.unlink(missing_ok=True)
            link.symlink_to(run_id)
        return directory


def write(path: Path, content: object) -> Path:
    """Write a file: bytes and text as they are, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_lines(path: Path, values: Iterable[object]) -> Path:
    """Write a file of JSON lines."""
    return write(path, "".join(json.dumps(value) + "\n" for value in values))


def snapshot(root: Path) -> dict[str, tuple[int, int, int, int]]:
    """Return what shows whether a file was written: names, sizes, modes and times of change."""
    found = {}
    for directory, directories, files in os.walk(root):
        for name in (".", *directories, *files):
            path = os.path.join(directory, name)  # noqa: PTH118  (names may be no UTF-8)
            status = os.lstat(path)
            found[path] = (status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)
    return found
