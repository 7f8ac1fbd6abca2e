"""Small workspaces, made file by file."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout, parse_job_id

RUN = "20261122_120000"


class SmallWorkspace:
    """A workspace, or a folder of one, that a test fills.

    Args:
        root: Its directory, which is created.
    """

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.jobs.mkdir(parents=True)
        self.layout.experiments.mkdir()
        self.layout.marker.touch()

    @property
    def root(self) -> Path:
        """Its directory."""
        return self.layout.root

    def as_folder(self, mode: str) -> Folder:
        """Return it as a folder of another workspace."""
        return Folder(self.root, FolderMode(mode))

    def job(self, name: str, marker: str | None = "done", text: str = "result") -> Path:
        """Make a job; return its directory."""
        files = self.layout.job_files(parse_job_id(name))
        files.own.mkdir(parents=True)
        (files.directory / "result.txt").write_text(text)
        files.lock.touch()
        if marker is not None:
            content = '{"code": 1, "reason": "failed"}' if marker == "failed" else ""
            (files.directory / f"{files.name}.{marker}").write_text(content)
        return files.directory

    def link(self, name: str, target: Path) -> Path:
        """Put a link in the place of a job."""
        place = self.layout.job(parse_job_id(name))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
        return place

    def run(self, names: Iterable[str], experiment: str = "e", run: str = RUN) -> Path:
        """Make a run that has submitted jobs; return its directory."""
        directory = self.layout.experiment(experiment) / run
        directory.mkdir(parents=True)
        lines = [json.dumps(self.record(parse_job_id(name))) for name in names]
        (directory / "jobs.jsonl").write_text("".join(f"{line}\n" for line in lines))
        status = {"version": 1, "experiment_id": experiment, "run_id": run, "status": "done"}
        (directory / "status.json").write_text(json.dumps(status))
        current = directory.parent / "current"
        current.unlink(missing_ok=True)
        current.symlink_to(run)
        return directory

    def record(self, job: JobId) -> dict[str, object]:
        """Return a job's line of jobs.jsonl."""
        tags = {"x": 1}
        return {"job_id": job.hash, "task_id": job.task, "tags": tags, "timestamp": 1795335046.719}

    def first_links(self, names: Iterable[str], experiment: str = "v", sub: str = "jobs") -> None:
        """Make the links by which version 1 of the layout refers to jobs."""
        for name in names:
            link = self.layout.first_experiments / experiment / sub / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self.layout.job(parse_job_id(name)))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, as another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
